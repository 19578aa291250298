/**
 * Drivers behave as with no agent for an application's honest traffic: the same statements through the same driver,
 * once outside and once inside a guarded workload that enforces the core rules, give the same rows and the same
 * errors, row by row. The statements are made to look dangerous where honest ones may: attack text inside literals,
 * comments that a tracing library adds, pipelined and prepared ones, errors in the middle, a megabyte in a value.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Agent, forget, startAgent } from "../harness/agent.ts";
import { type Cgroup, inCgroup, makeCgroup, startMariaDB, startPostgreSQL } from "../harness/index.ts";

const CLIENTS = fileURLToPath(new URL("./clients/", import.meta.url));
const DATABASE = "picket_results";
const CORE_RULES = `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: results
spec:
  core: true
`;

type Step = { sql: string; values?: (string | number | null)[] } | { together: Step[] };

const NASTY = [
  "O'Reilly",
  "back\\slash \\' and \\\\",
  "1' OR '1'='1",
  "'; DROP TABLE users; -- ",
  "x' UNION SELECT password FROM users #",
  "sleep(5) /*!50000 benchmark(1,1) */",
  "多言語 🙂 ñ \u00bf\u2019",
  'double "quotes" and `ticks`',
  "line\nbreak\ttab\r\n",
  "100% of $1 :name @var",
  "",
];

function steps(dialect: "mysql" | "pg", table: string): Step[] {
  const key = dialect === "mysql" ? "INT AUTO_INCREMENT PRIMARY KEY" : "SERIAL PRIMARY KEY";
  const long = dialect === "mysql" ? "LONGTEXT" : "TEXT";
  const name = dialect === "mysql" ? (word: string) => `\`${word}\`` : (word: string) => `"${word}"`;
  const insert = `INSERT INTO ${table} (name, note, n) VALUES (?, ?, ?)`;
  const byId = `SELECT id, name, note, n FROM ${table} WHERE id = ?`;
  return [
    { sql: `DROP TABLE IF EXISTS ${table}` },
    { sql: `CREATE TABLE ${table} (id ${key}, name VARCHAR(200) UNIQUE, note ${long}, n INT)` },
    ...NASTY.map((value, i) => ({ sql: insert, values: [`${i} ${value}`, value, i] })),
    { sql: insert, values: ["null", null, null] },
    { sql: insert, values: ["large", "x' OR 1=1 -- ".repeat(80_000), 12] },
    { sql: `SELECT length(note), n FROM ${table} WHERE name = ?`, values: ["large"] },
    { sql: insert, values: ["null", "twice", 1] }, // a duplicate key
    { sql: `SELECT id, name FROM ${table} WHERE note = ?`, values: ["1' OR '1'='1"] },
    { sql: `SELECT id FROM ${table} WHERE note LIKE ? ORDER BY id DESC LIMIT 3`, values: ["%UNION SELECT%"] },
    { sql: `SELECT id, note FROM ${table} WHERE id IN (?, ?, ?) ORDER BY id`, values: [1, 5, 9] },
    { sql: `SELECT id FROM ${table} WHERE n BETWEEN 2 AND 4 ORDER BY id /* traceparent='00-4bf9-01' */` },
    {
      sql: `SELECT t.${name("id")}, o.${name("name")} FROM ${table} t JOIN ${table} o ON o.n = t.n + 1 ORDER BY 1`,
    },
    {
      sql: `SELECT count(*), sum(n), max(name) FROM ${table} WHERE n > (SELECT avg(n) FROM ${table} WHERE n < 12)`,
    },
    {
      sql: `SELECT id, name FROM ${table} WHERE n = 1 UNION ALL SELECT id, name FROM ${table} WHERE n = 2`,
    },
    {
      sql: `SELECT CASE WHEN n IS NULL THEN 'none' WHEN n > 5 THEN 'many' ELSE 'few' END FROM ${table} ORDER BY id`,
    },
    { sql: `SELECT id FROM ${table} WHERE name = 'it''s; honest -- text' OR n = 3` },
    { sql: `SELECT nothing FROM ${table}` }, // an unknown column
    { sql: "SELEC 1" }, // a mistake
    { sql: dialect === "mysql" ? "START TRANSACTION" : "BEGIN" },
    { sql: `UPDATE ${table} SET n = n + 100, note = ? WHERE id = ?`, values: ["changed; DELETE FROM x", 2] },
    { sql: byId, values: [2] },
    { sql: "ROLLBACK" },
    { sql: byId, values: [2] },
    { together: Array.from({ length: 40 }, (_, i) => ({ sql: byId, values: [1 + (i % 11)] })) },
    {
      together: NASTY.map((value, i) => ({
        sql: `SELECT name FROM ${table} WHERE n = ? AND note = ?`,
        values: [i, value],
      })),
    },
    { sql: `DELETE FROM ${table} WHERE n > ?`, values: [8] },
    { sql: `SELECT id, n FROM ${table} ORDER BY n, id` },
    { sql: `DROP TABLE ${table}` },
  ];
}

let mariadb: Awaited<ReturnType<typeof startMariaDB>>;
/** ER_UNSUPPORTED_PS: MySQL itself does not prepare START TRANSACTION. */
const NOT_PREPARED = 1295;

let postgresql: Awaited<ReturnType<typeof startPostgreSQL>>;
let cgroup: Cgroup;
let agent: Agent;

beforeAll(async () => {
  cgroup = makeCgroup(`picket-test-results-${process.pid}`);
  [mariadb, postgresql] = await Promise.all([
    startMariaDB({ database: DATABASE }),
    startPostgreSQL({ database: DATABASE }),
  ]);
  agent = await startAgent({ cgroup: cgroup.path, rules: CORE_RULES });
  await agent.guard(cgroup.path);
});

afterAll(async () => {
  await agent?.stop();
  await Promise.all([mariadb?.stop(), postgresql?.stop()]);
  await cgroup?.remove();
  if (agent) forget(agent);
});

async function run(
  guarded: boolean,
  command: string[],
  input: string,
  env: Record<string, string>,
): Promise<string> {
  // The root of cgroup2 is watched by nobody here.
  const child = inCgroup(guarded ? cgroup.path : join(cgroup.path, ".."), command, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  child.stdin!.end(input);
  let out = "";
  let errors = "";
  child.stdout!.on("data", chunk => {
    out += chunk;
  });
  child.stderr!.on("data", chunk => {
    errors += chunk;
  });
  const code = await new Promise(resolve => child.on("close", resolve));
  if (code !== 0) throw new Error(`${command.join(" ")}: exit code ${code}\n${errors}${out.slice(0, 2_000)}`);
  return out;
}

function goProgram(): string {
  const binary = join(mkdtempSync(join(tmpdir(), "picket-go-")), "honest");
  const built = spawnSync("go", ["build", "-o", binary, "."], {
    cwd: join(CLIENTS, "go-honest"),
    env: { ...process.env, GO111MODULE: "off", GOPATH: "/usr/share/gocode", GOCACHE: `${binary}-cache` },
  });
  expect(built.stderr.toString()).toBe("");
  return binary;
}

function commandOf(driver: string, protocol: string): string[] {
  const server = ["psycopg2", "pg", "postgres.js"].includes(driver) ? postgresql : mariadb;
  switch (driver) {
    case "psycopg2":
    case "pymysql":
      // The distribution's, which has the drivers of its packages.
      return ["/usr/bin/python3", join(CLIENTS, "honest.py"), driver, String(server.port)];
    case "go-sql-driver": {
      const login = server.password ? `${server.user}:${server.password}` : server.user;
      const parameters = protocol === "text" ? "?interpolateParams=true" : "";
      return [goProgram(), `${login}@tcp(127.0.0.1:${server.port})/${DATABASE}${parameters}`];
    }
    default:
      return [process.execPath, join(CLIENTS, "honest.mjs"), driver, protocol, String(server.port)];
  }
}

test.each([
  ["mysql2", "query"],
  ["mysql2", "prepare"],
  ["mariadb", "query"],
  ["mariadb", "prepare"],
  ["pymysql", "text"],
  ["go-sql-driver", "text"],
  ["go-sql-driver", "prepare"],
  ["pg", "extended"],
  ["pg", "named"],
  ["postgres.js", "named"],
  ["postgres.js", "unnamed"],
  ["psycopg2", "text"],
])(
  "%s over %s: every row and every error is the same with the agent on and off",
  async (driver, protocol) => {
    const dialect = ["psycopg2", "pg", "postgres.js"].includes(driver) ? "pg" : "mysql";
    const server = dialect === "pg" ? postgresql : mariadb;
    const input = JSON.stringify(steps(dialect, `t_${driver.replace(/\W/g, "_")}_${protocol}`));
    const env = { DB_USER: server.user, DB_PASSWORD: server.password, DB_NAME: DATABASE };
    const command = commandOf(driver, protocol);
    const off = JSON.parse(await run(false, command, input, env)) as unknown[];
    // Twice: first every shape is new, then every one is known.
    for (const round of ["new shapes", "known shapes"]) {
      const on = JSON.parse(await run(true, command, input, env)) as unknown[];
      for (const [i, step] of (JSON.parse(input) as Step[]).entries())
        expect.soft(on[i], `${round}: ${JSON.stringify(step).slice(0, 200)}`).toEqual(off[i]);
    }
    // It did run: rows came back, and both mistakes and the duplicate key are errors.
    const errors = off.flatMap(got => (Array.isArray(got) ? [] : [(got as { error: unknown }).error]));
    expect(errors.filter(error => error !== NOT_PREPARED)).toHaveLength(3);
  },
  120_000,
);

test("nothing of all this was blocked", async () => {
  const detections = await agent.detections();
  expect(detections.filter(each => each.kind === "statement" && each.guarantee !== "observed")).toEqual([]);
});
