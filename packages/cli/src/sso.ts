/**
 * Signing in by the browser. The identity provider sends it to the control plane, which sends it on to this command's
 * own address on loopback (RFC 8252) with a code that only this command can redeem (RFC 7636). Neither the password nor
 * the provider's tokens come near this host.
 */
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SsoToken } from "@picket/shared/api";
import { createClient } from "./client.ts";
import { CliError } from "./errors.ts";

const WAIT_MS = 300_000;

const draw = (): string => randomBytes(32).toString("base64url");

/** `tell` is given the address to open. */
export async function signInByBrowser(url: string, tell: (address: string) => void): Promise<SsoToken> {
  const [state, verifier] = [draw(), draw()];
  const challenge = createHash("sha256").update(verifier).digest("base64url");
  const code = await awaitCode(state, port => {
    const query = new URLSearchParams({ port: String(port), state, challenge });
    tell(`${url}/v1/sso/login?${query}`);
  });
  return createClient({ url, token: null }).request({
    method: "POST",
    path: "/v1/sso/token",
    body: { code, verifier },
    answer: SsoToken,
  });
}

function awaitCode(state: string, ready: (port: number) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      const answer = new URL(request.url ?? "/", "http://127.0.0.1").searchParams;
      // Any page may knock here; only the one that was begun knows the state.
      if (answer.get("state") !== state) {
        response.writeHead(404).end();
        return;
      }
      const [code, error] = [answer.get("code"), answer.get("error")];
      response
        .writeHead(200, { "content-type": "text/plain; charset=utf-8", connection: "close" })
        .end(code === null ? `Not signed in: ${error}` : "Signed in. You can close this page.");
      end();
      if (code !== null) resolve(code);
      else reject(new CliError("refused", "sso-failed", `not signed in: ${error ?? "no reason was given"}`));
    });
    const late = setTimeout(() => {
      end();
      reject(new CliError("refused", "sso-timeout", "nobody signed in within five minutes"));
    }, WAIT_MS);
    const end = () => {
      clearTimeout(late);
      server.close();
    };
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
  });
}
