/**
 * What a workload sends is learned from its own traffic; once the profile is locked, a statement made from a learned
 * one by splicing tokens in is stopped at its first use, though no rule names it, and the detection shows what was
 * spliced into which template.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Agent, eventually, forget, startAgent } from "../harness/agent.ts";
import { type Cgroup, makeCgroup, startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { runStatements } from "./run-statements.ts";
import { DATABASE, SCHEMA } from "./shop-rules.ts";

const RULES = (drift: string) => `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: profiles
spec:
  core: true
  drift: ${drift}
  hold: { deadline: 5s }
`;
const HONEST = (id: number) =>
  `SELECT name FROM picket_users WHERE id = ${id} AND name <> 'n${id}' ORDER BY id`;
const OTHER = "SELECT count(*) AS n FROM picket_journal WHERE note = 'x'";
/** Ordinary words, which no rule names. */
const SPLICED =
  "SELECT name FROM picket_users WHERE id = 7 OR name IN ('n1', 'n2') AND name <> 'n7' ORDER BY id";

describe.each(["mysql", "pg"] as const)("%s", dialect => {
  let server: Awaited<ReturnType<typeof startMariaDB | typeof startPostgreSQL>>;
  let cgroup: Cgroup;
  let agent: Agent;
  const run = (statements: string[], from = cgroup) =>
    runStatements({ cgroup: from.path, server, dialect, protocol: "text", database: DATABASE, statements });

  beforeAll(async () => {
    cgroup = makeCgroup(`picket-test-profiles-${dialect}-${process.pid}`);
    server = await (dialect === "mysql" ? startMariaDB : startPostgreSQL)({ database: DATABASE });
    await server.exec(SCHEMA[dialect]);
    agent = await startAgent({ cgroup: cgroup.path, rules: RULES("{ mode: learn }") });
    await agent.guard(cgroup.path);
  });

  afterAll(async () => {
    await agent?.stop();
    await server?.stop();
    await cgroup?.remove();
    if (agent) forget(agent);
  });

  const profile = async () => {
    const { items } = await agent.call<{ items: { workload: string; templates: number }[] }>(
      "GET",
      "/v1/profiles",
    );
    return items.find(({ templates }) => templates > 0) as
      | { workload: string; databaseUser: string; database: string; templates: number; learning: boolean }
      | undefined;
  };

  test("honest traffic is learned, by workload, database user and database", async () => {
    await run(Array.from({ length: 12 }, (_, i) => HONEST(i + 1)));
    const learned = await eventually(profile, "a profile with templates");
    expect(learned).toMatchObject({ databaseUser: server.user, database: DATABASE, learning: true });
  });

  test("while it learns, what no rule names passes", async () => {
    const [spliced, other] = await run([SPLICED.replace("ORDER BY id", "ORDER BY name"), OTHER]);
    expect(spliced?.error).toBeUndefined();
    expect(other?.error).toBeUndefined();
  });

  test("an export of it holds no value, and a template of it can be revoked", async () => {
    const { workload, databaseUser, database } = (await profile())!;
    const query = new URLSearchParams({ workload, user: databaseUser, database });
    const exported = await agent.call<{ templates: { words: string; shapes: string[] }[] }>(
      "GET",
      `/v1/profiles/export?${query}`,
    );
    expect(JSON.stringify(exported)).not.toContain("n7");
    const other = exported.templates.find(({ words }) => words.includes("picket_journal"));
    await agent.call("DELETE", `/v1/profiles?${query}&shape=${other!.shapes[0]}`);
    const after = await agent.call<{ templates: { words: string }[] }>("GET", `/v1/profiles/export?${query}`);
    expect(after.templates).toHaveLength(exported.templates.length - 1);
  });

  test("locked: tokens that were spliced into a template are stopped at their first use, and shown", async () => {
    agent.writeRules(RULES("{ mode: enforce, locked: true }"));
    await eventually(
      async () =>
        (await agent.status()).report.installed.some(({ version }) => version === 2) ? true : undefined,
      "the second version",
    );
    const [honest, spliced, again] = await run([HONEST(3), SPLICED, HONEST(4)]);
    expect(honest?.rows).toBeDefined();
    expect(spliced?.error?.message).toContain("Picket blocked: drift-splice");
    expect(again?.rows).toBeDefined();
    const detection = await agent.detection(
      each =>
        each.kind === "statement" && each.rules.includes("drift-splice") && each.guarantee === "prevented",
      "the detection of the splice",
    );
    expect(detection).toMatchObject({
      stage: "drift",
      evidence: [{ rule: "drift-splice", inserted: expect.stringMatching(/\bin\b/) }],
    });
  });

  test("what one workload has learned is new in another: its own profile is asked", async () => {
    const other = makeCgroup(`picket-test-profiles-${dialect}-${process.pid}/other`);
    try {
      await agent.guard(other.path);
      const [known] = await run([HONEST(5)]);
      expect(known?.rows).toBeDefined();
      await run([HONEST(6)], other);
      const detection = await agent.detection(
        each => each.kind === "statement" && each.rules.includes("drift-new"),
        "the detection of a statement that this workload never sent",
      );
      expect(detection).toMatchObject({ process: { workload: expect.stringContaining("other") } });
    } finally {
      await other.remove();
    }
  });
});
