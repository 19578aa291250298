import { createHash, createPublicKey, verify } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Report } from "@picket/shared/contract";
import type { NodeId, ObjectDigest } from "@picket/shared/ids";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../log.ts";
import { Spool } from "../spool/spool.ts";
import { backoffMs } from "./backoff.ts";
import { connectControlPlane } from "./control-plane.ts";
import { enrol } from "./enrol.ts";
import { forgetEnrolment, nodeKey, rawPublicKey, readEnrolment, tokenSource } from "./identity.ts";
import { startUpload } from "./upload.ts";

const anyToken = { token: async () => "token", refusedAt: () => null };
const NODE = "018f3d5e-7c1a-7000-8000-000000000001" as NodeId;
let directory: string;
let server: Server;
let url: string;
let answer: (request: IncomingMessage, body: string) => { status: number; body?: unknown };

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "picket-uplink-"));
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { status, body: content } = answer(request, body);
    response.writeHead(status, { "content-type": "application/json" });
    response.end(
      content === undefined ? undefined : content instanceof Buffer ? content : JSON.stringify(content),
    );
  });
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise(resolve => server.close(resolve));
  rmSync(directory, { recursive: true, force: true });
});

const config = () => ({ stateDirectory: directory, hostname: "web-1", kernel: "6.18" });

describe("identity", () => {
  test("the node's key is made once and only root can read it", () => {
    const first = rawPublicKey(nodeKey(directory));
    expect(rawPublicKey(nodeKey(directory))).toBe(first);
    expect(statSync(join(directory, "node.key")).mode & 0o777).toBe(0o600);
  });

  test("a token is signed by the node's key, names it, and is for one call", async () => {
    const key = nodeKey(directory);
    const { token } = tokenSource(key, NODE, () => 1_780_000_000_000);
    const first = await token();
    const [header, claims, signature] = first.split(".") as [string, string, string];
    expect(JSON.parse(Buffer.from(header, "base64url").toString())).toEqual({ alg: "EdDSA" });
    const { iss, sub, aud, iat, exp, jti } = JSON.parse(Buffer.from(claims, "base64url").toString());
    expect({ iss, sub, aud }).toEqual({ iss: NODE, sub: NODE, aud: "picket" });
    expect(exp - iat).toBe(60);
    expect(jti).toMatch(/^[0-9a-f-]{36}$/);
    expect(
      verify(
        null,
        Buffer.from(`${header}.${claims}`),
        createPublicKey(key),
        Buffer.from(signature, "base64url"),
      ),
    ).toBe(true);
    expect(await token()).not.toBe(first);
  });

  test("a node whose clock is minutes off goes by the control plane's after one refusal", async () => {
    const issued: number[] = [];
    answer = request => {
      const [, claims] = request.headers.authorization!.slice("Bearer ".length).split(".");
      issued.push(JSON.parse(Buffer.from(claims!, "base64url").toString()).iat);
      const offS = Math.abs(issued.at(-1)! - Date.now() / 1_000);
      return offS < 30 ? { status: 200, body: { assignments: [] } } : { status: 401, body: {} };
    };
    for (const aheadMs of [240_000, -240_000]) {
      const tokens = tokenSource(nodeKey(directory), NODE, () => Date.now() + aheadMs);
      const controlPlane = connectControlPlane(url, tokens, new AbortController().signal);
      expect((await controlPlane.desired()).ok).toBe(false);
      expect((await controlPlane.desired()).ok).toBe(true);
      // What it learned stays, and a refusal for another reason changes nothing.
      expect(tokens.refusedAt(new Date().toUTCString())).toBeNull();
      expect((await controlPlane.desired()).ok).toBe(true);
    }
  });
});

describe("enrolment", () => {
  test("sends only the public half and pins the release keys of the answer", async () => {
    let sent: Record<string, unknown> = {};
    const releaseKeys = [{ keyid: "0123456789abcdef", publicKey: "A".repeat(43) }];
    answer = (_, body) => {
      sent = JSON.parse(body);
      return { status: 201, body: { node: NODE, releaseKeys } };
    };
    await enrol({ config: config(), url: `${url}/`, joinToken: "jt", labels: { zone: "a" } });
    expect(sent.publicKey).toBe(rawPublicKey(nodeKey(directory)));
    expect(JSON.stringify(sent)).not.toContain("PRIVATE");
    expect(readEnrolment(directory)).toMatchObject({ node: NODE, url, releaseKeys });
    forgetEnrolment(directory);
    expect(readEnrolment(directory)).toBeNull();
  });

  test("a refused join token is said in the control plane's words and leaves nothing behind", async () => {
    answer = () => ({
      status: 403,
      body: { title: "Forbidden", status: 403, code: "join-token-expired", detail: "expired at noon" },
    });
    await expect(enrol({ config: config(), url, joinToken: "jt", labels: {} })).rejects.toThrow(
      /expired at noon/,
    );
    expect(readEnrolment(directory)).toBeNull();
  });
});

describe("control plane calls", () => {
  const connect = () => connectControlPlane(url, anyToken, new AbortController().signal);

  test("an object whose bytes have another digest is refused", async () => {
    const bytes = Buffer.from("an object");
    const digest = createHash("sha256").update(bytes).digest("hex") as ObjectDigest;
    answer = () => ({ status: 200, body: bytes });
    expect(await connect().object(digest)).toEqual({ ok: true, value: bytes });
    expect(await connect().object("0".repeat(64) as ObjectDigest)).toMatchObject({
      ok: false,
      error: { kind: "nonsense" },
    });
  });

  const failures: [why: string, status: number, body: unknown, kind: string][] = [
    [
      "an API that has lost its database is away",
      503,
      { title: "Unavailable", status: 503, code: "database-away" },
      "away",
    ],
    ["a proxy's bad gateway is away", 502, "bad gateway", "away"],
    ["too many requests is away", 429, { title: "Slow down", status: 429, code: "rate" }, "away"],
    [
      "a node that was removed is refused",
      401,
      { title: "Unknown", status: 401, code: "unknown-node" },
      "refused",
    ],
    ["an answer of another shape is nonsense", 200, { assignments: "many" }, "nonsense"],
  ];
  test.each(failures)("%s", async (_, status, body, kind) => {
    answer = () => ({ status, body });
    expect(await connect().desired()).toMatchObject({ ok: false, error: { kind } });
  });

  test("a control plane that is not there is away", async () => {
    const dead = connectControlPlane("http://127.0.0.1:1", anyToken, new AbortController().signal);
    expect(await dead.desired()).toMatchObject({ ok: false, error: { kind: "away" } });
  });

  test("a control plane that says nothing of a pace has taken the report all the same", async () => {
    answer = () => ({ status: 204 });
    expect(await connect().report({} as Report)).toEqual({ ok: true, value: null });
  });

  test("no assignment within the wait is no error", async () => {
    answer = () => ({ status: 204 });
    expect(await connect().poll(null, 1)).toEqual({ ok: true, value: null });
  });
});

describe("upload", () => {
  const run = async (spool: Spool, until: () => boolean) => {
    const stop = new AbortController();
    const uploader = startUpload({
      spool,
      controlPlane: connectControlPlane(url, anyToken, stop.signal),
      log: silentLog,
      signal: stop.signal,
      random: () => 0,
      wait: () => new Promise(resolve => setTimeout(resolve, 2)),
    });
    while (!until()) {
      uploader.nudge();
      await new Promise(resolve => setTimeout(resolve, 2));
    }
    stop.abort();
    await uploader.stopped;
  };
  const fill = (count: number) => {
    const spool = new Spool({ directory: join(directory, "spool"), bytesMax: 1 << 24 });
    spool.append(Array.from({ length: count }, (_, index) => Buffer.from(JSON.stringify({ index }))));
    return spool;
  };

  test("while the control plane is away nothing is lost, and all of it goes up afterwards", async () => {
    let tries = 0;
    const got: number[] = [];
    answer = (_, body) => {
      tries += 1;
      if (tries < 6) return { status: 503 };
      const { events } = JSON.parse(body) as { events: { index: number }[] };
      got.push(...events.map(({ index }) => index));
      return { status: 200, body: { committed: events.length, duplicates: 0 } };
    };
    const spool = fill(1_200);
    await run(spool, () => spool.pending === 0);
    expect(got).toEqual(Array.from({ length: 1_200 }, (_, index) => index));
    expect(spool).toMatchObject({ uploaded: 1_200, dropped: 0 });
  });

  test("one event that is refused for good is dropped and counted; the others go up", async () => {
    const got: number[] = [];
    answer = (_, body) => {
      const { events } = JSON.parse(body) as { events: { index: number }[] };
      if (events.some(({ index }) => index === 77))
        return { status: 400, body: { title: "Bad", status: 400, code: "invalid" } };
      got.push(...events.map(({ index }) => index));
      return { status: 200, body: { committed: events.length, duplicates: 0 } };
    };
    const spool = fill(200);
    await run(spool, () => spool.pending === 0);
    expect(new Set(got).size).toBe(199);
    expect(spool).toMatchObject({ uploaded: 199, dropped: 1 });
  });
});

test.each([
  [1, 0, 250],
  [1, 0.999, 500],
  [4, 0, 2_000],
  [30, 0.999, 59_970],
])("try %i with random %d waits %i ms", (attempt, random, expected) => {
  expect(Math.abs(backoffMs(attempt, random) - expected)).toBeLessThan(50);
});
