import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Spool } from "./spool.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "picket-spool-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = (bytesMax = 1 << 20, segmentBytesMax = 256) =>
  new Spool({ directory, bytesMax, segmentBytesMax });
const records = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => Buffer.from(`record ${from + index}`));
const drain = (spool: Spool, perBatch = 7): string[] => {
  const all: string[] = [];
  for (let batch = spool.peek({ records: perBatch, bytes: 1 << 20 }); batch; ) {
    all.push(...batch.payloads.map(String));
    spool.acknowledge(batch);
    batch = spool.peek({ records: perBatch, bytes: 1 << 20 });
  }
  return all;
};
const segments = () =>
  readdirSync(directory)
    .filter(name => name.endsWith(".spool"))
    .sort();

describe("spool", () => {
  test("gives back every record in order, over many segments", () => {
    const spool = open();
    for (let at = 0; at < 100; at += 5) spool.append(records(at, at + 5));
    expect(segments().length).toBeGreaterThan(3);
    expect(drain(spool)).toEqual(records(0, 100).map(String));
    expect(spool).toMatchObject({ pending: 0, uploaded: 100, dropped: 0 });
  });

  test("a batch that is not acknowledged is given again", () => {
    const spool = open();
    spool.append(records(0, 10));
    spool.peek({ records: 10, bytes: 1 << 20 });
    expect(drain(spool)).toHaveLength(10);
  });

  test("a reopened spool resumes where the last acknowledgement left it", () => {
    const spool = open();
    spool.append(records(0, 60));
    spool.acknowledge(spool.peek({ records: 25, bytes: 1 << 20 })!);
    const again = open();
    expect(again.pending).toBe(35);
    again.append(records(60, 70));
    expect(drain(again)).toEqual(records(25, 70).map(String));
    expect(again.uploaded).toBe(70);
  });

  test("a record torn by a crash is cut off; all before it and all after it are given", () => {
    open().append(records(0, 5));
    appendFileSync(join(directory, segments().at(-1)!), Buffer.from([40, 0, 0, 0, 1, 2, 3, 4, 65, 66]));
    const spool = open();
    spool.append(records(5, 8));
    expect(drain(spool)).toEqual(records(0, 8).map(String));
  });

  test("damage in the middle of an old segment drops that segment's rest only", () => {
    const spool = open();
    for (let at = 0; at < 60; at += 5) spool.append(records(at, at + 5));
    const victim = join(directory, segments()[1]!);
    const bytes = readFileSync(victim);
    bytes[20]! ^= 0xff;
    writeFileSync(victim, bytes);
    const given = drain(open());
    expect(given.length).toBeLessThan(60);
    expect(given[0]).toBe("record 0");
    expect(given.at(-1)).toBe("record 59");
    expect(new Set(given).size).toBe(given.length);
  });

  test("a full spool drops the oldest and counts them: appended = uploaded + pending + dropped", () => {
    const spool = open(1_024, 256);
    for (let at = 0; at < 500; at += 5) spool.append(records(at, at + 5));
    expect(spool.bytes).toBeLessThanOrEqual(1_024 + 256);
    expect(spool.dropped).toBeGreaterThan(0);
    expect(spool.pending + spool.dropped).toBe(500);
    const given = drain(spool);
    expect(given.at(-1)).toBe("record 499");
    expect(spool.uploaded + spool.dropped).toBe(500);
  });

  test("dropping a batch that is on its way up does not count it twice", () => {
    const spool = open(1_024, 256);
    spool.append(records(0, 10));
    const batch = spool.peek({ records: 10, bytes: 1 << 20 })!;
    for (let at = 10; at < 500; at += 5) spool.append(records(at, at + 5));
    spool.acknowledge(batch);
    expect(spool.uploaded + spool.pending + spool.dropped).toBe(500);
  });

  test("kill -9 loses nothing that was appended", async () => {
    const child = spawn(
      process.execPath,
      [
        "--import",
        "tsx",
        "--conditions=source",
        "--input-type=module",
        "-e",
        `
      import { Spool } from ${JSON.stringify(new URL("./spool.ts", import.meta.url).href)};
      const spool = new Spool({ directory: ${JSON.stringify(directory)}, bytesMax: 1 << 24 });
      for (let at = 0; ; at++) {
        spool.append([Buffer.from("record " + at)]);
        process.stdout.write(at + "\\n");
        if (at % 50 === 0) await new Promise(setImmediate);
      }`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let seen = "";
    for await (const chunk of child.stdout!) {
      seen += chunk;
      if (seen.length > 4_000) child.kill("SIGKILL");
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    const acknowledged = Number(seen.trimEnd().split("\n").at(-1)!.trim());
    const given = drain(open(1 << 24, 4 << 20), 1_000);
    expect(given.length).toBeGreaterThanOrEqual(acknowledged);
    expect(given).toEqual(records(0, given.length).map(String));
  });
});
