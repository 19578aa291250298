// One driver and one protocol, as an application would use them: a transaction, a statement that the rule set
// blocks in the middle, the next statement on the same connection. Prints one line of JSON with what the
// application saw. Arguments: driver protocol port; connection settings are the harness's.
import mysql from "mysql2/promise";
import pg from "pg";
import postgres from "postgres";

const [driver, protocol, port] = process.argv.slice(2);
const BLOCKED = {
  literal: "SELECT id, name FROM picket_users WHERE id = 1 UNION SELECT id, secret FROM picket_secrets",
  mysql: "SELECT id, name FROM picket_users WHERE id = ? UNION SELECT id, secret FROM picket_secrets",
  pg: "SELECT id, name FROM picket_users WHERE id = $1 UNION SELECT id, secret FROM picket_secrets",
};

const seen = { driver, protocol, blocked: null, transaction: null, next: null, after: null };
const describe = error => ({
  code: String(error.code ?? ""),
  errno: error.errno,
  sqlState: error.sqlState ?? error.code,
  message: String(error.sqlMessage ?? error.message),
});

async function viaMysql2() {
  const connection = await mysql.createConnection({
    host: "127.0.0.1",
    port: Number(port),
    user: process.env.DB_USER,
    password: process.env.DB_PASSWORD,
    database: process.env.DB_NAME,
  });
  await connection.query("START TRANSACTION");
  await connection.query("INSERT INTO picket_journal (note) VALUES ('mysql2')");
  try {
    if (protocol === "prepare") await connection.execute(BLOCKED.mysql, [1]);
    else await connection.query(BLOCKED.literal);
    seen.blocked = { leaked: true };
  } catch (error) {
    seen.blocked = describe(error);
  }
  const [rows] = await connection.query("SELECT count(*) AS n FROM picket_journal");
  seen.transaction = Number(rows[0].n) > 0 ? "open" : "lost";
  await connection.query("ROLLBACK");
  const [next] = await connection.execute("SELECT 41 + 1 AS answer");
  seen.next = Number(next[0].answer) === 42 ? "ok" : "wrong";
  await connection.end();
}

/** The PostgreSQL part, over a `run(text, params?)` that throws what the driver throws. */
async function viaPostgres(run, blocked) {
  await run("BEGIN");
  await run("INSERT INTO picket_journal (note) VALUES ('pg')");
  try {
    await blocked();
    seen.blocked = { leaked: true };
  } catch (error) {
    seen.blocked = describe(error);
  }
  try {
    await run("SELECT 1 AS one");
    seen.transaction = "open";
  } catch (error) {
    seen.transaction = error.code === "25P02" ? "aborted" : describe(error);
  }
  await run("ROLLBACK");
  const rows = await run("SELECT 41 + 1 AS answer");
  seen.next = Number(rows[0].answer) === 42 ? "ok" : "wrong";
}

async function viaPg() {
  const client = new pg.Client({
    host: "127.0.0.1",
    port: Number(port),
    user: process.env.DB_USER,
    password: process.env.DB_PASSWORD,
    database: process.env.DB_NAME,
  });
  await client.connect();
  const run = async (text, values) => (await client.query(text, values)).rows;
  await viaPostgres(run, () => {
    if (protocol === "simple") return run(BLOCKED.literal);
    if (protocol === "named-prepare") return client.query({ name: "lookup", text: BLOCKED.pg, values: [1] });
    return run(BLOCKED.pg, [1]);
  });
  await client.end();
}

async function viaPostgresJs() {
  const pool = postgres({
    host: "127.0.0.1",
    port: Number(port),
    user: process.env.DB_USER,
    password: process.env.DB_PASSWORD,
    database: process.env.DB_NAME,
    max: 1,
    ssl: false,
    onnotice: () => {},
    prepare: protocol !== "unnamed",
  });
  const sql = await pool.reserve();
  const run = text => (protocol === "simple" ? sql.unsafe(text).simple() : sql.unsafe(text));
  await viaPostgres(run, () => {
    if (protocol === "simple") return sql.unsafe(BLOCKED.literal).simple();
    return sql.unsafe(BLOCKED.pg, [1], { prepare: protocol !== "unnamed" });
  });
  sql.release();
  await pool.end();
}

if (driver === "mysql2") await viaMysql2();
else if (driver === "pg") await viaPg();
else if (driver === "postgres.js") await viaPostgresJs();
else throw new Error(`no such driver: ${driver}`);
console.log(JSON.stringify(seen));
