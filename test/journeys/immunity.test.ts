/**
 * Fleet immunity on real parts: three agents in three cgroups of this host, one control plane. What one of them stops
 * at its first use, the kernel of another one then knows, although nothing is held there: its first use is prevented,
 * too. Whoever signs with the online key can make nobody deny what is allowed, honest or not hostile.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { lex } from "@picket/native/lexer";
import type { ImmunityStatus, Node as NodeRow, Rollout, SharedVerdictRow } from "@picket/shared/api";
import type { ShapeDigest, SharedVerdictId } from "@picket/shared/ids";
import type { Denial } from "@picket/shared/immunity";
import { signSharedVerdict } from "@picket/shared/shared-verdict";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../harness/agent.ts";
import { type ControlPlane, startControlPlane } from "../harness/control-plane.ts";
import { startMariaDB } from "../harness/index.ts";
import { type Node, startNode } from "../harness/node.ts";
import { runStatements } from "./run-statements.ts";
import { DATABASE, SCHEMA } from "./shop-rules.ts";

const attack = (column: string) =>
  `SELECT id, name AS ${column} FROM picket_users WHERE id = 1 UNION SELECT 1, secret FROM picket_secrets -- `;
const RULES = `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: immune
spec:
  core: true
  shapes:
    - id: report-of-secrets
      action: allow
      dialects: [mysql]
      sql: "${attack("allowed")}"
  profiles:
    - match: { labels: { held: "no" } }
      hold: { mode: off }
`;

const nodes: Record<"a" | "b" | "c", Node & { id: string }> = {} as never;
let controlPlane: ControlPlane;
let mariadb: Awaited<ReturnType<typeof startMariaDB>>;
let online: KeyObject;

beforeAll(async () => {
  online = generateKeyPairSync("ed25519").privateKey;
  mariadb = await startMariaDB({ database: DATABASE });
  await mariadb.exec(SCHEMA.mysql);
  controlPlane = await startControlPlane({
    PICKET_SHARING_KEY: online.export({ type: "pkcs8", format: "pem" }).toString(),
  });
  const { home, picket } = controlPlane;
  await picket("keys", "new");
  await picket("keys", "register");
  // As `picket immunity key` would have made it.
  const publicFile = join(home, "sharing.pub.pem");
  writeFileSync(publicFile, createPublicKey(online).export({ type: "spki", format: "pem" }));
  const [file, bundle] = [join(home, "immune.yaml"), join(home, "immune.bundle.json")];
  writeFileSync(file, RULES);
  await picket("rules", "sign", file, "--version", "1", "--delegate", publicFile, "--out", bundle);
  await picket("rules", "push", bundle);
  const { token } = await picket<{ token: string }>("tokens", "create", "--uses", "3");
  for (const name of ["a", "b", "c"] as const) {
    const env = { PICKET_LABELS: `held=${name === "a" ? "yes" : "no"}` };
    const node = await startNode({ controlPlane, joinToken: token, hostname: `immunity-${name}`, env });
    nodes[name] = Object.assign(node, { id: "" });
  }
  const rollout = await picket<Rollout>("rollout", "start", "immune@1", "--steps", "100%:1s");
  await eventually(
    async () => (await controlPlane.api<Rollout>("GET", `/v1/rollouts/${rollout.id}`)).state === "complete",
    "the rules are everywhere",
    60_000,
  );
  const { items } = await controlPlane.api<{ items: NodeRow[] }>("GET", "/v1/nodes");
  for (const [name, node] of Object.entries(nodes))
    node.id = items.find(({ hostname }) => hostname === `immunity-${name}`)!.id;
}, 240_000);

afterAll(async () => {
  for (const node of Object.values(nodes)) await node.remove();
  await mariadb?.stop();
  await controlPlane?.stop();
}, 120_000);

async function send(node: Node, sql: string) {
  const [got] = await runStatements({
    cgroup: node.cgroup.path,
    server: mariadb,
    dialect: "mysql",
    protocol: "text",
    database: DATABASE,
    statements: [sql],
  });
  return got!.error === undefined ? "passed" : got!.error.message;
}

const STOPPED = /Picket blocked/;
const immunityOf = async ({ agent }: Node) => (await agent.status()).report.immunity!;
const verdicts = async () => await controlPlane.picket<SharedVerdictRow[]>("immunity", "ls");
const shapeOf = (sql: string) => lex(Buffer.from(sql), { dialect: "mysql" });
const shared = (sql: string) =>
  eventually(
    async () =>
      (await verdicts()).find(
        ({ shape, state }) => shape === shapeOf(sql).shapeSha256 && state === "in-force",
      ),
    "the verdict is shared",
  );
const believedBy = (id: string, count: number) =>
  eventually(
    async () => (await verdicts()).find(row => row.id === id && row.believed === count),
    `${count} nodes believe it`,
  );

test("what one node stops at its first use, the kernel of another one denies at its first use, though nothing is held there", async () => {
  // Nothing is held on b: a first use passes, is judged, and told.
  expect(await send(nodes.b, attack("not_held"))).toBe("passed");
  expect(await send(nodes.a, attack("first"))).toMatch(STOPPED);
  const verdict = await shared(attack("first"));
  expect(verdict.source).toBe(nodes.a.id);
  await believedBy(verdict.id, 3);
  expect(await send(nodes.b, attack("first"))).toMatch(STOPPED);
  const detection = await nodes.b.agent.detection(
    each => each.kind === "statement" && each.shape === verdict.shape,
    "b tells of it",
  );
  expect(detection).toMatchObject({ stage: "kernel", guarantee: "prevented", rules: [verdict.rule] });
});

test("a node that was away reads it when it is back, and knows it again without the control plane", async () => {
  const { c } = nodes;
  await c.agent.stop();
  expect(await send(nodes.a, attack("while_away"))).toMatch(STOPPED);
  const verdict = await shared(attack("while_away"));
  await believedBy(verdict.id, 2);
  await c.startAgain();
  await believedBy(verdict.id, 3);
  const { believed } = await immunityOf(c);
  await c.agent.stop();
  await controlPlane.kill();
  try {
    await c.startAgain();
    expect(await immunityOf(c)).toMatchObject({ believed });
    expect(await send(c, attack("while_away"))).toMatch(STOPPED);
  } finally {
    await controlPlane.restart();
  }
}, 120_000);

test("what a person revokes is judged anew on every node", async () => {
  expect(await send(nodes.a, attack("revoked"))).toMatch(STOPPED);
  const { id } = await shared(attack("revoked"));
  await believedBy(id, 3);
  const { believed } = await immunityOf(nodes.b);
  await controlPlane.picket("immunity", "revoke", id, "--reason", "a report of ours");
  await eventually(
    async () => (await immunityOf(nodes.b)).believed === believed - 1,
    "b no longer believes it",
  );
  expect(await send(nodes.b, attack("revoked"))).toBe("passed");
});

// Whoever has taken the control plane over has the online key, and its database.
async function forge(
  sql: string,
  {
    key = online,
    ttlMs = 600_000,
    change = {},
  }: { key?: KeyObject; ttlMs?: number; change?: Partial<Denial> } = {},
): Promise<string> {
  const { shape: text, shapeSha256 } = shapeOf(sql);
  const client = new pg.Client(controlPlane.databaseUrl);
  await client.connect();
  try {
    const { rows } = await client.query<{ next: string }>(
      "select nextval('shared_verdict_sequence') as next",
    );
    const denial: Denial = {
      format: 1,
      kind: "deny",
      id: randomUUID() as SharedVerdictId,
      sequence: Number(rows[0]!.next),
      issuedAt: new Date().toISOString(),
      expiresAt: new Date(Date.now() + ttlMs).toISOString(),
      shape: shapeSha256 as ShapeDigest,
      dialect: "mysql",
      text,
      rule: "forged",
      source: nodes.a.id as Denial["source"],
      ...change,
    };
    await client.query(
      `insert into shared_verdicts (id, state, shape, dialect, text, rule, rule_set, version, source, judged_at, claimed_at,
        issued_at, expires_at, sequence, envelope)
       values ($1, 'in-force', $2, 'mysql', $3, 'forged', 'immune', 1, $4, now(), now(), now(), $5, $6, $7)`,
      [
        denial.id,
        denial.shape,
        text,
        nodes.a.id,
        new Date(Date.now() + 600_000),
        denial.sequence,
        JSON.stringify(signSharedVerdict(denial, key)),
      ],
    );
    return denial.id;
  } finally {
    await client.end();
  }
}

/** A real one after it makes the nodes read on. */
async function makeThemRead(name: string): Promise<void> {
  await send(nodes.a, attack(name));
  await believedBy((await shared(attack(name))).id, 3);
}

const HONEST = "SELECT name AS honest FROM picket_users WHERE id = 1";

test("with the online key alone nobody is made to deny what is allowed, honest or not hostile", async () => {
  expect(await send(nodes.b, HONEST)).toBe("passed");
  const forged = {
    "allowed-here": await forge(attack("allowed")),
    "honest-here": await forge(HONEST),
    "not-hostile-here": await forge("SELECT name AS never_sent FROM picket_users WHERE id = 1"),
    "other-shape": await forge(attack("one"), { change: { text: shapeOf(attack("another")).shape } }),
  };
  await makeThemRead("after_forging");
  for (const [because, id] of Object.entries(forged)) {
    const { nodes: answers } = await eventually(async () => {
      const row = await controlPlane.picket<{ nodes: { node: string; because: string | null }[] }>(
        "immunity",
        "show",
        id,
      );
      return row.nodes.length === 3 ? row : undefined;
    }, "all have answered");
    expect(answers.find(({ node }) => node === nodes.b.id)?.because).toBe(because);
    expect(answers.filter(each => each.because === null)).toEqual([]);
  }
  expect(await send(nodes.b, attack("allowed"))).toBe("passed");
  expect(await send(nodes.b, HONEST)).toBe("passed");
});

test("what another key signed, what is changed, over or holds too long is refused and counted", async () => {
  const before = (await immunityOf(nodes.b)).refused;
  await forge(attack("foreign_key"), { key: generateKeyPairSync("ed25519").privateKey });
  await forge(attack("is_over"), { ttlMs: -1_000 });
  await forge(attack("too_long"), { ttlMs: 30 * 86_400_000 });
  await makeThemRead("after_refusals");
  const { refused } = await immunityOf(nodes.b);
  for (const code of ["foreign-key", "expired", "ttl-above-cap"] as const)
    expect((refused[code] ?? 0) - (before[code] ?? 0), code).toBe(1);
  expect(await send(nodes.b, attack("foreign_key"))).toBe("passed");
});

test("a verdict ends by itself when its time is over", async () => {
  const { believed } = await immunityOf(nodes.b);
  const id = await forge(attack("short"), { ttlMs: 8_000 });
  await makeThemRead("after_short");
  await eventually(async () => {
    const row = await controlPlane.picket<{ nodes: { node: string; because: string | null }[] }>(
      "immunity",
      "show",
      id,
    );
    return row.nodes.some(({ node, because }) => node === nodes.b.id && because === null);
  }, "b believes it");
  await eventually(async () => (await immunityOf(nodes.b)).believed === believed + 1, "b has ended it");
  expect(await send(nodes.b, attack("short"))).toBe("passed");
});

test("what only one node claimed ends when it is put in quarantine; what others claimed stays", async () => {
  expect(await send(nodes.c, attack("of_c"))).toBe("passed");
  const alone = await shared(attack("of_c"));
  const others = await shared(attack("not_held"));
  await believedBy(alone.id, 3);
  expect(await send(nodes.b, attack("of_c"))).toMatch(STOPPED);
  await controlPlane.picket("nodes", "quarantine", nodes.c.id, "it may lie");
  const ended = (await verdicts()).find(({ id }) => id === alone.id);
  expect(ended).toMatchObject({ state: "revoked", because: "who claimed it is in quarantine" });
  expect((await verdicts()).find(({ id }) => id === others.id)?.state).toBe("in-force");
  await eventually(
    async () => (await send(nodes.b, attack("of_c"))) === "passed" || undefined,
    "b has let go of it",
  );
});

test("the operator's switch takes everything back, and nothing is shared until it is on again", async () => {
  await controlPlane.picket<ImmunityStatus>("immunity", "off", "--reason", "an exercise");
  await eventually(async () => (await immunityOf(nodes.b)).believed === 0, "b believes nothing");
  expect(await send(nodes.a, attack("while_off"))).toMatch(STOPPED);
  await eventually(
    async () =>
      (await verdicts()).some(
        ({ shape, state }) => shape === shapeOf(attack("while_off")).shapeSha256 && state === "pending",
      ),
    "it is claimed, and waits",
  );
  const status = await controlPlane.picket<ImmunityStatus>("immunity", "on");
  expect(status).toMatchObject({ stopped: null });
  await shared(attack("while_off"));
});
