import { expect, test } from "vitest";
import { sqlParts } from "./sql-tokens.ts";

const marked = (sql: string) =>
  sqlParts(sql)
    .map(({ kind, text }) => (kind === "text" ? text : `<${kind[0]}:${text}>`))
    .join("");

test.each([
  ["select a from t where b = ?", "<k:select> a <k:from> t <k:where> b = <h:?>"],
  ["UPDATE t SET a = $1", "<k:UPDATE> t <k:SET> a = <h:$1>"],
  ["SELECT ?; DROP TABLE t -- x", "<k:SELECT> <h:?><e:;> <k:DROP> <k:TABLE> t <c:-- x>"],
  ["/* open", "<c:/* open>"],
  ['SELECT `from`, "select"', '<k:SELECT> `from`, "select"'],
  ["selected unionise", "selected unionise"],
])("%s", (sql, expected) => expect(marked(sql)).toBe(expected));

test("the parts joined are the statement again, whatever it is", () => {
  for (const sql of [
    "'",
    "`",
    '"',
    "/*",
    "--",
    "''';",
    "\u0000?\u202e",
    "a'b\"c`d/*e*/#f\n--g",
    "x".repeat(9_999),
  ])
    expect(
      sqlParts(sql)
        .map(part => part.text)
        .join(""),
    ).toBe(sql);
});
