/**
 * Which of the statements that made.mjs makes a server would read: MariaDB prepares each, and PostgreSQL's own
 * grammar parses it. No table of them exists, so nothing runs; an unknown table is no matter of grammar.
 */
import { startMariaDB } from "@picket/infra/databases";
import { loadParser } from "@picket/judge/ast/analyse";
import mysql from "mysql2/promise";

/** "You have an error in your SQL syntax", and what the lexer says before the grammar does. */
const SYNTAX = new Set([1064, 1149, 1115, 1248, 1221]);

export async function accepted(rows) {
  const parse = await loadParser("pg");
  const server = await startMariaDB();
  const { host, port, user, password, database } = server;
  const connection = await mysql.createConnection({ host, port, user, password, database });
  const prepares = async part => {
    try {
      await connection.query("PREPARE made FROM ?", [part]);
      return true;
    } catch (error) {
      return !SYNTAX.has(error.errno);
    }
  };
  const parses = sql => {
    try {
      parse(sql);
      return true;
    } catch {
      return false;
    }
  };
  const reads = async ({ dialect, sql }) => {
    if (dialect === "pg") return parses(sql);
    // One statement can be prepared at a time.
    for (const part of split(sql)) if (!(await prepares(part))) return false;
    return true;
  };
  try {
    const kept = [];
    for (const row of rows) if (await reads(row)) kept.push(row);
    return kept;
  } finally {
    await connection.end();
    await server.stop();
  }
}

/** At the semicolons that are no part of a text. */
const split = sql =>
  (sql.match(/(?:'(?:[^'\\]|''|\\.)*'|[^;'])+/g) ?? [sql]).filter(part => part.trim() !== "");
