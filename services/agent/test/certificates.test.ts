/** The certificates of the databases that applications really speak to, from plain and from encrypted connections. */
import { type Database, startMariaDB, startPostgreSQL } from "@picket/infra/databases";
import type { CertificateDetection } from "@picket/shared/detection";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApplication } from "./application.ts";
import { eventually, makeHost } from "./host.ts";

const SIX_DAYS = new Date(Date.now() + 6 * 86_400_000);
let mariadb: Database;
let postgresql: Database;
let host: ReturnType<typeof makeHost>;

beforeAll(async () => {
  [mariadb, postgresql] = await Promise.all([
    startMariaDB({ tls: { notAfter: SIX_DAYS } }),
    startPostgreSQL({ tls: { notAfter: SIX_DAYS } }),
  ]);
  host = makeHost();
  await host.start();
});
afterAll(async () => {
  await host?.end();
  await Promise.all([mariadb?.stop(), postgresql?.stop()]);
});

const certificate = (port: number) =>
  eventually(
    async () =>
      (await host.detections()).find(
        (each): each is CertificateDetection => each.kind === "certificate" && each.port === port,
      ),
    `the certificate at port ${port} is told`,
  );

test.each(["mysql2", "pg"] as const)(
  "%s in plain text: its server's certificate is probed and told",
  async driver => {
    const database = driver === "pg" ? postgresql : mariadb;
    const application = await startApplication(driver, database, host.cgroup.path);
    expect(await certificate(database.port)).toMatchObject({
      dialect: driver === "pg" ? "pg" : "mysql",
      priority: "P3",
      handshake: "succeeded",
      certificate: { subject: expect.stringContaining("localhost") },
    });
    await application.stop();
  },
);

test.each(["mysql2", "pg"] as const)(
  "%s encrypted: listed as unseen with the reason, its dialect found by asking",
  async driver => {
    const fresh =
      driver === "pg"
        ? await startPostgreSQL({ tls: { notAfter: SIX_DAYS } })
        : await startMariaDB({ tls: { notAfter: SIX_DAYS } });
    try {
      const application = await startApplication(driver, fresh, host.cgroup.path, { tls: true });
      expect((await application.run("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
      const { report } = await host.status();
      expect(report.connections.find(({ process }) => process.pid === application.pid)).toMatchObject({
        guarantee: "unseen",
        why: expect.stringContaining("TLS"),
      });
      expect(await certificate(fresh.port)).toMatchObject({
        dialect: driver === "pg" ? "pg" : "mysql",
        priority: "P3",
      });
      await application.stop();
    } finally {
      await fresh.stop();
    }
  },
);
