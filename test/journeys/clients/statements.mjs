// Runs statements one after the other on one connection and prints what each gave: rows, or the error. Arguments:
// dialect (mysql | pg), protocol (text | prepared), port; standard input: a JSON array of statements.
import mysql from "mysql2/promise";
import pg from "pg";

const [dialect, protocol, port] = process.argv.slice(2);
const statements = JSON.parse(await new Response(process.stdin).text());
const settings = {
  host: "127.0.0.1",
  port: Number(port),
  user: process.env.DB_USER,
  password: process.env.DB_PASSWORD,
  database: process.env.DB_NAME,
};
const rowsOf = rows => rows.map(row => Object.values(row).map(String));

async function open() {
  if (dialect === "mysql") {
    const connection = await mysql.createConnection(settings);
    const run = protocol === "prepared" ? "execute" : "query";
    return { run: async sql => (await connection[run](sql))[0], end: () => connection.end() };
  }
  const client = new pg.Client(settings);
  await client.connect();
  // A value, though none is used, makes the driver take the extended protocol.
  const values = protocol === "prepared" ? { values: [] } : {};
  const name = sql => (protocol === "prepared" ? { name: `s${statements.indexOf(sql)}` } : {});
  return {
    run: async sql => (await client.query({ text: sql, ...values, ...name(sql) })).rows,
    end: () => client.end(),
  };
}

const connection = await open();
const got = [];
for (const sql of statements) {
  try {
    got.push({ rows: rowsOf(await connection.run(sql)) });
  } catch (error) {
    got.push({ error: { code: error.errno ?? error.code, message: String(error.message) } });
  }
}
await connection.end();
console.log(JSON.stringify(got));
