/**
 * First use: a statement of a shape that nobody has judged waits in the kernel until it is. An attack is stopped at
 * its first use, with the server's own error; honest statements pass; and what the agent or the keeper suffer
 * meanwhile costs nobody a statement.
 */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Agent, eventually, forget, startAgent } from "../harness/agent.ts";
import { type Cgroup, makeCgroup, startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { runStatements } from "./run-statements.ts";
import { DATABASE, SCHEMA } from "./shop-rules.ts";

const CORE_RULES = `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: held
spec:
  core: true
`;

let mariadb: Awaited<ReturnType<typeof startMariaDB>>;
let postgresql: Awaited<ReturnType<typeof startPostgreSQL>>;
let cgroup: Cgroup;
let agent: Agent;

beforeAll(async () => {
  cgroup = makeCgroup(`picket-test-hold-${process.pid}`);
  [mariadb, postgresql] = await Promise.all([
    startMariaDB({ database: DATABASE }),
    startPostgreSQL({ database: DATABASE }),
  ]);
  await mariadb.exec(SCHEMA.mysql);
  await postgresql.exec(SCHEMA.pg);
  agent = await startAgent({
    cgroup: cgroup.path,
    rules: CORE_RULES,
    env: { PICKET_COMPARE_ONE_IN: "1" },
  });
  await agent.guard(cgroup.path);
});

afterAll(async () => {
  await agent?.stop();
  await Promise.all([mariadb?.stop(), postgresql?.stop()]);
  await cgroup?.remove();
  if (agent) forget(agent);
});

const run = (dialect: "mysql" | "pg", protocol: "text" | "prepared", statements: string[]) =>
  runStatements({
    cgroup: cgroup.path,
    server: dialect === "pg" ? postgresql : mariadb,
    dialect,
    protocol,
    database: DATABASE,
    statements,
  });

const ATTACK =
  "SELECT id, name FROM picket_users WHERE id = 1 UNION SELECT 1, secret FROM picket_secrets -- ";

test.each([
  ["mysql", "text", 1644],
  ["mysql", "prepared", 1054],
  ["pg", "text", "42501"],
  ["pg", "prepared", "22P02"],
] as const)(
  "%s over %s: an injection of a shape never seen is stopped at its first use, and the connection lives",
  async (dialect, protocol, code) => {
    const attack = `${ATTACK}${protocol}`.replace(
      "picket_users",
      `picket_users ${protocol === "text" ? "t" : "p"}`,
    );
    const [before, stopped, after] = await run(dialect, protocol, [
      `SELECT name AS first_${protocol} FROM picket_users ORDER BY id`,
      attack,
      "SELECT 41 + 1 AS answer",
    ]);
    expect(before?.rows).toEqual([["alice"], ["bob"]]);
    expect(stopped?.error).toMatchObject({ code, message: expect.stringContaining("Picket blocked") });
    expect(after?.rows).toEqual([["42"]]);
    const detection = await agent.detection(
      each => each.kind === "statement" && each.dialect === dialect && each.guarantee === "prevented",
      "the detection of a statement that was stopped at its first use",
    );
    expect(detection).toMatchObject({ verdict: "attack", action: "block", stage: "token-rules" });
  },
);

test("what is held of programs that never ask FIONREAD is given back to the socket map that they are in", async () => {
  await agent.guard(cgroup.path, { fionread: "unused" });
  try {
    const [released, stopped] = await run("pg", "text", [
      "SELECT name AS of_the_plain_map FROM picket_users ORDER BY id",
      ATTACK.replace("picket_users", "picket_users of_the_plain_map"),
    ]);
    expect(released?.rows).toEqual([["alice"], ["bob"]]);
    expect(stopped?.error).toMatchObject({ code: "42501" });
  } finally {
    await agent.guard(cgroup.path);
  }
});

test.each(["mysql", "pg"] as const)(
  "%s: where tokens leave it grey the parser is asked while the statement waits",
  async dialect => {
    // The first question loads the parser, which takes longer than a statement may wait.
    const GREY = (column: string) =>
      `SELECT ${column} FROM picket_users WHERE id = 1 OR coalesce(null, 1) = 1`;
    const stopped = await eventually(async () => {
      const [got] = await run(dialect, "text", [GREY(`name AS c${Math.random().toString(36).slice(2, 9)}`)]);
      return got?.error;
    }, "a condition that is always true is stopped at its first use");
    expect(stopped.message).toContain("Picket blocked: ast-constant-condition");
  },
);

test("what the kernel knows is read again, and is what it was taken for", async () => {
  const KNOWN = (value: number) => `SELECT name AS compared FROM picket_users WHERE id = ${value}`;
  for (const dialect of ["mysql", "pg"] as const)
    await run(
      dialect,
      "text",
      Array.from({ length: 40 }, (_, i) => KNOWN(i)),
    );
  const compared = await eventually(async () => {
    const { compared } = (await agent.status()).report;
    return (compared?.same ?? 0) > 20 ? compared : undefined;
  }, "known statements that were compared");
  expect(compared.other).toBe(0);
});

const keeperOf = () =>
  readdirSync("/proc")
    .filter(
      name =>
        /^\d+$/.test(name) &&
        commandLine(name).includes(`picket-keeper /sys/fs/bpf/picket-${agent.instance} `),
    )
    .map(Number);

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return ""; // It ended meanwhile.
  }
}

test("one keeper runs, with the least that it needs in memory", () => {
  const [pid, ...others] = keeperOf();
  expect(others).toEqual([]);
  const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  expect(resident).toBeLessThan(20_000);
});

test("what was held is counted, in the report and for the doctor", async () => {
  await eventually(async () => ((await agent.status()).report.held?.held ?? 0) > 0 || undefined, "a count");
  const { checks } = await agent.call<{ checks: { name: string; detail: string }[] }>("GET", "/v1/doctor");
  expect(checks.find(({ name }) => name.includes("first uses"))?.detail).toContain("the keeper runs");
});

test("a keeper that hangs or crashes is told of with the reason and replaced; meanwhile what the rule set declares holds", async () => {
  const installed = async () => (await agent.status()).report.installed[0]?.version;
  const before = await installed();
  agent.writeRules(`${CORE_RULES}  hold: { onFailure: closed }\n`);
  await eventually(async () => (await installed()) !== before || undefined, "the rules that fail closed");
  const restarts = async () => (await agent.status()).report.held?.restarts ?? 0;
  const counted = await restarts();
  const [first] = keeperOf();
  process.kill(first!, "SIGSTOP");
  const refused = await eventually(async () => {
    const [got] = await run("pg", "text", [`SELECT name AS away_${Date.now()} FROM picket_users`]);
    return got?.error;
  }, "a shape never seen is refused while the keeper is away");
  expect(refused.message).toContain("picket:unjudged");
  const second = await eventually(() => keeperOf().find(pid => pid !== first), "a keeper in its place");
  expect(agent.log()).toContain("the keeper is silent");
  await eventually(async () => {
    const [got] = await run("pg", "text", [`SELECT name AS back_${Date.now()} FROM picket_users`]);
    return got?.rows;
  }, "a shape never seen is held and released again");
  process.kill(second, "SIGSEGV");
  await eventually(() => agent.log().includes("fatal signal 11") || undefined, "why it ended");
  await eventually(async () => (await restarts()) === counted + 2 || undefined, "both are counted");
  agent.writeRules(CORE_RULES);
});

test("a keeper that is killed is started again, and holds again", async () => {
  const [before] = keeperOf();
  process.kill(before!, "SIGKILL");
  await eventually(async () => {
    const [now] = keeperOf();
    return now !== undefined && now !== before ? now : undefined;
  }, "a new keeper");
  const stopped = await eventually(async () => {
    const [got] = await run("mysql", "text", [
      `${ATTACK}${Math.random()}`.replace("name", `name AS n${Date.now()}`),
    ]);
    return got?.error;
  }, "an injection stopped at its first use");
  expect(stopped.message).toContain("Picket blocked");
});
