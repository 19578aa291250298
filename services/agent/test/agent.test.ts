/** The agent alone with rules from a directory, on the real kernel, between real drivers and real databases. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { type Database, startMariaDB, startPostgreSQL } from "@picket/infra/databases";
import type { Doctor } from "@picket/shared/control-socket";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Application, startApplication } from "./application.ts";
import { areGone, eventually, held, makeHost } from "./host.ts";

const BAD = "SELECT name FROM users WHERE id = 1 UNION SELECT secret FROM vault";
const RULES = (action: string, more = "") => `
apiVersion: picket/v1
kind: RuleSet
metadata: { name: shop }
spec:
  core: false
  ${more}
  shapes:
    - { id: union-vault, action: ${action}, sql: "${BAD}" }
  rules:
    - id: sleep-call
      title: Time-based injection
      severity: high
      action: block
      tokens: "sleep '('"
      reason: No honest statement of the shop sleeps.
`;

let mariadb: Database;
let postgresql: Database;
const TABLES = `CREATE TABLE users (id INT, name VARCHAR(50)); CREATE TABLE vault (secret VARCHAR(50));
  INSERT INTO users VALUES (1, 'alice'); INSERT INTO vault VALUES ('hunter2');`;

beforeAll(async () => {
  [mariadb, postgresql] = await Promise.all([
    startMariaDB({ database: "shop" }),
    startPostgreSQL({ database: "shop", settings: { log_min_messages: "panic" } }),
  ]);
  await mariadb.exec(`USE shop; ${TABLES}`);
  await postgresql.exec(`\\c shop\nSET ROLE picket; ${TABLES}`);
});
afterAll(async () => {
  await Promise.all([mariadb?.stop(), postgresql?.stop()]);
});

let host: ReturnType<typeof makeHost>;
const applications: Application[] = [];
beforeEach(() => {
  host = makeHost();
});
afterEach(async () => {
  for (const application of applications.splice(0)) await application.stop().catch(() => {});
  await host.end();
});

const connect = async (driver: "mysql2" | "pg") => {
  const application = await startApplication(
    driver,
    driver === "pg" ? postgresql : mariadb,
    host.cgroup.path,
  );
  applications.push(application);
  return application;
};

describe.each(["mysql2", "pg"] as const)("%s", driver => {
  test("observes until it is told to enforce, then blocks with a clean SQL error; the next statement works", async () => {
    host.writeRules(RULES("block"));
    await host.start();
    const application = await connect(driver);
    expect((await application.run(BAD)).rows).toHaveLength(2);
    const observed = await eventually(
      async () => (await host.statements())[0],
      "the observed attempt is told",
    );
    expect(observed).toMatchObject({
      verdict: "attack",
      action: "block",
      guarantee: "observed",
      wouldBlock: true,
      rules: ["union-vault"],
      stage: "kernel",
    });
    expect(observed.sql).not.toContain("1");

    await host.guard();
    const blocked = await application.run(BAD.replace("1", "77"));
    expect(blocked.error).toContain("Picket blocked: union-vault");
    expect(blocked.code).toBe(driver === "pg" ? "42501" : "1644");
    expect((await application.run("SELECT name FROM users WHERE id = 1")).rows).toEqual([{ name: "alice" }]);
    const prevented = await eventually(
      async () => (await host.statements()).find(({ guarantee }) => guarantee === "prevented"),
      "the prevented attempt is told",
    );
    expect(prevented).toMatchObject({
      wouldBlock: false,
      shape: observed.shape,
      process: { pid: application.pid },
    });
  });

  test.each([
    ["on", "is held at its first use, judged hostile, and blocked then and from then on", "prevented"],
    ["off", "passes once where nothing is held, is judged hostile, and is blocked from then on", "observed"],
  ])("hold %s: a shape that nobody listed %s", async (mode, _what, guarantee) => {
    host.writeRules(RULES("block", `hold: { mode: "${mode}" }`));
    await host.start();
    await host.guard();
    const application = await connect(driver);
    const sleep = driver === "pg" ? "SELECT sleep(0.01)" : "SELECT sleep(0.001)";
    const { error } = await application.run(sleep);
    if (mode === "on") expect(error).toContain("Picket blocked: sleep-call");
    const first = await eventually(async () => (await host.statements())[0], "the first use is told");
    expect(first).toMatchObject({
      guarantee,
      stage: "token-rules",
      rules: ["sleep-call"],
      wouldBlock: false,
    });
    expect((await application.run(sleep)).error).toContain("Picket blocked: sleep-call");
    const second = await eventually(
      async () => (await host.statements()).find(({ stage }) => stage === "kernel"),
      "its next use is prevented by the kernel",
    );
    expect(second).toMatchObject({ shape: first.shape, rules: ["sleep-call"], guarantee: "prevented" });
  });

  test("prepared: a blocked statement is refused at prepare, and the connection lives", async () => {
    host.writeRules(RULES("block").replace("id = 1", driver === "pg" ? "id = $1" : "id = ?"));
    await host.start();
    await host.guard();
    const application = await connect(driver);
    const bad = BAD.replace("id = 1", driver === "pg" ? "id = $1" : "id = ?");
    expect((await application.run(bad, [1])).error).toContain("Picket blocked");
    const honest =
      driver === "pg" ? "SELECT name FROM users WHERE id = $1" : "SELECT name FROM users WHERE id = ?";
    expect((await application.run(honest, [1])).rows).toEqual([{ name: "alice" }]);
  });
});

describe("rules from the directory", () => {
  test("a changed file is the next version, without a connection lost; a broken one keeps the old version blocking", async () => {
    host.writeRules(RULES("observe"));
    await host.start();
    await host.guard();
    const application = await connect("mysql2");
    expect((await application.run(BAD)).rows).toHaveLength(2);
    host.writeRules(RULES("block"));
    await eventually(
      async () => ((await application.run(BAD)).error ? true : undefined),
      "the new version blocks",
    );
    host.writeRules("spec: [");
    const refused = await eventually(
      async () => (await host.status()).report.installed.find(({ kind }) => kind === "kept-last-good"),
      "the refusal is reported",
    );
    expect(refused).toMatchObject({ because: { code: "compile-failed" }, version: 2, refused: 3 });
    expect((await application.run(BAD)).error).toContain("Picket blocked");
  });

  test("without any rules the core rules judge, and nothing is blocked", async () => {
    await host.start();
    const { rulesFrom, report } = await host.status();
    expect(rulesFrom).toBe("directory");
    expect(report.installed).toMatchObject([{ kind: "active", ruleSet: "core" }]);
  });
});

describe("verdicts by hand", () => {
  test("block at once, are listed and reported up, and end when they are deleted", async () => {
    host.writeRules(RULES("observe"));
    await host.start();
    await host.guard();
    const application = await connect("pg");
    const honest = "SELECT name FROM users WHERE id = 1";
    expect((await application.run(honest)).rows).toHaveLength(1);
    const made = await host.call<{ id: string; shape: string }>("PUT", "/v1/verdicts", {
      dialect: "pg",
      sql: honest,
      action: "block",
      reason: "leaking names",
      ttl: "10m",
    });
    expect(made.shape).not.toContain("1");
    expect((await application.run(honest)).error).toContain("Picket blocked: control-socket");
    const { report } = await host.status();
    expect(report.overrides).toMatchObject([{ action: "block", reason: "leaking names" }]);
    expect(
      (await host.detections()).some(each => each.kind === "connection" && each.what === "local-override"),
    ).toBe(true);
    await host.call("DELETE", `/v1/verdicts/${made.id}`);
    expect((await application.run(honest)).rows).toHaveLength(1);
  });

  test("expire by themselves", async () => {
    await host.start();
    await host.guard();
    const application = await connect("pg");
    const verdict = { dialect: "pg", sql: "SELECT 41", action: "block", reason: "test", ttl: "1s" };
    await host.call("PUT", "/v1/verdicts", verdict);
    expect((await application.run("SELECT 42")).error).toContain("Picket blocked");
    await eventually(
      async () => ((await application.run("SELECT 43")).rows ? true : undefined),
      "it expires",
    );
  });

  test("allow what a rule blocks", async () => {
    host.writeRules(RULES("block"));
    await host.start();
    await host.guard();
    const application = await connect("mysql2");
    expect((await application.run(BAD)).error).toContain("Picket blocked");
    await host.call("PUT", "/v1/verdicts", {
      dialect: "mysql",
      sql: BAD,
      action: "allow",
      reason: "x",
      ttl: "1h",
    });
    expect((await application.run(BAD)).rows).toHaveLength(2);
  });
});

describe("connections", () => {
  test("each is listed with its guarantee; guarding changes it", async () => {
    host.writeRules(RULES("block"));
    await host.start();
    const application = await connect("pg");
    await application.run("SELECT 1");
    const mine = async () =>
      (await host.status()).report.connections.find(({ process }) => process.pid === application.pid);
    expect(await eventually(mine, "the connection is listed")).toMatchObject({
      dialect: "pg",
      guarantee: "observed",
    });
    await host.guard();
    expect(await mine()).toMatchObject({ guarantee: "prevented" });
  });

  test("one that was open before the agent is adopted and guarded from its next statement", async () => {
    host.writeRules(RULES("block"));
    const application = await connect("mysql2");
    await application.run("SELECT 1");
    await host.start();
    await host.guard();
    expect((await application.run("SELECT 2")).rows).toHaveLength(1);
    expect((await application.run(BAD)).error).toContain("Picket blocked");
  });

  test("one over a UNIX socket is listed as unseen, with the reason and what to do", async () => {
    await host.start();
    const client = spawn(
      "mariadb",
      ["--no-defaults", `--socket=${mariadb.socket}`, "--user=root", "-e", "SELECT SLEEP(30)"],
      { stdio: "ignore" },
    );
    try {
      const listed = await eventually(async () => {
        const { connections } = await host.call<Doctor>("GET", "/v1/doctor");
        return connections.find(({ path }) => path === mariadb.socket);
      }, "the connection is listed");
      expect(listed).toMatchObject({ dialect: "mysql", guarantee: "unseen", process: { comm: "mariadbd" } });
      expect(listed.why).toContain("connect to 127.0.0.1 to be seen");
    } finally {
      client.kill();
    }
  });

  test("one outside of where the agent watches is listed as unseen", async () => {
    await host.start();
    const elsewhere = makeHost();
    const application = await startApplication("pg", postgresql, elsewhere.cgroup.path);
    applications.push(application);
    const { connections } = await host.call<Doctor>("GET", "/v1/doctor");
    expect(connections.find(({ process }) => process.pid === application.pid)).toMatchObject({
      guarantee: "unseen",
      why: expect.stringContaining("outside"),
    });
    await application.stop();
    applications.length = 0;
    await elsewhere.end();
  });

  test("a process is guarded by its id, with the connections that it has open; its neighbours are not", async () => {
    host.writeRules(RULES("block"));
    await host.start();
    const [guarded, neighbour] = [await connect("pg"), await connect("pg")];
    expect((await guarded.run(BAD)).rows).toHaveLength(2);
    await host.call("PUT", "/v1/workloads", { selector: { kind: "pid", pid: guarded.pid }, mode: "enforce" });
    expect((await guarded.run(BAD)).error).toContain("Picket blocked");
    expect((await neighbour.run(BAD)).rows).toHaveLength(2);
    const { report } = await host.status();
    const guarantee = (pid: number) =>
      report.connections.find(({ process }) => process.pid === pid)?.guarantee;
    expect([guarantee(guarded.pid), guarantee(neighbour.pid)]).toEqual(["prevented", "observed"]);
  });
});

describe("the end", () => {
  test("stopped: statements pass at once, and no program, map, link or pin is left", async () => {
    host.writeRules(RULES("block"));
    await host.start();
    await host.guard();
    const application = await connect("mysql2");
    expect((await application.run(BAD)).error).toContain("Picket blocked");
    const whileRunning = held();
    expect(whileRunning.size).toBeGreaterThan(20);
    await host.stop();
    expect((await application.run(BAD)).rows).toHaveLength(2);
    expect([...held()]).toEqual([]);
    await application.stop();
    applications.length = 0;
    // What had to wait for the connection goes with the next start and stop.
    await host.start();
    await host.stop();
    expect(existsSync(host.pins)).toBe(false);
    await areGone(whileRunning);
  });

  test("told to keep enforcing: blocked while no agent runs, and by the next one", async () => {
    host.writeRules(RULES("block"));
    await host.start({ PICKET_KEEP_ENFORCING: "1" });
    await host.guard();
    const application = await connect("pg");
    await host.stop();
    expect((await application.run(BAD)).error).toContain("Picket blocked");
    const meanwhile = await connect("pg");
    expect((await meanwhile.run(BAD)).error).toContain("Picket blocked");
    await host.start();
    expect((await application.run(BAD)).error).toContain("Picket blocked");
    expect((await meanwhile.run("SELECT 1")).rows).toHaveLength(1);
  });

  test("a second agent on an overlapping cgroup is refused in plain words", async () => {
    await host.start();
    const other = makeHost();
    await expect(other.start({ PICKET_CGROUP: host.cgroup.path })).rejects.toThrow(
      /watches the cgroup .* overlaps/,
    );
    await other.end();
  });
});
