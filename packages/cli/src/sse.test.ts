import { expect, test } from "vitest";
import { type ServerEvent, serverEvents } from "./sse.ts";

async function read(text: string, size: number): Promise<ServerEvent[]> {
  const bytes = Buffer.from(text);
  async function* source() {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const events: ServerEvent[] = [];
  for await (const event of serverEvents(source())) events.push(event);
  return events;
}

for (const [name, text, expected] of [
  ["an event", "data: a\n\n", [{ event: "message", data: "a", id: null }]],
  [
    "a named event with an id",
    "event: detection\nid: 7\ndata: é\n\n",
    [{ event: "detection", data: "é", id: "7" }],
  ],
  ["data over several lines", "data: a\ndata:b\ndata\n\n", [{ event: "message", data: "a\nb\n", id: null }]],
  [
    "comments and unknown fields are skipped",
    ": ping\nretry: 5\nfoo: x\n\ndata: a\n\n",
    [{ event: "message", data: "a", id: null }],
  ],
  [
    "CR LF",
    "data: a\r\n\r\ndata: b\r\n\r\n",
    [
      { event: "message", data: "a", id: null },
      { event: "message", data: "b", id: null },
    ],
  ],
  [
    "an event that the server did not finish is not given out",
    "data: a\n\ndata: b\n",
    [{ event: "message", data: "a", id: null }],
  ],
] as const)
  test(`${name}, however the stream is cut`, async () => {
    for (let size = 1; size <= text.length; size++) expect(await read(text, size)).toEqual(expected);
  });

test("an event without end is refused", async () => {
  await expect(read(`data: ${"x".repeat(5 * 1024 * 1024)}`, 65_536)).rejects.toThrow("without end");
});
