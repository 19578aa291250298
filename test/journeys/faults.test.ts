/**
 * What goes wrong between the control plane and a node, and what must hold all the same: a control plane in the
 * wrong hands cannot put anything into a kernel, a version that cannot run leaves the old one enforcing, and
 * without a control plane a node goes on judging and loses nothing.
 */
import { execFileSync } from "node:child_process";
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Alert, DetectionRow, Node, Rollout, RolloutDetails } from "@picket/shared/api";
import { Bundle, bundleDigest, type Envelope, signBundle } from "@picket/shared/bundle";
import type { Installed } from "@picket/shared/contract";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Agent, eventually, forget, startAgent } from "../harness/agent.ts";
import { type ControlPlane, startControlPlane } from "../harness/control-plane.ts";
import { type Cgroup, makeCgroup, startMariaDB } from "../harness/index.ts";
import { joinCgroup } from "../harness/join-cgroup.ts";
import { comQuery, RawMySql } from "./raw.ts";
import { DATABASE, SCHEMA } from "./shop-rules.ts";

const BPF = fileURLToPath(new URL("../../packages/bpf/", import.meta.url));
const GOOD = 10;
/** Blocked shapes, each another one: their detections are never folded together. */
const attack = (i: number) =>
  `SELECT id AS c${i} FROM picket_users UNION SELECT id FROM picket_secrets WHERE id = 7`;
const RULES = `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: faults
spec:
  core: false
  shapes:
${Array.from({ length: 20 }, (_, i) => `    - { id: union-${i}, action: block, sql: ${attack(i)} }`).join("\n")}
`;

let controlPlane: ControlPlane;
let mariadb: Awaited<ReturnType<typeof startMariaDB>>;
let cgroup: Cgroup;
let agent: Agent;
let client: RawMySql;
let key: KeyObject;
let nextVersion = GOOD;
const scratch = mkdtempSync(join(tmpdir(), "picket-faults-"));

beforeAll(async () => {
  cgroup = makeCgroup(`picket-test-faults-${process.pid}`);
  [controlPlane, mariadb] = await Promise.all([startControlPlane(), startMariaDB({ database: DATABASE })]);
  await mariadb.exec(SCHEMA.mysql);
  await controlPlane.picket("keys", "new");
  await controlPlane.picket("keys", "register");
  key = createPrivateKey(readFileSync(join(controlPlane.home, "picket", "release.pem")));
  const { token } = await controlPlane.picket<{ token: string }>("tokens", "create");
  agent = await startAgent({
    cgroup: cgroup.path,
    env: { PICKET_URL: controlPlane.url, PICKET_JOIN_TOKEN: token },
  });
  await agent.guard(cgroup.path);
  const leave = joinCgroup(cgroup.path);
  client = await RawMySql.connect(mariadb.port, "raw", DATABASE);
  leave();
  await eventually(async () => (await agent.status()).enrolled ?? undefined, "the agent is enrolled");
  await push(GOOD - 1);
  await push(GOOD, "--floor", String(GOOD));
  const rollout = await start(GOOD);
  await until(rollout, ({ state }) => state === "complete", "the good version is active");
}, 180_000);

afterAll(async () => {
  client?.close();
  await agent?.stop();
  if (agent) forget(agent);
  await mariadb?.stop();
  await controlPlane?.stop();
  await cgroup?.remove();
  rmSync(scratch, { recursive: true, force: true });
}, 120_000);

async function push(version: number, ...options: string[]): Promise<Envelope> {
  const file = join(scratch, "faults.yaml");
  const bundle = join(scratch, `faults-${version}.bundle.json`);
  writeFileSync(file, RULES);
  const at = options.indexOf("--object");
  const object = at < 0 ? [] : options.slice(at, at + 2);
  await controlPlane.picket("rules", "sign", file, "--version", String(version), "--out", bundle, ...options);
  await controlPlane.picket("rules", "push", bundle, ...object);
  return JSON.parse(readFileSync(bundle, "utf8"));
}

const start = async (version: number): Promise<string> =>
  (await controlPlane.picket<Rollout>("rollout", "start", `faults@${version}`, "--steps", "100%:0s")).id;

const until = (id: string, fits: (rollout: RolloutDetails) => boolean, why: string) =>
  eventually(async () => {
    const rollout = await controlPlane.api<RolloutDetails>("GET", `/v1/rollouts/${id}`);
    return fits(rollout) ? rollout : undefined;
  }, why).catch(error => {
    throw new Error(`${error.message}\n${agent.log()}`);
  });

const rollBack = async (id: string): Promise<void> => {
  await controlPlane.picket("rollout", "rollback", id);
  await until(id, ({ state }) => state === "rolled-back", "the rollout is rolled back");
};

/** Puts into the stored version what no verb of the API would take. */
async function takeOver(version: number, envelope: unknown, digest?: string): Promise<void> {
  const database = new pg.Client({ connectionString: controlPlane.databaseUrl });
  await database.connect();
  const { rowCount } = await database.query(
    "UPDATE rule_versions SET envelope = $2, bundle = coalesce($3, bundle) WHERE rule_set = 'faults' AND version = $1",
    [version, JSON.stringify(envelope), digest ?? null],
  );
  await database.end();
  expect(rowCount).toBe(1);
}

/** A control plane in other hands: what it has stored is theirs to change. */
async function forgetFloors(): Promise<void> {
  const database = new pg.Client({ connectionString: controlPlane.databaseUrl });
  await database.connect();
  await database.query("UPDATE rule_versions SET floor = 0 WHERE rule_set = 'faults'");
  await database.end();
}

/** Ids of the BPF programs that the agent holds. */
function programs(): string[] {
  const directory = `/proc/${agent.process.pid}/fdinfo`;
  const ids = readdirSync(directory).flatMap(fd => {
    try {
      return /^prog_id:\s*(\d+)$/m.exec(readFileSync(join(directory, fd), "utf8"))?.[1] ?? [];
    } catch {
      return []; // Closed since the listing.
    }
  });
  return [...new Set(ids)].sort();
}

async function expectBlocked(i: number): Promise<void> {
  await client.send(comQuery(attack(i)));
  expect(await client.answer()).toMatchObject({
    ok: false,
    code: "1644",
    message: expect.stringContaining("Picket blocked"),
  });
}

const blockedBy = async () =>
  (await agent.status()).report.counters.map(({ version, blocked }) => ({ version, blocked }));

const refusalAlert = async (): Promise<Alert | undefined> => {
  const { items } = await controlPlane.api<{ items: Alert[] }>("GET", "/v1/alerts?limit=500");
  return items.find(alert => alert.causalKey.startsWith("picket:bundle-refused:"));
};

/** Everything that must hold once a version was refused. Resolves to the node's own words. */
async function expectRefused(version: number, code: string): Promise<string> {
  const before = await blockedBy();
  const held = programs();
  const rollout = await start(version);
  const refused = await eventually(async () => {
    const { installed } = (await agent.status()).report;
    return installed.find(one => one.kind === "kept-last-good" && one.refused === version);
  }, `the agent refuses version ${version}`).catch(error => {
    throw new Error(`${error.message}\n${agent.log()}`);
  });
  const { because } = refused as Extract<Installed, { kind: "kept-last-good" }>;
  expect(refused).toMatchObject({ version: GOOD, because: { code } });
  expect(programs()).toEqual(held);

  await expectBlocked(0);
  expect(before).toHaveLength(1);
  expect(await blockedBy()).toEqual([{ version: GOOD, blocked: before[0]!.blocked + 1 }]);

  const waiting = await until(
    rollout,
    ({ lastDecision }) => lastDecision?.because.includes("refused") ?? false,
    "the rollout waits",
  );
  expect(waiting.state).toBe("running");
  expect(waiting.lastDecision).toMatchObject({ kind: "wait", because: expect.stringContaining(code) });
  const alert = await eventually(async () => {
    const found = await refusalAlert();
    return found?.state === "open" ? found : undefined;
  }, "there is an alert");
  expect(alert).toMatchObject({ priority: "P1", title: expect.stringContaining(`version ${version}`) });
  expect(alert.summary).toContain(`${code}: `);
  expect(alert.summary).toContain(`Version ${GOOD} goes on.`);

  await rollBack(rollout);
  await eventually(async () => (await refusalAlert())?.state === "resolved", "the alert is resolved");
  return because.detail;
}

const payloadOf = ({ payload }: Envelope): Buffer => Buffer.from(payload, "base64");

const taken: [what: string, code: string, change: (envelope: Envelope, version: number) => Promise<void>][] =
  [
    ["unsigned", "unsigned", (envelope, version) => takeOver(version, { ...envelope, signatures: [] })],
    [
      "tampered with",
      "tampered",
      (envelope, version) => {
        const payload = payloadOf(envelope).toString().replace("action: block", "action: allow");
        expect(payload).not.toBe(payloadOf(envelope).toString());
        const bytes = Buffer.from(payload);
        return takeOver(version, { ...envelope, payload: bytes.toString("base64") }, bundleDigest(bytes));
      },
    ],
    [
      "another signed bundle under this one's name",
      "tampered",
      async (_, version) =>
        takeOver(version, JSON.parse(readFileSync(join(scratch, `faults-${GOOD}.bundle.json`), "utf8"))),
    ],
    [
      "signed by a key that the node does not trust",
      "foreign-key",
      (envelope, version) => {
        const { privateKey } = generateKeyPairSync("ed25519");
        return takeOver(version, signBundle(payloadOf(envelope), [privateKey]));
      },
    ],
    [
      "expired",
      "expired",
      (envelope, version) => {
        const bundle = Bundle.parse(JSON.parse(payloadOf(envelope).toString()));
        const payload = Buffer.from(
          JSON.stringify({ ...bundle, expiresAt: new Date(Date.now() - 1_000).toISOString() }),
        );
        return takeOver(version, signBundle(payload, [key]), bundleDigest(payload));
      },
    ],
  ];

test.each(taken)(
  "a bundle that is %s never reaches the kernel: %s, an alert, the rollout waits",
  async (_, code, change) => {
    const version = ++nextVersion;
    await change(await push(version), version);
    await expectRefused(version, code);
  },
);

test("a rightly signed bundle below the floor is not rolled out, and by a control plane that forgot never reaches the kernel", async () => {
  const refused = `version ${GOOD - 1} is below the floor ${GOOD}`;
  await expect(start(GOOD - 1)).rejects.toThrow(refused);
  await forgetFloors();
  expect(await expectRefused(GOOD - 1, "below-floor")).toBe(refused);
});

test("a bundle whose program the verifier refuses leaves the old version enforcing and says the verifier's last lines", async () => {
  const source = join(scratch, "beyond.bpf.c");
  const object = join(scratch, "beyond.bpf.o");
  writeFileSync(
    source,
    `#include "slot.bpf.c"
SEC("sk_msg")
int beyond(struct sk_msg_md *msg)
{
	return *((__u8 *)(long)msg->data + 4096);
}
`,
  );
  execFileSync("clang-14", [
    ...["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_x86"],
    ...["-I", join(BPF, "src"), "-I", join(BPF, "build"), "-c", source, "-o", object],
  ]);
  const version = ++nextVersion;
  await push(version, "--object", object);
  const detail = await expectRefused(version, "verifier-refused");
  expect(detail).toMatch(/invalid access to packet/);
});

test("with the control plane killed, and the agent killed in between, each statement is blocked and told exactly once", async () => {
  await controlPlane.kill();
  for (const i of [1, 2, 3, 4]) await expectBlocked(i);
  await agent.detection(d => d.kind === "statement" && d.rules.includes("union-4"), "the fourth is told");
  const { events } = (await agent.status()).report;
  expect(events.spooled).toBeGreaterThanOrEqual(4);

  await agent.kill();
  for (const i of [5, 6]) await expectBlocked(i); // The programs outlive it.
  agent = await startAgent({ cgroup: cgroup.path, state: agent.state, instance: agent.instance });
  expect((await agent.status()).report.installed).toMatchObject([{ kind: "active", version: GOOD }]);
  for (const i of [7, 8]) await expectBlocked(i);
  await agent.detection(d => d.kind === "statement" && d.rules.includes("union-8"), "the last is told");

  await controlPlane.restart();
  const arrived = () =>
    controlPlane
      .api<{ items: DetectionRow[] }>("GET", "/v1/detections?limit=500")
      .then(({ items }) =>
        items.flatMap(({ detection }) =>
          detection.kind === "statement" && !detection.rules.includes("union-0") ? [detection] : [],
        ),
      );
  await eventually(async () => (await arrived()).length >= 8 || undefined, "all eight arrive").catch(
    async error => {
      throw new Error(
        `${error.message}\n${JSON.stringify((await arrived()).map(d => d.rules))}\n${agent.log()}`,
      );
    },
  );
  await eventually(
    async () => (await agent.status()).report.events.spooled === 0 || undefined,
    "the spool is empty",
  );
  const told = (await arrived()).map(({ rules, count, guarantee }) => ({ rule: rules[0], count, guarantee }));
  expect(told.sort((a, b) => (a.rule! < b.rule! ? -1 : 1))).toEqual(
    [1, 2, 3, 4, 5, 6, 7, 8].map(i => ({ rule: `union-${i}`, count: 1, guarantee: "prevented" })),
  );
});

test("a verdict by hand blocks at once, is audited and reported up, and expires", async () => {
  const honest = "SELECT name FROM picket_users WHERE id = 1";
  const ask = async () => {
    await client.send(comQuery(honest));
    return client.answer();
  };
  expect(await ask()).toEqual({ ok: true, rows: 1 });
  await agent.call("PUT", "/v1/verdicts", {
    dialect: "mysql",
    sql: honest,
    action: "block",
    reason: "names leak",
    ttl: "5s",
  });
  expect(await ask()).toMatchObject({
    ok: false,
    message: expect.stringContaining("Picket blocked: control-socket"),
  });
  const audit = readFileSync(join(agent.state, "audit.log"), "utf8").trim().split("\n");
  expect(JSON.parse(audit.at(-1)!)).toMatchObject({
    verb: "verdict.put",
    subject: "block",
    detail: { reason: "names leak", ttl: "5s" },
  });

  const { enrolled } = await agent.status();
  const overrides = async () =>
    (await controlPlane.api<Node & { overrides: object[] }>("GET", `/v1/nodes/${enrolled!.node}`)).overrides;
  await eventually(async () => (await overrides()).length === 1 || undefined, "the override is reported up");
  expect(await overrides()).toMatchObject([{ action: "block", reason: "names leak" }]);
  await eventually(async () => {
    const { items } = await controlPlane.api<{ items: DetectionRow[] }>("GET", "/v1/detections?limit=500");
    return items.some(
      ({ detection }) => detection.kind === "connection" && detection.what === "local-override",
    );
  }, "and told as a detection");

  await eventually(async () => (await ask()).ok || undefined, "it expires");
  await eventually(async () => (await overrides()).length === 0 || undefined, "and that is reported, too");
});
