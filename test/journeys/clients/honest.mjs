// Runs an application's honest statements through one Node driver and prints what the application got, a JSON
// array: for each step its rows, or the error's code. Arguments: driver protocol port; standard input: the steps.
import mariadb from "mariadb";
import mysql from "mysql2/promise";
import pg from "pg";
import postgres from "postgres";

const [driver, protocol, port] = process.argv.slice(2);
const steps = JSON.parse(await new Response(process.stdin).text());
const settings = {
  host: "127.0.0.1",
  port: Number(port),
  user: process.env.DB_USER,
  password: process.env.DB_PASSWORD,
  database: process.env.DB_NAME,
};

const text = value => {
  if (value === null || value === undefined) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8");
  return String(value);
};
const rowsOf = rows => (Array.isArray(rows) ? rows : []).map(row => Object.values(row).map(text));
const numbered = sql => {
  let n = 0;
  return sql.replaceAll("?", () => `$${++n}`);
};

async function open() {
  switch (driver) {
    case "mysql2": {
      const connection = await mysql.createConnection(settings);
      const run = protocol === "prepare" ? "execute" : "query";
      return {
        run: async ({ sql, values = [] }) => rowsOf((await connection[run](sql, values))[0]),
        code: error => error.errno,
        end: () => connection.end(),
      };
    }
    case "mariadb": {
      const connection = await mariadb.createConnection({ ...settings, bigIntAsNumber: true });
      const run = protocol === "prepare" ? "execute" : "query";
      return {
        run: async ({ sql, values = [] }) => rowsOf(await connection[run](sql, values)),
        code: error => error.errno,
        end: () => connection.end(),
      };
    }
    case "pg": {
      const client = new pg.Client(settings);
      await client.connect();
      let names = 0;
      const named = new Map();
      const name = sql => {
        if (!named.has(sql)) named.set(sql, `picket_${++names}`);
        return named.get(sql);
      };
      return {
        run: async ({ sql, values }) => {
          const query = values ? { text: numbered(sql), values } : { text: sql };
          if (protocol === "named" && values) query.name = name(sql);
          return rowsOf((await client.query(query)).rows);
        },
        code: error => error.code,
        end: () => client.end(),
      };
    }
    case "postgres.js": {
      const pool = postgres({
        ...settings,
        max: 1,
        ssl: false,
        onnotice: () => {},
        prepare: protocol !== "unnamed",
      });
      const sql = await pool.reserve();
      return {
        run: async step => rowsOf(await sql.unsafe(numbered(step.sql), step.values, { prepare: true })),
        code: error => error.code,
        end: async () => {
          sql.release();
          await pool.end();
        },
      };
    }
    default:
      throw new Error(`no such driver: ${driver}`);
  }
}

const connection = await open();
const attempt = step =>
  connection.run(step).catch(error => ({ error: connection.code(error) ?? String(error) }));
const got = [];
for (const step of steps) {
  // Given to the driver all at once: it pipelines them where it can.
  if (step.together) got.push(await Promise.all(step.together.map(attempt)));
  else got.push(await attempt(step));
}
await connection.end();
console.log(JSON.stringify(got));
