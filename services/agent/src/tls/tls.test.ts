import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Database, startMariaDB, startPostgreSQL } from "@picket/infra/databases";
import type { CertificateDetection } from "@picket/shared/detection";
import { CertificateDetection as CertificateDetectionSchema } from "@picket/shared/detection";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Certificates, type Known, learn } from "./certificates.ts";
import { type ProbeResult, probe } from "./probe.ts";

const DAY_MS = 86_400_000;
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS);
const look = (server: { port: number }, dialect: "mysql" | "pg" | null, authority?: string) =>
  probe({ host: "127.0.0.1", port: server.port, dialect }, { timeoutMs: 5_000, authority });

describe("a real MariaDB and PostgreSQL", () => {
  let mariadb: Database;
  let postgresql: Database;
  beforeAll(async () => {
    [mariadb, postgresql] = await Promise.all([
      startMariaDB({
        tls: { notAfter: inDays(6) },
        settings: { max_connect_errors: "1", performance_schema: "OFF" },
      }),
      startPostgreSQL({ tls: { notAfter: inDays(6) } }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([mariadb?.stop(), postgresql?.stop()]);
  });

  for (const [dialect, server] of [
    ["mysql", () => mariadb],
    ["pg", () => postgresql],
  ] as const) {
    test(`${dialect}: shows the leaf certificate; an authority that is unknown here is noted, not a failure`, async () => {
      const result = await look(server(), dialect);
      expect(result).toMatchObject({ kind: "succeeded", trusted: false });
      if (result.kind !== "succeeded") throw new Error(result.kind);
      expect(result.certificate.subject).toContain("localhost");
      expect(result.certificate.issuer).toContain("Picket test authority");
      expect(Math.abs(Date.parse(result.certificate.notAfter) - inDays(6).getTime())).toBeLessThan(
        DAY_MS / 2,
      );
    });

    test(`${dialect}: is recognised by who speaks first where only TLS was seen`, async () => {
      expect(await look(server(), null)).toMatchObject({ kind: "succeeded", dialect });
    });

    test(`${dialect}: a renewed certificate is seen at the next look`, async () => {
      const before = await look(server(), dialect);
      await server().renewCertificate(inDays(90));
      let after = await look(server(), dialect);
      while (
        after.kind === "succeeded" &&
        before.kind === "succeeded" &&
        after.certificate.fingerprint === before.certificate.fingerprint
      )
        after = await look(server(), dialect);
      expect(after).toMatchObject({ kind: "succeeded" });
      if (after.kind === "succeeded")
        expect(Date.parse(after.certificate.notAfter)).toBeGreaterThan(Date.now() + 80 * DAY_MS);
    });
  }

  test("an authority that is configured and did not sign the certificate fails the handshake", async () => {
    const { readFileSync } = await import("node:fs");
    const own = readFileSync(mariadb.certificate!.ca, "utf8");
    const foreign = readFileSync(postgresql.certificate!.ca, "utf8");
    expect(await look(mariadb, "mysql", own)).toMatchObject({ kind: "succeeded", trusted: true });
    expect(await look(mariadb, "mysql", foreign)).toMatchObject({ kind: "failed" });
  });

  test("probes do not count as connection errors that could lock this host out", async () => {
    for (let round = 0; round < 3; round++)
      expect(await look(mariadb, "mysql")).toMatchObject({ kind: "succeeded" });
    const [, aborted] = (await mariadb.exec("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'"))
      .trim()
      .split("\t");
    expect(Number(aborted)).toBeGreaterThanOrEqual(3);
  });

  test("a server without TLS is told apart from a failing handshake", async () => {
    const plain = await startPostgreSQL();
    try {
      expect(await look(plain, "pg")).toEqual({ kind: "no-tls" });
      expect(await look(plain, "mysql")).toMatchObject({ kind: "unreachable" });
    } finally {
      await plain.stop();
    }
  });

  test("a server whose newest protocol is too old fails the handshake, with OpenSSL's reason", async () => {
    const old = await startPostgreSQL({
      tls: { notAfter: inDays(6) },
      settings: { ssl_min_protocol_version: "TLSv1.1", ssl_max_protocol_version: "TLSv1.1" },
    });
    try {
      const result = await look(old, "pg");
      expect(result).toMatchObject({ kind: "failed" });
      if (result.kind === "failed") expect(result.error).not.toBe("");
    } finally {
      await old.stop();
    }
  });
});

describe("servers that misbehave", () => {
  const servers: Server[] = [];
  afterAll(() => {
    for (const server of servers) server.close();
  });
  const serve = async (bytes: Buffer, end: boolean) => {
    const server = createServer(socket => {
      socket.on("error", () => {});
      socket.write(bytes);
      if (end) socket.end();
    });
    servers.push(server);
    await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
    return { port: (server.address() as AddressInfo).port };
  };
  const cases: [why: string, dialect: "mysql" | "pg", bytes: string | Buffer, end: boolean, kind: string][] =
    [
      ["hangs up", "mysql", "", true, "unreachable"],
      ["says S and then speaks no TLS", "pg", "SHTTP/1.1 400 Bad Request\r\n\r\n", false, "failed"],
      ["says S and hangs up", "pg", "S", true, "failed"],
      ["greets with an absurd length", "mysql", Buffer.from([0xff, 0xff, 0xff, 0]), false, "unreachable"],
      [
        "greets with an error",
        "mysql",
        Buffer.concat([Buffer.from([23, 0, 0, 0, 0xff, 0x10, 4]), Buffer.from("Too many connections")]),
        false,
        "unreachable",
      ],
      ["is a web server", "pg", "HTTP/1.1 400 Bad Request\r\n\r\n", true, "unreachable"],
    ];
  test.each(cases)("one that %s (%s)", async (_, dialect, bytes, end, kind) => {
    expect(await look(await serve(Buffer.from(bytes as string), end), dialect)).toMatchObject({ kind });
  });

  test("one that never answers is given up", async () => {
    const server = await serve(Buffer.alloc(0), false);
    expect(await probe({ host: "127.0.0.1", ...server, dialect: "pg" }, { timeoutMs: 100 })).toMatchObject({
      kind: "unreachable",
    });
  });

  test("one that is not there is unreachable", async () => {
    expect(await look({ port: 1 }, "pg")).toMatchObject({ kind: "unreachable" });
  });
});

describe("what is known of an endpoint", () => {
  const NOW_MS = Date.parse("2026-06-01T00:00:00Z");
  const at = { nowMs: NOW_MS, noticeMs: 30 * DAY_MS };
  const certificate = (fingerprint: string, daysLeft: number) => ({
    subject: "CN=db",
    issuer: "CN=ca",
    serial: "01",
    fingerprint: fingerprint.repeat(64),
    notBefore: new Date(NOW_MS - DAY_MS).toISOString(),
    notAfter: new Date(NOW_MS + daysLeft * DAY_MS).toISOString(),
    names: [],
  });
  const seen = (fingerprint: string, daysLeft: number): ProbeResult => ({
    kind: "succeeded",
    dialect: "mysql",
    certificate: certificate(fingerprint, daysLeft),
    trusted: false,
    trustError: null,
    protocol: "TLSv1.3",
  });
  const failed: ProbeResult = {
    kind: "failed",
    dialect: "mysql",
    error: "alert handshake failure",
    certificate: null,
  };
  const away: ProbeResult = { kind: "unreachable", error: "ECONNREFUSED" };

  const stories: [why: string, results: ProbeResult[], told: (string | null | "-")[]][] = [
    ["a healthy certificate is told once, as healthy", [seen("a", 90), seen("a", 90)], [null, "-"]],
    ["six days left and then a failing handshake is P0", [seen("a", 6), failed], ["P3", "P0"]],
    ["renewed: the alert is resolved", [seen("a", 6), failed, seen("b", 90)], ["P3", "P0", null]],
    ["a failing handshake without a known certificate is P2", [failed, failed], ["P2", "-"]],
    ["expired but accepted is P1", [seen("a", -1)], ["P1"]],
    ["a server that is away changes nothing", [seen("a", 6), away, failed], ["P3", "-", "P0"]],
    ["no TLS says nothing", [{ kind: "no-tls" }], ["-"]],
  ];
  test.each(stories)("%s", (_, results, told) => {
    let known: Known = {
      host: "10.0.0.5",
      port: 3306,
      dialect: "mysql",
      certificate: null,
      told: null,
      seenMs: NOW_MS,
    };
    const said = results.map(result => {
      const learned = learn(known, result, at);
      known = learned.known;
      return learned.detection ? learned.detection.priority : "-";
    });
    expect(said).toEqual(told);
  });

  test("is kept over a restart, and every detection fits the contract", async () => {
    const directory = mkdtempSync(join(tmpdir(), "picket-certificates-"));
    try {
      const emitted: CertificateDetection[] = [];
      const make = (result: ProbeResult) =>
        new Certificates({
          stateDirectory: directory,
          emit: detection => emitted.push(detection),
          probe: async () => result,
        });
      const round = {
        nowMs: () => NOW_MS,
        noticeMs: 30 * DAY_MS,
        intervalMs: 1,
        signal: new AbortController().signal,
      };
      const first = make(seen("a", 6));
      first.saw({ host: "10.0.0.5", port: 3306, dialect: "mysql" }, NOW_MS);
      await first.round(round);
      const second = make(failed);
      await second.round(round);
      expect(emitted.map(({ priority }) => priority)).toEqual(["P3", "P0"]);
      for (const detection of emitted) CertificateDetectionSchema.parse(detection);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
