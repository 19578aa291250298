/**
 * A database's certificate from its first notice to its renewal: the agent sees the endpoint on the wire, probes it,
 * and what changes becomes an alert, a signed webhook and one ticket, which close by themselves.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Alert, CertificateRow } from "@picket/shared/api";
import mysql from "mysql2/promise";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Agent, eventually, forget, startAgent } from "../harness/agent.ts";
import { type ControlPlane, startControlPlane } from "../harness/control-plane.ts";
import { startGitHub } from "../harness/github.ts";
import { type Cgroup, makeCgroup, startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { joinCgroup } from "../harness/join-cgroup.ts";
import { startWebhookReceiver, type WebhookReceiver } from "../harness/webhook.ts";

const REPO = "picket/journeys";
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000);
const mariadbDirectory = mkdtempSync(join(tmpdir(), "picket-mariadb-"));

type Server = Awaited<ReturnType<typeof startPostgreSQL>>;
let controlPlane: ControlPlane;
let github: Awaited<ReturnType<typeof startGitHub>>;
let receiver: WebhookReceiver;
let postgresql: Server;
let mariadb: Server;
let cgroup: Cgroup;
let agent: Agent;

const startMaria = (options: Parameters<typeof startMariaDB>[0] = {}) =>
  startMariaDB({ dir: mariadbDirectory, tls: { notAfter: inDays(6) }, ...options });

beforeAll(async () => {
  cgroup = makeCgroup(`picket-test-certificates-${process.pid}`);
  [github, receiver] = await Promise.all([startGitHub(REPO), startWebhookReceiver()]);
  [controlPlane, postgresql, mariadb] = await Promise.all([
    startControlPlane({
      PICKET_ALLOW_PRIVATE_WEBHOOKS: "127.0.0.0/8",
      PICKET_GITHUB_API: github.url,
      PICKET_GITHUB_REPO: REPO,
      PICKET_GITHUB_TOKEN: "ghp_test",
    }),
    startPostgreSQL({ tls: { notAfter: inDays(6) } }),
    startMaria(),
  ]);
  const { secret } = await controlPlane.api<{ secret: string }>("POST", "/v1/webhooks", {
    url: receiver.url,
    priorityMin: "P3",
  });
  receiver.trust(secret);
  const { token } = await controlPlane.picket<{ token: string }>("tokens", "create");
  agent = await startAgent({
    cgroup: cgroup.path,
    env: {
      PICKET_URL: controlPlane.url,
      PICKET_JOIN_TOKEN: token,
      PICKET_CERTIFICATE_INTERVAL: "1s",
    },
  });
  await eventually(async () => (await agent.status()).enrolled ?? undefined, "the agent is enrolled");
}, 180_000);

afterAll(async () => {
  await agent?.stop();
  if (agent) forget(agent);
  await Promise.all([postgresql?.stop(), mariadb?.stop(), controlPlane?.stop()]);
  github?.close();
  receiver?.close();
  await cgroup?.remove();
  rmSync(mariadbDirectory, { recursive: true, force: true });
}, 120_000);

const causeOf = (dialect: "mysql" | "pg", { host, port }: Server) => `certificate:${dialect}:${host}:${port}`;

const alertOf = async (causalKey: string): Promise<Alert | undefined> => {
  const { items } = await controlPlane.api<{ items: Alert[] }>("GET", "/v1/alerts?limit=500");
  return items.find(alert => alert.causalKey === causalKey);
};

const alertThat = (causalKey: string, fits: (alert: Alert) => boolean, why: string) =>
  eventually(async () => {
    const alert = await alertOf(causalKey);
    return alert && fits(alert) ? alert : undefined;
  }, why).catch(async error => {
    throw new Error(`${error.message}\n${JSON.stringify(await alertOf(causalKey))}\n${agent.log()}`);
  });

/** What the receiver was told of a cause so far, once there are that many. */
const heardOf = (causalKey: string, count: number) =>
  eventually(() => {
    const heard = receiver.heard.filter(({ data }) => data.causalKey === causalKey);
    return heard.length >= count ? heard : undefined;
  }, `the receiver heard ${count} of ${causalKey}`);

const issuesOf = (causalKey: string) => github.issues.filter(({ body }) => body.includes(causalKey));

const certificateOf = async ({ port }: Server): Promise<CertificateRow | undefined> => {
  const { items } = await controlPlane.api<{ items: CertificateRow[] }>("GET", "/v1/certificates");
  return items.find(row => row.port === port);
};

/** Notice, failure, renewal; the two databases differ only in how a client comes and how TLS is broken. */
async function story(input: {
  dialect: "mysql" | "pg";
  server: () => Server;
  /** A guarded application comes by: by that the agent knows of the endpoint. */
  connect(): Promise<void>;
  breakTls(): Promise<void>;
  repairTls(): Promise<void>;
}): Promise<void> {
  const { dialect, server, connect, breakTls, repairTls } = input;
  const cause = causeOf(dialect, server());
  const leave = joinCgroup(cgroup.path);
  await connect().finally(leave);

  const notice = await alertThat(cause, () => true, "a certificate with six days left is noticed");
  expect(notice).toMatchObject({ priority: "P3", state: "open" });
  expect(notice.title).toBe(`The certificate of 127.0.0.1:${server().port} expires`);
  expect((await heardOf(cause, 1))[0]).toMatchObject({ type: "alert.opened", data: { priority: "P3" } });
  expect(issuesOf(cause)).toEqual([]); // A notice is no work yet.

  await breakTls();
  const urgent = await alertThat(cause, ({ priority }) => priority === "P0", "the failing handshake is P0");
  expect(urgent).toMatchObject({ id: notice.id, state: "open" });
  expect(urgent.title).toBe(`TLS handshake with 127.0.0.1:${server().port} fails`);
  const [, opened] = await heardOf(cause, 2);
  expect(opened).toMatchObject({ type: "alert.opened", data: { id: notice.id, priority: "P0" } });
  const issue = await eventually(() => issuesOf(cause)[0], "there is a ticket");
  expect(issue).toMatchObject({ state: "open", title: `[P0] ${urgent.title}` });

  await server().renewCertificate(inDays(90));
  await repairTls();
  const resolved = await alertThat(cause, ({ state }) => state === "resolved", "the renewal resolves it");
  expect(resolved).toMatchObject({ id: notice.id });
  const heard = await heardOf(cause, 3);
  expect(heard.map(({ type, data, signed }) => [type, data.priority, signed])).toEqual([
    ["alert.opened", "P3", true],
    ["alert.opened", "P0", true],
    ["alert.resolved", "P0", true],
  ]);
  await eventually(() => issue.state === "closed" || undefined, "the ticket is closed");
  expect(issuesOf(cause)).toHaveLength(1);
  expect(issue.comments.at(-1)).toMatch(/Resolved at/);
  const row = await certificateOf(server());
  expect(row).toMatchObject({ dialect, handshake: "succeeded", priority: null });
  expect(Date.parse(row!.certificate!.notAfter)).toBeGreaterThan(inDays(80).getTime());
}

test(
  "PostgreSQL, seen by a plain connection: six days left is P3, no common cipher is P0, renewed is closed",
  () =>
    story({
      dialect: "pg",
      server: () => postgresql,
      async connect() {
        const { host, port, user, password, database } = postgresql;
        const client = new pg.Client({ host, port, user, password, database });
        await client.connect();
        await client.query("SELECT 1");
        await client.end();
      },
      // The certificate's key is on an elliptic curve; this cipher wants an RSA one.
      breakTls: () =>
        postgresql
          .exec(
            `ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.2';
           ALTER SYSTEM SET ssl_ciphers = 'AES256-GCM-SHA384';
           SELECT pg_reload_conf()`,
          )
          .then(() => {}),
      repairTls: () =>
        postgresql
          .exec(
            `ALTER SYSTEM RESET ssl_max_protocol_version;
           ALTER SYSTEM RESET ssl_ciphers;
           SELECT pg_reload_conf()`,
          )
          .then(() => {}),
    }),
  120_000,
);

test("MariaDB, seen by an encrypted connection: the same, with a server that came back with another cipher", () => {
  const restart = async (settings: Record<string, string>) => {
    const { port } = mariadb;
    await mariadb.stop();
    expect(existsSync(mariadbDirectory)).toBe(true);
    mariadb = await startMaria({ port, settings });
  };
  return story({
    dialect: "mysql",
    server: () => mariadb,
    async connect() {
      const { host, port, user, password, database } = mariadb;
      const client = await mysql.createConnection({
        host,
        port,
        user,
        password,
        database,
        ssl: { rejectUnauthorized: false },
      });
      await client.query("SELECT 1");
      await client.end();
    },
    breakTls: () => restart({ tls_version: "TLSv1.2", ssl_cipher: "AES256-GCM-SHA384" }),
    repairTls: async () => {
      await restart({});
      // Starting it anew issued one of six days again.
      await mariadb.renewCertificate(inDays(90));
    },
  });
}, 120_000);
