import type { StatementDetection } from "@picket/shared/detection";
import { describe, expect, test } from "vitest";
import type { StatementFragment } from "../capture/kernel-event.ts";
import { Fold } from "./fold.ts";
import { Statements } from "./statements.ts";

const fragment = (change: Partial<StatementFragment> & { text: Buffer }): StatementFragment => ({
  kind: "statement",
  cookie: 1n,
  statement: 1n,
  fingerprint: 0n,
  scope: 0n,
  sampled: false,
  incident: 0n,
  process: { pid: 10, tid: 10, comm: "app", cgroupId: 1n, startNs: 1n },
  endpoints: { localAddress: "127.0.0.1", localPort: 40_000, remoteAddress: "127.0.0.1", remotePort: 3306 },
  workload: 1,
  version: 1,
  slot: 0,
  dialect: "mysql",
  message: "query",
  danger: 0,
  session: 0,
  fragment: 0,
  first: true,
  last: true,
  textOffset: 0,
  statementBytes: change.text.length,
  verdict: "unknown",
  action: "observe",
  guarantee: "observed",
  rule: null,
  substituted: false,
  adopted: false,
  ...change,
});

/** The events of one statement cut at the given sizes. */
function cut(sql: string, sizes: number[], change: Partial<StatementFragment> = {}): StatementFragment[] {
  let offset = 0;
  return sizes.map((size, index) => {
    const text = Buffer.from(sql.slice(offset, offset + size));
    const last = index === sizes.length - 1;
    const event = fragment({
      ...change,
      text,
      textOffset: offset,
      fragment: index,
      first: index === 0,
      last,
      statementBytes: last ? sql.length : 0,
    });
    offset += size;
    return event;
  });
}

describe("statements", () => {
  test("one fragment passes without a copy", () => {
    const text = Buffer.from("select 1");
    const statement = new Statements().feed(fragment({ text }));
    expect(statement).toMatchObject({ whole: true });
    expect(statement!.sql).toBe(text);
  });

  const sql = "select name from users where id = 1";
  const cuts: [why: string, events: StatementFragment[], expected: string, whole: boolean][] = [
    ["byte by byte", cut(sql, Array(sql.length).fill(1)), sql, true],
    ["in three parts", cut(sql, [10, 20, 5]), sql, true],
    ["with its tail not captured", cut(sql, [10, 20]), sql.slice(0, 30), false],
    [
      "with a lost fragment in the middle",
      cut(sql, [10, 20, 5]).filter((_, index) => index !== 1),
      sql.slice(0, 10),
      false,
    ],
    ["with a lost beginning", cut(sql, [10, 20, 5]).slice(1), "", false],
  ];
  test.each(cuts)("%s", (_, events, expected, whole) => {
    const statements = new Statements();
    const given = events.map(event => statements.feed(event)).filter(each => each !== null);
    expect(given).toHaveLength(1);
    expect(given[0]!.sql.toString()).toBe(expected);
    expect(given[0]!.whole).toBe(whole);
    expect(statements.unfinished).toBe(0);
  });

  test("fragments of two connections and of two statements never mix", () => {
    const statements = new Statements();
    const streams = [
      cut("select 1111", [6, 5], { cookie: 1n }),
      cut("delete 2222", [6, 5], { cookie: 2n }),
      cut("insert 3333", [6, 5], { cookie: 1n, statement: 2n }),
    ];
    const given = [0, 1].flatMap(index => streams.map(stream => statements.feed(stream[index]!)));
    expect(given.filter(each => each !== null).map(({ sql }) => sql.toString())).toEqual([
      "select 1111",
      "delete 2222",
      "insert 3333",
    ]);
  });

  test("a kept fragment does not change when the ring's memory is used again", () => {
    const statements = new Statements();
    const [first, last] = cut("select 1", [4, 4]);
    statements.feed(first!);
    first!.text.fill(0);
    expect(statements.feed(last!)!.sql.toString()).toBe("select 1");
  });

  test("unfinished statements are bounded: the oldest is given up and counted", () => {
    const statements = new Statements({ unfinished: 3, bytes: 1_000 });
    for (let cookie = 1n; cookie <= 5n; cookie++) statements.feed(cut("select 1", [4, 4], { cookie })[0]!);
    expect(statements).toMatchObject({ unfinished: 3, abandoned: 2 });
    statements.feed(cut("x".repeat(2_000), [999, 1], { cookie: 9n })[0]!);
    expect(statements.unfinished).toBe(1);
    statements.closed(9n);
    expect(statements.unfinished).toBe(0);
  });
});

describe("folding", () => {
  const detection = (change: Partial<StatementDetection> = {}) =>
    ({
      id: "0",
      shape: "s1",
      sql: "select ?",
      rules: ["union"],
      process: { pid: 1, comm: "app" },
      endpoints: { remoteAddress: "a", remotePort: 1 },
      guarantee: "prevented",
      message: "query",
      wouldBlock: false,
      count: 1,
      ...change,
    }) as unknown as StatementDetection;

  test("the first goes out at once, its repeats as one with a count when the window ends", () => {
    const fold = new Fold(1_000);
    expect(fold.feed(detection(), 0)).toHaveLength(1);
    for (let at = 1; at <= 9; at++) expect(fold.feed(detection(), at)).toEqual([]);
    expect(fold.flush(999)).toEqual([]);
    const [folded] = fold.flush(1_000);
    expect(folded!.count).toBe(9);
    expect(folded!.id).not.toBe("0");
    expect(fold.waiting).toBe(0);
  });

  test("every statement is counted once over windows", () => {
    const fold = new Fold(10);
    let count = 0;
    for (let at = 0; at < 1_000; at++) for (const each of fold.feed(detection(), at)) count += each.count;
    for (const each of fold.flush(2_000, true)) count += each.count;
    expect(count).toBe(1_000);
  });

  test.each([
    ["another shape", { shape: "s2" as never }],
    ["another rule", { rules: ["sleep"] }],
    ["another process", { process: { pid: 2, comm: "app" } }],
    ["another guarantee", { guarantee: "observed" as const }],
    ["another message", { message: "prepare" as const }],
  ])("%s is never folded in", (_, change) => {
    const fold = new Fold(1_000);
    fold.feed(detection(), 0);
    expect(fold.feed(detection(change), 1)).toHaveLength(1);
  });
});
