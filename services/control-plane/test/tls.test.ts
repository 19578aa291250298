/**
 * The control plane's own TLS: nodes are heard only on connections for which they have shown a certificate of the
 * fleet's CA, people need none, and renewed files are in force without a restart.
 */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { type Certificate, makeCertificate } from "@picket/infra/certificates";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Listening } from "../src/listen.ts";
import { startControlPlane } from "../src/main.ts";
import { readTls } from "../src/tls.ts";
import { ADMIN, configFor, type Stores, startStores, until } from "./fleet.ts";

const HOUR = 3_600_000;
const home = mkdtempSync(join(tmpdir(), "picket-tls-"));
const made = (name: string, use: "server" | "client", forMs = HOUR) =>
  makeCertificate({ dir: join(home, name), name, use, notAfter: new Date(Date.now() + forMs) });

let stores: Stores;
let controlPlane: Listening;
let server: Certificate;
const nodes: Record<"ours" | "foreign" | "server", Certificate> = {} as never;
let joinToken: string;
let aheadMs = 0;

beforeAll(async () => {
  stores = await startStores();
  server = made("localhost", "server");
  nodes.ours = made("nodes", "client");
  nodes.foreign = made("others", "client");
  nodes.server = server;
  controlPlane = await startControlPlane(
    configFor(stores, {
      tls: { cert: server.cert, key: server.key, clientCa: nodes.ours.ca },
      tlsCheckMs: 50,
    }),
    { all: true, chosen: { clock: () => Date.now() + aheadMs } },
  );
  const { token } = await ask("POST", "/v1/join-tokens", { token: ADMIN, body: { usesMax: 9 } }).then(
    ({ body }) => body as { token: string },
  );
  joinToken = token;
});
afterAll(async () => {
  await controlPlane?.close();
  await stores?.stop();
  rmSync(home, { recursive: true });
});

type Answer = { status: number; body: unknown };
type Asked = { token?: string; body?: unknown; shows?: Certificate | undefined; agent?: Agent };

function agentOf(shows: Certificate | undefined, keepAlive = false): Agent {
  const own = shows === undefined ? {} : readTls({ ...shows, clientCa: null });
  return new Agent({ ...own, ca: readFileSync(server.ca), keepAlive, maxSockets: 1 });
}

function ask(method: string, path: string, { token, body, shows, agent }: Asked = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = {
      method,
      agent: agent ?? agentOf(shows),
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
    };
    const asking = request(controlPlane.url + path, options, answer => {
      let text = "";
      answer.on("data", chunk => {
        text += chunk;
      });
      answer.on("end", () =>
        resolve({ status: answer.statusCode!, body: text === "" ? null : JSON.parse(text) }),
      );
    });
    asking.on("error", reject);
    asking.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const enrolment = () => ({
  joinToken,
  publicKey: Buffer.alloc(32, Math.random() * 255).toString("base64url"),
  hostname: "db-1",
  labels: {},
  kernel: "6.18.0",
  agentVersion: "0.1.0",
});
/** What only a node may call, each on its own way to the check: the framework's routes, the gateway's, enrolment. */
const calls = {
  "GET /v1/agent/desired": () => ({ token: "a.b.c" }),
  "GET /v1/agent/assignments": () => ({ token: "a.b.c" }),
  "POST /v1/enrol": () => ({ body: enrolment() }),
};

for (const [call, asked] of Object.entries(calls)) {
  const [method, path] = call.split(" ") as [string, string];
  for (const [shows, why] of [
    [undefined, /none was shown/],
    ["foreign", /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO/],
    ["server", /UNABLE_TO|SELF_SIGNED|INVALID_PURPOSE/],
  ] as const)
    test(`${call} is refused with ${shows ?? "no"} certificate`, async () => {
      const answer = await ask(method, path, { ...asked(), shows: shows && nodes[shows] });
      expect(answer).toMatchObject({ status: 403, body: { code: "certificate-refused" } });
      expect((answer.body as { detail: string }).detail).toMatch(why);
    });

  test(`${call} is heard with the fleet's own, and refused when that is over`, async () => {
    const heard = await ask(method, path, { ...asked(), shows: nodes.ours });
    expect((heard.body as { code?: string }).code).not.toBe("certificate-refused");
    const over = made("nodes", "client", -60_000);
    const refused = await ask(method, path, { ...asked(), shows: over });
    made("nodes", "client");
    expect(refused.body).toMatchObject({ code: "certificate-refused", detail: /CERT_HAS_EXPIRED/ });
  });
}

test("a resumed session for which no certificate was ever shown is none", async () => {
  const { hostname, port } = new URL(controlPlane.url);
  const options = { host: hostname, port: Number(port), ca: readFileSync(server.ca) };
  const session = await new Promise<Buffer>((resolve, reject) => {
    const first: TLSSocket = connect(options, () =>
      first.write("GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
    );
    first.once("session", resolve);
    first.once("error", reject);
    first.resume();
  });
  const answer = await new Promise<{ reused: boolean; text: string }>((resolve, reject) => {
    const second: TLSSocket = connect({ ...options, session }, () =>
      second.write(
        "GET /v1/agent/desired HTTP/1.1\r\nhost: a\r\nauthorization: Bearer a.b.c\r\nconnection: close\r\n\r\n",
      ),
    );
    let text = "";
    second.on("data", chunk => {
      text += chunk;
    });
    second.once("end", () => resolve({ reused: second.isSessionReused(), text }));
    second.once("error", reject);
  });
  expect(answer.reused).toBe(true);
  expect(answer.text).toContain("certificate-refused");
});

test("a connection that stays open is refused once its certificate is over, and ended with another client CA", async () => {
  const agent = agentOf(nodes.ours, true);
  const call = () => ask("GET", "/v1/agent/desired", { token: "a.b.c", agent });
  expect(await call()).toMatchObject({ status: 401 });
  aheadMs = HOUR;
  expect(await call()).toMatchObject({ status: 403, body: { code: "certificate-refused" } });
  aheadMs = 0;
  expect(await call()).toMatchObject({ status: 401 });
  const [socket] = Object.values(agent.freeSockets).flat();
  const ended = once(socket!, "close");
  const before = readFileSync(nodes.ours.ca);
  writeFileSync(nodes.ours.ca, readFileSync(nodes.foreign.ca));
  await ended;
  expect(await call()).toMatchObject({ status: 403, body: { code: "certificate-refused" } });
  writeFileSync(nodes.ours.ca, before);
  await until(
    () => ask("GET", "/v1/agent/desired", { token: "a.b.c", shows: nodes.ours }),
    ({ status }) => status === 401,
  );
  agent.destroy();
});

test("people are heard without one", async () => {
  expect(await ask("GET", "/v1/me", { token: ADMIN })).toMatchObject({
    status: 200,
    body: { role: "admin" },
  });
});

test("a renewed certificate is in force without a restart; a broken one changes nothing", async () => {
  const serial = () =>
    new Promise<string>((resolve, reject) => {
      const { hostname, port } = new URL(controlPlane.url);
      const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate()!.serialNumber);
        socket.destroy();
      });
      socket.once("error", reject);
    });
  const before = await serial();
  writeFileSync(server.cert, "-----BEGIN CERTIFICATE-----\nhalf of it");
  await new Promise(done => setTimeout(done, 200));
  expect(await serial()).toBe(before);
  made("localhost", "server");
  await until(serial, now => now !== before, "the renewed certificate");
});
