import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { lex, randomHashKey, type SqlDialect, sessionBits } from "./index.ts";

const corpus = (name: string) =>
  readFileSync(new URL(`../../../../test/corpus/fingerprint/${name}`, import.meta.url), "utf8").split("\n");

const sessions: Record<string, (dialect: SqlDialect) => number> = {
  known: dialect => facts(dialect, {}),
  unknown: () => 0,
  escapes: dialect => facts(dialect, { backslashEscapes: true }),
  "no-escapes": dialect => facts(dialect, { backslashEscapes: false }),
  ansi: dialect => facts(dialect, { ansiQuotes: true }),
  gbk: dialect => facts(dialect, { charsetUnsafe: true }),
};
const facts = (dialect: SqlDialect, changed: Parameters<typeof sessionBits>[0]) =>
  sessionBits({ backslashEscapes: dialect === "mysql", ansiQuotes: false, charsetUnsafe: false, ...changed });

/** \n \r \t \\ \xHH; everything else is UTF-8. */
function bytesOf(text: string): Buffer {
  const parts = text.split(/(\\(?:[nrt\\]|x[0-9a-f]{2}))/);
  return Buffer.concat(
    parts.map((part, i) => {
      if (i % 2 === 0) return Buffer.from(part);
      if (part.startsWith("\\x")) return Buffer.from(part.slice(2), "hex");
      return Buffer.from({ "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\\\": "\\" }[part] ?? "");
    }),
  );
}

const key = randomHashKey();
function lexed(dialect: string, session: string, statement: string) {
  const bits = sessions[session];
  if (!bits || (dialect !== "mysql" && dialect !== "pg")) throw new Error(`no ${dialect} or ${session}`);
  return lex(bytesOf(statement), { dialect, session: bits(dialect), key });
}

describe("a statement has the shape that the corpus tells", () => {
  let title = "";
  const lines = corpus("shapes.txt");
  for (const [i, line] of lines.entries()) {
    if (line.startsWith("# ")) title = line.slice(2);
    const [, dialect, session, statement] = /^(mysql|pg) (\S+): (.*)$/.exec(line) ?? [];
    if (dialect === undefined || session === undefined || statement === undefined) continue;
    test(`${title}: ${dialect} ${session}: ${statement}`, () => {
      const { shape, neverKnown } = lexed(dialect, session, statement);
      expect(`= ${neverKnown ? "never known" : shape}`).toBe(bytesOf(lines[i + 1] ?? "").toString());
    });
  }
});

describe("statements are told apart, or not, as the corpus says", () => {
  let title = "";
  let statements: string[] = [];
  const lines = corpus("pairs.txt");
  for (const [i, line] of lines.entries()) {
    if (line.startsWith("#")) title = line.slice(2);
    const [, what, dialect, session] = /^(differ|equal) (mysql|pg) (\S+)$/.exec(line) ?? [];
    if (what === undefined || dialect === undefined || session === undefined) continue;
    const end = lines.indexOf("", i);
    statements = lines.slice(i + 1, end);
    const all = statements.map(statement => ({ statement, ...lexed(dialect, session, statement) }));
    test(`${what}: ${title}`, () => {
      expect(all.length).toBeGreaterThan(1);
      for (const [a, one] of all.entries())
        for (const other of all.slice(a + 1)) {
          const why = `${one.statement}\n${other.statement}`;
          if (what === "equal") {
            expect(one.neverKnown, why).toBe(false);
            expect(one.fingerprint, why).toBe(other.fingerprint);
            expect(one.shape, why).toBe(other.shape);
          } else if (!one.neverKnown && !other.neverKnown) {
            expect(one.fingerprint, why).not.toBe(other.fingerprint);
            expect(one.shape, why).not.toBe(other.shape);
          }
        }
    });
  }
});
