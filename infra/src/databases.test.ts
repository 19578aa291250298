import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import mysql from "mysql2/promise";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeCgroup } from "./cgroup.ts";
import { type Database, type PostgreSQL, startMariaDB, startPostgreSQL } from "./databases.ts";
import { startTicks } from "./process.ts";

const days = (count: number): Date => new Date(Date.now() + count * 86_400_000);

describe("MariaDB", () => {
  let server: Database;
  beforeAll(async () => {
    server = await startMariaDB({ tls: { notAfter: days(6) } });
  });
  afterAll(() => server?.stop());

  const connect = (more: mysql.ConnectionOptions = {}): Promise<mysql.Connection> => {
    const { host, port, user, password, database } = server;
    return mysql.createConnection({ host, port, user, password, database, ...more });
  };

  test("answers over TCP with room for 32 MB packets", async () => {
    const connection = await connect();
    const [rows] = await connection.query(
      "SELECT @@max_allowed_packet AS packet, @@local_infile AS local_files, DATABASE() AS db",
    );
    expect(rows).toEqual([{ packet: 64 * 1024 * 1024, local_files: 1, db: "picket" }]);
    await connection.end();
  });

  test("shows a certificate with the chosen end, and takes up its renewal while it runs", async () => {
    expect(await daysLeft()).toBe(6);
    await server.renewCertificate(days(90));
    expect(await daysLeft()).toBe(90);

    async function daysLeft(): Promise<number> {
      const ca = readFileSync(server.certificate!.ca);
      const connection = await connect({ ssl: { ca, minVersion: "TLSv1.2", verifyIdentity: true } });
      const [rows] = await connection.query("SHOW STATUS LIKE 'Ssl_server_not_after'");
      await connection.end();
      const [row] = rows as { Value: string }[];
      return Math.round((Date.parse(row!.Value) - Date.now()) / 86_400_000);
    }
  });

  test("the administrator's SQL runs through exec, which reports its error", async () => {
    expect(await server.exec("SELECT 1, 'a'")).toBe("1\ta\n");
    await expect(server.exec("SELEKT")).rejects.toThrow(/1064/);
  });
});

describe("PostgreSQL", () => {
  let server: PostgreSQL;
  beforeAll(async () => {
    server = await startPostgreSQL({ tls: { notAfter: days(6) } });
  });
  afterAll(() => server?.stop());

  test("answers over TCP with a password, in clear and in TLS", async () => {
    const { host, port, user, password, database } = server;
    for (const ssl of [false, { ca: readFileSync(server.certificate!.ca, "utf8") }]) {
      const client = new pg.Client({ host, port, user, password, database, ssl });
      await client.connect();
      const { rows } = await client.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
      expect(rows).toEqual([{ ssl: ssl !== false }]);
      await client.end();
    }
    const stranger = new pg.Client({ host, port, user, password: "wrong", database });
    await expect(stranger.connect()).rejects.toThrow(/password authentication failed/);
  });

  test("takes up a renewed certificate while it runs", async () => {
    await server.renewCertificate(days(90));
    await expect.poll(daysLeft, { timeout: 10_000 }).toBe(90);

    function daysLeft(): number {
      const { stdout } = spawnSync(
        "openssl",
        ["s_client", "-starttls", "postgres", "-connect", `127.0.0.1:${server.port}`],
        {
          input: "",
          encoding: "utf8",
        },
      );
      const pem = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(stdout)?.[0] ?? "";
      return Math.round((Date.parse(new X509Certificate(pem).validTo) - Date.now()) / 86_400_000);
    }
  });

  test("the administrator's SQL runs through exec, which reports its error", async () => {
    expect(await server.exec("SELECT 1, 'a'")).toBe("1\ta\n");
    await expect(server.exec("SELEKT")).rejects.toThrow(/syntax error/);
  });
});

test("an expired certificate can be served", async () => {
  const server = await startPostgreSQL({ tls: { notAfter: days(-2) } });
  const certificate = new X509Certificate(readFileSync(server.certificate!.cert));
  expect(Date.parse(certificate.validTo)).toBeLessThan(Date.now());
  await server.stop();
});

test("a stopped server leaves neither process nor directory", async () => {
  for (const start of [startMariaDB, startPostgreSQL]) {
    const server = await start();
    await server.stop();
    expect(startTicks(server.pid)).toBeUndefined();
    expect(existsSync(server.dir)).toBe(false);
  }
});

test("a server started in a cgroup has all its processes there, and the cgroup goes when it is told to", async () => {
  const cgroup = makeCgroup(`picket-test-infra-${process.pid}`);
  const server = await startPostgreSQL({ cgroup: cgroup.path });
  const members = readFileSync(`${cgroup.path}/cgroup.procs`, "utf8").trim().split("\n").map(Number);
  expect(members).toContain(server.pid);
  expect(members.length).toBeGreaterThan(1);
  await cgroup.remove();
  expect(existsSync(cgroup.path)).toBe(false);
  expect(startTicks(server.pid)).toBeUndefined();
  await server.stop();
});
