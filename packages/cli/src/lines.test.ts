import { expect, test } from "vitest";
import { lines } from "./lines.ts";

async function read(chunks: string[], most = 100) {
  const found: [number, string | null][] = [];
  async function* source() {
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  for await (const batch of lines(source(), most))
    for (const { number, bytes } of batch) found.push([number, bytes?.toString() ?? null]);
  return found;
}

test("lines are whole however the stream is cut", async () => {
  const text = "one\n\ntwo\r\nüçñ\nlast";
  const expected = [
    [1, "one"],
    [2, ""],
    [3, "two\r"],
    [4, "üçñ"],
    [5, "last"],
  ];
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size++) {
    const found: [number, string | undefined][] = [];
    async function* source() {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    }
    for await (const batch of lines(source(), 100))
      for (const line of batch) found.push([line.number, line.bytes?.toString()]);
    expect(found).toEqual(expected);
  }
});

test("an empty stream has no line, and a final newline starts none", async () => {
  expect(await read([])).toEqual([]);
  expect(await read(["a\n"])).toEqual([[1, "a"]]);
});

test("a line beyond the bound is reported by its number, and those after it are read", async () => {
  expect(await read(["abc", "defg", "hij\nok\n"], 5)).toEqual([
    [1, null],
    [2, "ok"],
  ]);
  expect(await read(["abcdef\nok"], 5)).toEqual([
    [1, null],
    [2, "ok"],
  ]);
  expect(await read(["abcdefghi"], 5)).toEqual([[1, null]]);
});

test("a line is handed on as soon as it is whole", async () => {
  let sent = 0;
  async function* source() {
    sent = 1;
    yield Buffer.from("a\nb");
    sent = 2;
    yield Buffer.from("c\n");
  }
  const reader = lines(source(), 100);
  expect((await reader.next()).value).toHaveLength(1);
  expect(sent).toBe(1);
  await reader.return(undefined);
});
