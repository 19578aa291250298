import { expect, test } from "vitest";
import { createOutput, facts, harmless, type Output, rowsOf, span, table } from "./output.ts";

const plain: Output = { ...createOutput({ json: false, env: { NO_COLOR: "1" } }), width: 40 };

test("columns are aligned, also behind wide characters", () => {
  const rows = [
    { name: "a", count: 5 },
    { name: "データ", count: 12_345 },
  ];
  const text = table(plain, rows, [
    { title: "NAME", value: row => row.name },
    { title: "COUNT", value: row => String(row.count), align: "right" },
    { title: "END", value: () => "x" },
  ]);
  expect(text).toBe(["NAME    COUNT  END", "a           5  x", "データ  12345  x"].join("\n"));
});

test("the flexible column gives way to the terminal's width", () => {
  const text = table(
    plain,
    [{ sql: "SELECT ".repeat(20) }],
    [
      { title: "SQL", value: row => row.sql, flexible: true },
      { title: "END", value: () => "x" },
    ],
  );
  for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(40);
  expect(text).toContain("…  x");
});

test("text from elsewhere cannot drive the terminal", () => {
  expect(harmless("\x1b[2Jb\x07c\nd\x9b31m\u202e")).toBe("\\u001b[2Jb\\u0007c d\\u009b31m\\u202e");
});

test.each([
  ["", 1],
  ["x".repeat(40), 1],
  ["x".repeat(41), 2],
  ["データ".repeat(7), 2],
  [`\x1b[31m${"x".repeat(40)}\x1b[39m\n\n${"y".repeat(81)}`, 5],
])("what is redrawn in place is as high as the terminal makes it: %j takes %i rows", (text, rows) => {
  expect(rowsOf(plain, text)).toBe(rows);
});

test("labels stand in one column", () => {
  expect(
    facts(plain, [
      ["A", "1"],
      ["Long", "2"],
    ]),
  ).toBe("A     1\nLong  2");
});

for (const [ms, text] of [
  [0, "0s"],
  [59_400, "59s"],
  [90_000, "1m"],
  [7_200_000, "2h"],
  [200_000_000, "2d"],
] as const)
  test(`${ms} ms is ${text}`, () => expect(span(ms)).toBe(text));
