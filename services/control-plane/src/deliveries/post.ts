/**
 * One HTTP POST to an address that a person typed: resolved here, checked, and connected to as checked (a name that
 * resolves differently a moment later is not asked again). Redirects are not followed, the answer's body is not
 * kept, and the whole exchange is bounded.
 */
import { lookup } from "node:dns/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, isIPv4 } from "node:net";
import { mayReach } from "./addresses.ts";
import type { Outcome } from "./schedule.ts";

export interface Post {
  url: string;
  headers: Record<string, string>;
  body: string;
  timeoutMs: number;
  allowedNetworks: readonly string[];
}

const ANSWER_BYTES_MAX = 64 << 10;

export async function post(input: Post): Promise<Outcome> {
  const signal = AbortSignal.timeout(input.timeoutMs);
  try {
    const url = new URL(input.url);
    const address = await pin(url, input.allowedNetworks, signal);
    if (!address.ok) return { kind: "refused", error: address.because };
    return await send(url, address.value, input, signal);
  } catch (error) {
    if (signal.aborted) return { kind: "failed", error: `no answer within ${input.timeoutMs} ms` };
    const { code, message } = error as NodeJS.ErrnoException;
    return { kind: "failed", error: (code === undefined ? message : `${code}: ${message}`).slice(0, 300) };
  }
}

async function pin(
  url: URL,
  allowedNetworks: readonly string[],
  signal: AbortSignal,
): Promise<{ ok: true; value: string } | { ok: false; because: string }> {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const addresses = isIP(host)
    ? [host]
    : (await within(signal, lookup(host, { all: true }))).map(a => a.address);
  // All of them: a name with one public and one private address is meant to get past this.
  const refused = addresses.find(address => !mayReach(address, allowedNetworks));
  if (refused !== undefined)
    return {
      ok: false,
      because: `${host} is ${refused === host ? "" : `${refused}, `}not a public address; PICKET_ALLOW_PRIVATE_WEBHOOKS can allow its network`,
    };
  return { ok: true, value: addresses[0]! };
}

function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

function send(url: URL, address: string, input: Post, signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(
      url,
      {
        method: "POST",
        headers: { ...input.headers, "content-length": String(Buffer.byteLength(input.body)) },
        agent: false,
        signal,
        // The name stays for Host and TLS; the address is the one that was checked.
        lookup: (_host, options, answer) => {
          const family = isIPv4(address) ? 4 : 6;
          if (options.all) (answer as (e: null, a: unknown) => void)(null, [{ address, family }]);
          else answer(null, address, family);
        },
      },
      response => {
        let bytes = 0;
        const done = () =>
          resolve({
            kind: "answered",
            status: response.statusCode ?? 0,
            retryAfterMs: retryAfterMs(response.headers["retry-after"]),
          });
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) {
            done(); // The status is known; nobody waits for an endless body.
            request.destroy();
          }
        });
        response.on("end", done);
        response.on("error", reject);
      },
    );
    request.on("error", reject);
    request.end(input.body);
  });
}

/** Seconds; the date form is not worth a clock here. */
function retryAfterMs(header: string | undefined): number | null {
  return header !== undefined && /^\d{1,7}$/.test(header) ? Number(header) * 1_000 : null;
}
