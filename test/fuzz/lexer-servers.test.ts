// The lexer against the servers whose SQL it lexes. What a shape leaves out, contents of literals and comments, must
// not matter to the server's own reading: a random statement that the server can parse, and whose shape may become
// known, is sent again with other text in its literals and comments, and must still parse. If a literal or comment
// ended somewhere else for the server, the other text would stand in its grammar. PICKET_LEXER_STATEMENTS says how
// many statements are tried.
import { randomBytes } from "node:crypto";
import { lex, type SqlDialect, sessionBits, type Token, tokenize } from "@picket/native/lexer";
import mysql from "mysql2/promise";
import pg from "pg";
import { expect, test } from "vitest";
import { startMariaDB, startPostgreSQL } from "../harness/index.ts";
import { expressionsOf, type Random, randomOf, statementOf } from "./lexer-statements.ts";

const statements = Number(process.env.PICKET_LEXER_STATEMENTS ?? 4_000);

/** Whether the server's grammar took it; what it then thinks of tables and types does not matter. */
type Parses = (sql: Buffer) => Promise<boolean>;

/** Text that no grammar takes, with every mark that could end a literal or comment but its own. */
function otherText(token: Token): string {
  const { text } = token;
  if (token.kind === "comment") {
    if (text.startsWith("/*")) return `/* ) ' " select where ) */`;
    return `${text.startsWith("#") ? "#" : "-- "}) ' " \` /* select where )`;
  }
  const quote = /^[en]?(['"])/i.exec(text);
  if (quote) return `${text.slice(0, quote[0].length)}) - - select where ) /${quote[1]}`;
  // Numbers and x'', b'' keep their grammar.
  return /^\d/.test(text) && !/^0[xb]/i.test(text) ? "7" : text;
}

function altered(sql: Buffer, tokens: Token[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const token of tokens) {
    if (token.kind !== "comment" && token.kind !== "literal") continue;
    parts.push(sql.subarray(at, token.start), Buffer.from(otherText(token)));
    at = token.end;
  }
  return Buffer.concat([...parts, sql.subarray(at)]);
}

async function compare(dialect: SqlDialect, session: number, parses: Parses): Promise<void> {
  const seed = randomBytes(4).readUInt32LE();
  const random: Random = randomOf(seed);
  let compared = 0;
  for (let i = 0; i < statements; i++) {
    // Only queries without effects: everything else stands behind the first word.
    const rest = random(4) ? Buffer.from(expressionsOf(random)) : statementOf(random).subarray(0, 300);
    const sql = Buffer.concat([Buffer.from("SELECT "), rest]);
    if (lex(sql, { dialect, session }).neverKnown || !(await parses(sql))) continue;
    const other = altered(sql, tokenize(sql, { dialect, session }));
    if (other.equals(sql)) continue;
    compared++;
    if (!(await parses(other)))
      expect(other.toString("latin1"), `seed ${seed}: the server parses ${sql.toString("latin1")}`).toBe(
        "parsed",
      );
  }
  expect(compared).toBeGreaterThan(statements / 100);
  console.log(`${dialect}: ${compared} of ${statements} statements were parsed, altered and parsed again`);
}

test("MariaDB reads literals and comments where the lexer does", async () => {
  const server = await startMariaDB();
  const { host, port, user, password, database } = server;
  const connection = await mysql.createConnection({
    host,
    port,
    user,
    password,
    database,
    charset: "latin1_swedish_ci",
  });
  try {
    await connection.query("SET sql_mode = 'STRICT_TRANS_TABLES'");
    const session = sessionBits({ backslashEscapes: true, ansiQuotes: false, charsetUnsafe: false });
    await compare("mysql", session, async sql => {
      try {
        // Explained, so that nothing runs.
        await connection.query(`EXPLAIN ${sql.toString("latin1")}`);
        return true;
      } catch (error) {
        return (error as { errno?: number }).errno !== 1064;
      }
    });
  } finally {
    await connection.end();
    await server.stop();
  }
}, 600_000);

test("PostgreSQL reads literals and comments where the lexer does", async () => {
  const server = await startPostgreSQL();
  const { host, port, user, password, database } = server;
  const client = new pg.Client({ host, port, user, password, database });
  await client.connect();
  try {
    const session = sessionBits({ backslashEscapes: false, ansiQuotes: true, charsetUnsafe: false });
    await compare("pg", session, async sql => {
      // The driver sends UTF-8, and a zero byte ends the message's text.
      const text = sql.toString("utf8");
      if (!Buffer.from(text).equals(sql) || sql.includes(0)) return false;
      try {
        await client.query(`EXPLAIN ${text}`);
        return true;
      } catch (error) {
        // Syntax, and what the lexer says of escapes before the grammar has seen the rest.
        return !["42601", "22021", "22025", "22P05", "22P06"].includes((error as { code: string }).code);
      }
    });
  } finally {
    await client.end();
    await server.stop();
  }
}, 600_000);
