/** Mutual TLS with a control plane: whom the agent believes, and what it shows. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { type Certificate, makeCertificate } from "@picket/infra/certificates";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { closeHttp, sendHttp, useTls } from "./http.ts";

const home = mkdtempSync(join(tmpdir(), "picket-uplink-tls-"));
const made = (name: string, use: "server" | "client") =>
  makeCertificate({ dir: join(home, name), name, use, notAfter: new Date(Date.now() + 3_600_000) });

let theirs: Certificate;
let own: Certificate;
let server: Server;
let url: string;
let answering = Promise.resolve();
beforeAll(async () => {
  theirs = made("localhost", "server");
  own = made("db-1", "client");
  const certificates = { cert: readFileSync(theirs.cert), key: readFileSync(theirs.key) };
  // Answers with the serial number of what it was shown.
  server = createServer(
    { ...certificates, ca: readFileSync(own.ca), requestCert: true, rejectUnauthorized: true },
    async (request, answer) => {
      answer.setHeader("connection", "close");
      await answering;
      answer.end((request.socket as TLSSocket).getPeerX509Certificate()!.serialNumber);
    },
  );
  await new Promise<void>(done => server.listen(0, "127.0.0.1", done));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterEach(() => useTls(null));
afterAll(() => {
  closeHttp();
  server.close();
  rmSync(home, { recursive: true });
});

const ask = async (): Promise<string> =>
  (await sendHttp({ url, method: "GET", timeoutMs: 5_000, answerBytesMax: 1_000 })).body.toString();

test("a control plane of another authority is not believed", async () => {
  await expect(ask()).rejects.toThrow(/certificate/);
  useTls({ ca: own.ca, own });
  await expect(ask()).rejects.toThrow(/certificate/);
});

test("where a certificate is needed and none is set the call fails", async () => {
  useTls({ ca: theirs.ca, own: null });
  await expect(ask()).rejects.toThrow();
});

test("the certificate is shown, and after its renewal the new one, without a restart", async () => {
  useTls({ ca: theirs.ca, own });
  const first = await ask();
  expect(first).not.toBe("");
  expect(await ask()).toBe(first);
  made("db-1", "client");
  expect(await ask()).not.toBe(first);
});

test("while a pair is renewed by half the one before goes on, for requests that wait for their turn, too; it is told once", async () => {
  const told: string[] = [];
  useTls({ ca: theirs.ca, own }, error => told.push(error.message));
  const key = readFileSync(own.key);
  const before = await ask();
  let answer = () => {};
  answering = new Promise(resolve => {
    answer = resolve;
  });
  // More than there are connections.
  const asked = Array.from({ length: 6 }, ask);
  await new Promise(resolve => server.once("request", resolve));
  writeFileSync(own.key, readFileSync(theirs.key));
  answer();
  expect(await Promise.all(asked)).toEqual(Array.from({ length: 6 }, () => before));
  expect(await ask()).toBe(before);
  expect(told).toEqual([expect.stringContaining("key values mismatch")]);
  writeFileSync(own.key, key);
  made("db-1", "client");
  expect(await ask()).not.toBe(before);
});
