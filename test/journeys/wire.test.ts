/**
 * Bytes arrive as they please: byte by byte, two messages in one send, 20 MB in several packets, file content
 * that reads like queries. Framing stays right, honest traffic is untouched, and what is blocked is named as
 * what it was: prevented while the frame's start was in hand, severed when earlier bytes had left.
 */
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { createConnection } from "mysql2/promise";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Agent, forget, startAgent } from "../harness/agent.ts";
import { type Cgroup, inCgroup, makeCgroup, startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { joinCgroup } from "../harness/join-cgroup.ts";
import { comQuery, pgQuery, RawMySql, RawPostgres } from "./raw.ts";
import { DATABASE, SCHEMA, SHOP_RULES } from "./shop-rules.ts";

const UNION = "SELECT id, name FROM picket_users WHERE id = 7 UNION SELECT id, secret FROM picket_secrets";
const HONEST = "SELECT id, name FROM picket_users WHERE id = 2";

let mariadb: Awaited<ReturnType<typeof startMariaDB>>;
let postgresql: Awaited<ReturnType<typeof startPostgreSQL>>;
let cgroup: Cgroup;
let agent: Agent;
let leaveCgroup: () => void;
const scratch = mkdtempSync(join(tmpdir(), "picket-wire-"));

beforeAll(async () => {
  const trust = join(scratch, "pg_hba.conf");
  chmodSync(scratch, 0o755); // The server's account reads it.
  writeFileSync(trust, "local all all trust\nhost all all 127.0.0.1/32 trust\n", { mode: 0o644 });
  cgroup = makeCgroup(`picket-test-wire-${process.pid}`);
  [mariadb, postgresql] = await Promise.all([
    startMariaDB({ database: DATABASE }),
    startPostgreSQL({ database: DATABASE, settings: { hba_file: trust } }),
  ]);
  await mariadb.exec(SCHEMA.mysql);
  await postgresql.exec(SCHEMA.pg);
  agent = await startAgent({ cgroup: cgroup.path, rules: SHOP_RULES });
  await agent.guard(cgroup.path);
  leaveCgroup = joinCgroup(cgroup.path);
});

afterAll(async () => {
  leaveCgroup?.();
  await agent?.stop();
  await Promise.all([mariadb?.stop(), postgresql?.stop()]);
  await cgroup?.remove();
  if (agent) forget(agent);
});

const rawMysql = () => RawMySql.connect(mariadb.port, "raw", DATABASE);
const rawPostgres = (options = {}) =>
  RawPostgres.connect(postgresql.port, postgresql.user, DATABASE, options);
const mysql2 = () =>
  createConnection({
    host: "127.0.0.1",
    port: mariadb.port,
    user: mariadb.user,
    password: mariadb.password,
    database: DATABASE,
    flags: ["+LOCAL_FILES"],
  });

test("MySQL: an honest statement sent byte by byte is answered as ever", async () => {
  const client = await rawMysql();
  await client.sendByteByByte(comQuery(HONEST));
  expect(await client.answer()).toEqual({ ok: true, rows: 1 });
  client.close();
});

test("MySQL: a blocked statement sent byte by byte never reaches the server whole, and the detection says severed", async () => {
  const client = await rawMysql();
  const whole = await rawMysql();
  await whole.send(comQuery(UNION));
  expect(await whole.answer()).toMatchObject({ ok: false, code: "1644" });
  await expect(
    (async () => {
      await client.sendByteByByte(comQuery(UNION));
      return client.answer();
    })(),
  ).rejects.toThrow();
  const severed = await agent.detection(
    d => d.kind === "statement" && d.guarantee === "severed" && d.dialect === "mysql",
    "the severed statement is detected",
  );
  const prevented = await agent.detection(
    d => d.kind === "statement" && d.guarantee === "prevented" && d.dialect === "mysql",
    "the whole statement is detected",
  );
  expect(severed).toMatchObject({ verdict: "attack" });
  // The same fingerprint, whatever the sends: the shape that was judged is one.
  expect((severed as { shape?: string }).shape).toBe((prevented as { shape?: string }).shape);
  whole.close();
});

test("PostgreSQL: an honest statement sent byte by byte is answered as ever", async () => {
  const client = await rawPostgres();
  await client.sendByteByByte(pgQuery(HONEST));
  expect(await client.answer()).toEqual({ ok: true, rows: 1 });
  client.close();
});

test("PostgreSQL: a blocked statement sent byte by byte is severed", async () => {
  const client = await rawPostgres();
  await expect(
    (async () => {
      await client.sendByteByByte(pgQuery(UNION));
      return client.answer();
    })(),
  ).rejects.toThrow();
  await agent.detection(
    d => d.kind === "statement" && d.guarantee === "severed" && d.dialect === "pg",
    "the severed statement is detected",
  );
});

test("MySQL: of two statements in one send the bad one fails and the honest one is answered", async () => {
  for (const [first, second] of [
    [UNION, HONEST],
    [HONEST, UNION],
  ] as const) {
    const client = await rawMysql();
    await client.send(comQuery(first), comQuery(second));
    const answers = [await client.answer(), await client.answer()];
    expect(answers.map(answer => answer.ok)).toEqual([first === HONEST, second === HONEST]);
    client.close();
  }
});

test("PostgreSQL: of two statements in one send the bad one fails and the honest one is answered", async () => {
  for (const [first, second] of [
    [UNION, HONEST],
    [HONEST, UNION],
  ] as const) {
    const client = await rawPostgres();
    await client.send(pgQuery(first), pgQuery(second));
    const answers = [await client.answer(), await client.answer()];
    expect(answers.map(answer => answer.ok)).toEqual([first === HONEST, second === HONEST]);
    client.close();
  }
});

test("PostgreSQL: SSLRequest answered N, then plain text: guarded", async () => {
  const client = await rawPostgres({ sslRequest: true });
  await client.send(pgQuery(UNION));
  expect(await client.answer()).toMatchObject({ ok: false, message: expect.stringContaining("Picket") });
  await client.send(pgQuery(HONEST));
  expect(await client.answer()).toEqual({ ok: true, rows: 1 });
  client.close();
});

test("MySQL: a 20 MB insert over several packets arrives whole, and the next statement is framed", async () => {
  const connection = await mysql2();
  const note = randomBytes(10 * 1024 * 1024).toString("hex");
  await connection.query(`INSERT INTO picket_journal (note) VALUES ('${note}')`);
  const [rows] = await connection.query(
    "SELECT sha2(note, 256) AS sum FROM picket_journal ORDER BY id DESC LIMIT 1",
  );
  expect((rows as { sum: string }[])[0]!.sum).toBe(createHash("sha256").update(note).digest("hex"));
  await expect(connection.query(UNION)).rejects.toMatchObject({ errno: 1644 });
  await connection.end();
});

test("MySQL: LOAD DATA LOCAL of a file that reads like queries is untouched and rightly framed", async () => {
  const connection = await mysql2();
  await connection.query("CREATE TEMPORARY TABLE loaded (line TEXT)");
  // Each line looks like the blocked statement; chunks of 5,000 bytes make more than 512 packets, so that the
  // sequence number wraps twice and a chunk begins with the byte of COM_QUERY.
  const lines = Array.from({ length: 30_000 }, (_, i) => `\x03${UNION.replace("7", String(i))}`);
  const content = Buffer.from(`${lines.join("\n")}\n`);
  function* chunks() {
    for (let at = 0; at < content.length; at += 5_000) yield content.subarray(at, at + 5_000);
  }
  await connection.query({
    sql: "LOAD DATA LOCAL INFILE 'statements.txt' INTO TABLE loaded FIELDS TERMINATED BY '\\0'",
    infileStreamFactory: () => Readable.from(chunks(), { objectMode: false }),
  } as Parameters<typeof connection.query>[0]);
  const [rows] = await connection.query("SELECT count(*) AS n, sum(length(line)) AS bytes FROM loaded");
  expect(rows).toMatchObject([{ n: lines.length, bytes: String(content.length - lines.length) }]);
  await expect(connection.query(UNION)).rejects.toMatchObject({ errno: 1644 });
  await connection.end();
});

test("MySQL: CHANGE_USER keeps the connection framed and guarded", async () => {
  const connection = await mysql2();
  await mariadb.exec("CREATE USER second@'%' IDENTIFIED BY 'second'; GRANT ALL ON *.* TO second@'%'");
  await connection.changeUser({ user: "second", password: "second", database: DATABASE });
  const [rows] = await connection.query("SELECT current_user() AS me");
  expect((rows as { me: string }[])[0]!.me).toMatch(/^second@/);
  await expect(connection.query(UNION)).rejects.toMatchObject({ errno: 1644 });
  await connection.end();
});

test("PostgreSQL: COPY in and out of rows that read like queries is untouched", async () => {
  const file = join(scratch, "copy.txt");
  const lines = Array.from({ length: 20_000 }, (_, i) => `Q${UNION.replace("7", String(i))}`);
  writeFileSync(file, `${lines.join("\n")}\n`);
  const script = `CREATE TEMP TABLE copied (line text);
\\copy copied FROM '${file}'
SELECT count(*), sum(length(line)) FROM copied;
\\copy copied TO '${file}.out'
${UNION};
SELECT 'still here';
`;
  const psql = inCgroup(
    cgroup.path,
    [
      "psql",
      "-X",
      "-t",
      "-A",
      "-h",
      "127.0.0.1",
      "-p",
      String(postgresql.port),
      "-U",
      postgresql.user,
      "-d",
      DATABASE,
    ],
    { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, PGSSLMODE: "disable" } },
  );
  let printed = "";
  psql.stdout!.on("data", chunk => {
    printed += chunk;
  });
  psql.stderr!.on("data", chunk => {
    printed += chunk;
  });
  psql.stdin!.end(script);
  await new Promise(resolve => psql.on("close", resolve));
  expect(printed).toContain(`${lines.length}|${lines.join("").length}`);
  expect(readFileSync(`${file}.out`, "utf8")).toBe(readFileSync(file, "utf8"));
  expect(printed).toMatch(/ERROR:.*Picket/);
  expect(printed).toContain("still here");
});

test("200 connections opened before the agent started are adopted and guarded", async () => {
  await agent.stop();
  const clients = await Promise.all([
    ...Array.from({ length: 100 }, rawMysql),
    ...Array.from({ length: 100 }, () => rawPostgres()),
  ]);
  for (const client of clients) {
    await client.send(client instanceof RawMySql ? comQuery(HONEST) : pgQuery(HONEST));
    expect(await client.answer()).toEqual({ ok: true, rows: 1 });
  }
  const before = agent;
  agent = await startAgent({
    cgroup: cgroup.path,
    rules: SHOP_RULES,
    state: before.state,
    instance: before.instance,
  });
  await agent.guard(cgroup.path);
  for (const client of clients) {
    await client.send(client instanceof RawMySql ? comQuery(HONEST) : pgQuery(HONEST));
    expect(await client.answer()).toEqual({ ok: true, rows: 1 });
    await client.send(client instanceof RawMySql ? comQuery(UNION) : pgQuery(UNION));
    expect(await client.answer()).toMatchObject({ ok: false, message: expect.stringContaining("Picket") });
    client.close();
  }
});
