// An application in a child process: one connection, and one line of JSON out for each line of JSON in.
// Arguments: driver (mysql2 | pg) and port; in: {"sql": "…", "values": […]?}.
import { createInterface } from "node:readline";
import mysql from "mysql2/promise";
import pg from "pg";

const [driver, port] = process.argv.slice(2);
const { DB_USER: user, DB_PASSWORD: password, DB_NAME: database } = process.env;
const tls = process.env.DB_TLS ? { ssl: { rejectUnauthorized: false } } : {};
const settings = { host: "127.0.0.1", port: Number(port), user, password, database, ...tls };

async function open() {
  if (driver === "mysql2") {
    const connection = await mysql.createConnection(settings);
    return async (sql, values) => {
      const [rows] = await (values ? connection.execute(sql, values) : connection.query(sql));
      return rows;
    };
  }
  const client = new pg.Client(settings);
  client.on("error", () => {}); // A severed connection is told by the statement that it breaks.
  await client.connect();
  return async (sql, values) => (await client.query(sql, values)).rows;
}

const run = await open();
process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const { sql, values } = JSON.parse(line);
  let answer;
  try {
    answer = { rows: await run(sql, values) };
  } catch (error) {
    answer = { error: String(error.sqlMessage ?? error.message), code: String(error.errno ?? error.code) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
