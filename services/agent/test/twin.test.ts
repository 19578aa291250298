/** A twin on the real kernel and real databases: it says what it would have done, and does nothing. */
import { readFileSync } from "node:fs";
import { type Database, startMariaDB, startPostgreSQL } from "@picket/infra/databases";
import type { Assignment } from "@picket/shared/contract";
import type { TwinReport } from "@picket/shared/twin";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Application, startApplication } from "./application.ts";
import { sha256, startControlPlane } from "./control-plane.ts";
import { corruptProgram } from "./corrupt.ts";
import { eventually, held, makeHost } from "./host.ts";

const HONEST = "SELECT name FROM users WHERE id = 1";
const ATTACK = "SELECT name FROM users WHERE id = 1 UNION SELECT secret FROM vault";
const NEITHER = "SELECT count(*) FROM users";
const ruleSet = (spec: string) => `
apiVersion: picket/v1
kind: RuleSet
metadata: { name: shop }
spec:
  core: false
  ${spec}
`;
const STABLE = ruleSet(`shapes: [{ id: no-vault, action: block, sql: "${ATTACK}" }]`);
/** It is wrong twice. */
const CANDIDATE = ruleSet(`shapes:
    - { id: no-names, action: block, sql: "${HONEST}" }
    - { id: vault-report, action: allow, sql: "${ATTACK}" }`);

let databases: Record<"mysql2" | "pg", Database>;
let controlPlane: Awaited<ReturnType<typeof startControlPlane>>;
let host: ReturnType<typeof makeHost>;

beforeAll(async () => {
  const [mysql2, pg] = await Promise.all([
    startMariaDB({ database: "shop" }),
    startPostgreSQL({ database: "shop" }),
  ]);
  databases = { mysql2, pg };
  const tables = `CREATE TABLE users (id INT, name VARCHAR(50)); CREATE TABLE vault (secret VARCHAR(50));
    INSERT INTO users VALUES (1, 'alice'); INSERT INTO vault VALUES ('hunter2');`;
  await mysql2.exec(`USE shop; ${tables}`);
  await pg.exec(tables);
});
afterAll(() => Promise.all(Object.values(databases ?? {}).map(database => database.stop())));

let applications: Application[] = [];
beforeEach(async () => {
  controlPlane = await startControlPlane();
  host = makeHost();
  await host.start({
    PICKET_URL: controlPlane.url,
    PICKET_JOIN_TOKEN: "join",
    PICKET_TWIN_INTERVAL: "1s",
  });
  await host.guard();
});
afterEach(async () => {
  await Promise.all(applications.map(application => application.stop()));
  applications = [];
  await host?.end();
  await controlPlane?.stop();
});

const application = async (driver: "mysql2" | "pg") => {
  const started = await startApplication(driver, databases[driver], host.cgroup.path);
  applications.push(started);
  return started;
};
const installed = (version: number) =>
  eventually(async () => {
    const told = controlPlane.installed();
    return told?.kind === "active" && told.version === version ? told : undefined;
  }, `version ${version} is reported active`);
let first: Buffer;
const stable = async (): Promise<Assignment> => {
  first = controlPlane.bundle({ version: 1, ruleText: STABLE });
  const assigned = controlPlane.assign(first);
  await installed(1);
  return assigned;
};
const twinOf = (beside: Assignment | null, change = {}) =>
  controlPlane.assign(controlPlane.bundle({ version: 2, ruleText: CANDIDATE, ...change }), {
    twin: beside && { version: beside.version, bundle: beside.bundle },
  });
const reported = (wanted: (report: TwinReport) => boolean, why: string) =>
  eventually(async () => controlPlane.twinReports.findLast(wanted), why);
const outcomes = async (by: Application, sql: string, times: number) => {
  let blocked = 0;
  for (let i = 0; i < times; i++) if ((await by.run(sql)).error?.includes("Picket blocked")) blocked += 1;
  return blocked;
};

describe.each(["mysql2", "pg"] as const)("%s", driver => {
  test("shapes that the kernel knew before, and new ones: both differences with their counts, and nothing but stable enforces", async () => {
    const beside = await stable();
    const shop = await application(driver);
    // Known to the kernel from here on.
    await outcomes(shop, HONEST, 12);
    expect(await outcomes(shop, ATTACK, 2)).toBe(2);
    const objects = held();
    twinOf(beside);
    expect(await installed(2)).toMatchObject({ twin: { beside: 1 } });
    expect(held()).toEqual(objects);

    expect(await outcomes(shop, HONEST, 20)).toBe(0);
    expect(await outcomes(shop, ATTACK, 5)).toBe(5);
    expect(await outcomes(shop, NEITHER, 9)).toBe(0);
    const report = await reported(({ statements }) => statements >= 34, "all of it is told");
    expect(report).toMatchObject({
      statements: 34,
      compared: 34,
      wouldBlock: 20,
      wouldPass: 5,
      otherwise: 0,
    });
    const dialect = driver === "pg" ? "pg" : "mysql";
    expect(report.differences).toMatchObject([
      {
        kind: "would-block",
        count: 20,
        dialect,
        stable: { verdict: "benign", action: "observe", rule: null },
        candidate: { verdict: "attack", action: "block", rule: "no-names" },
      },
      {
        kind: "would-pass",
        count: 5,
        stable: { verdict: "attack", action: "block", rule: "no-vault" },
        candidate: { verdict: "benign", action: "observe", rule: null },
      },
    ]);
    expect(report.differences[0]!.sql).toMatch(/^SELECT name FROM users WHERE id = \S+$/);
    expect(report.differences[0]!.sql).not.toContain("1");

    // It ends: what it found last is told, and nothing of it is left.
    await outcomes(shop, HONEST, 3);
    controlPlane.assign(first);
    expect((await installed(1)).twin).toBeUndefined();
    expect(await reported(({ wouldBlock }) => wouldBlock === 23, "the last is told")).toMatchObject({
      statements: 37,
    });
    expect(held()).toEqual(objects);
    expect(await outcomes(shop, ATTACK, 1)).toBe(1);
  });
});

test("first uses while it runs: held ones count one by one", async () => {
  const beside = await stable();
  twinOf(beside);
  await installed(2);
  const shop = await application("mysql2");
  expect(await outcomes(shop, ATTACK, 4)).toBe(4);
  expect(await outcomes(shop, HONEST, 30)).toBe(0);
  const report = await reported(({ wouldBlock }) => wouldBlock >= 30, "all of it is told");
  expect(report).toMatchObject({ wouldBlock: 30, wouldPass: 4 });
  expect(report.compared).toBe(report.statements);
});

test("a version that only tells in its own profile's mode: a locked twin finds what stable still learns", async () => {
  const beside = await stable();
  twinOf(beside, { ruleText: ruleSet("drift: { mode: enforce, locked: true }") });
  await installed(2);
  const shop = await application("mysql2");
  expect(await outcomes(shop, NEITHER, 1)).toBe(0);
  const report = await reported(({ otherwise }) => otherwise > 0, "it is told");
  expect(report.differences).toContainEqual(
    expect.objectContaining({
      kind: "otherwise",
      candidate: { verdict: "probe", action: "alert", rule: "drift-new" },
    }),
  );
});

test("a node that has not what is stable gets it first", async () => {
  const beside = controlPlane.assign(controlPlane.bundle({ version: 1, ruleText: STABLE }));
  twinOf(beside);
  expect(await installed(2)).toMatchObject({ twin: { beside: 1 } });
  const shop = await application("mysql2");
  expect(await outcomes(shop, ATTACK, 1)).toBe(1);
  expect(await outcomes(shop, HONEST, 1)).toBe(0);
});

test("where nothing of the rule set is stable it judges beside the core rules, and share 0 ends it", async () => {
  const twin = twinOf(null);
  expect(await installed(2)).toMatchObject({ twin: { beside: null } });
  const objects = held();
  const shop = await application("mysql2");
  expect(await outcomes(shop, HONEST, 2)).toBe(0);
  await reported(({ wouldBlock }) => wouldBlock === 2, "it is told");
  controlPlane.assign(controlPlane.bundle({ version: 2, ruleText: CANDIDATE }), { share: 0 });
  await eventually(async () => {
    const told = controlPlane.installed();
    return told && told.generation > twin.generation;
  }, "it has ended");
  expect(controlPlane.installed()).toMatchObject({ kind: "active", share: 0 });
  expect(await outcomes(shop, HONEST, 1)).toBe(0);
  expect(held()).toEqual(objects);
});

test("one that the verifier refuses is refused as at a switch, and stable goes on", async () => {
  const beside = await stable();
  const broken = readFileSync(new URL("../../../packages/bpf/dist/slot.bpf.o", import.meta.url));
  corruptProgram(broken);
  controlPlane.objects.set(sha256(broken), broken);
  twinOf(beside, { objects: { slot: sha256(broken) } });
  const refused = await eventually(async () => {
    const told = controlPlane.installed();
    return told?.kind === "kept-last-good" ? told : undefined;
  }, "it is refused");
  expect(refused).toMatchObject({ version: 1, refused: 2, because: { code: "verifier-refused" } });
  const shop = await application("mysql2");
  expect(await outcomes(shop, ATTACK, 1)).toBe(1);
});

test("a twin raises no floor", async () => {
  const beside = await stable();
  twinOf(beside, { floor: 2 });
  await installed(2);
  controlPlane.assign(controlPlane.bundle({ version: 1, ruleText: STABLE }));
  expect((await installed(1)).twin).toBeUndefined();
});
