import { expect, test } from "vitest";
import { marked as cutAt, sqlParts } from "./sql-tokens.ts";

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

test.each([
  ["nothing", [], "SELECT a"],
  ["a whole part", [[0, 6]], "[SELECT] a"],
  ["the middle of one", [[1, 3]], "S[EL]ECT a"],
  ["across parts", [[4, 8]], "SELE[CT][ ][a]"],
  [
    "overlapping",
    [
      [0, 3],
      [2, 6],
    ],
    "[SE][L][ECT] a",
  ],
  ["beyond the text", [[7, 99]], "SELECT [a]"],
  [
    "empty, or backwards",
    [
      [3, 3],
      [5, 2],
    ],
    "SELECT a",
  ],
])("guilty characters are cut out where they begin and end: %s", (_name, marks, expected) => {
  const parts = cutAt(
    sqlParts("SELECT a"),
    marks.map(([start = 0, end = 0]) => ({ start, end })),
  );
  expect(parts.map(({ text }) => text).join("")).toBe("SELECT a");
  const shown = parts.map(({ text, guilty }) => (guilty ? `[${text}]` : text)).join("");
  expect(shown).toBe(expected);
});
