// What the keeper's fuzzer begins with (keeper.c): options, then one record after the other.
const record = (kind, head, data = "") =>
  Buffer.concat([
    Buffer.from([kind, ...head.slice(0, 6), ...Array(Math.max(0, 6 - head.length)).fill(0), data.length]),
    Buffer.from(data, "latin1"),
  ]);
const RULES = record(10, [1]);
const policy = (consult, onFailure = 0) => record(11, [50, 1, 15, 0xff, consult, onFailure]);
const FRAME = "\x20\0\0\0\x03";
/** `flags`: 1 judge, 4 tail, 8 torn; sql_at 5 and everything behind it. */
const hold = (connection, flags, sql) => record(0, [connection, flags, 0, 1, 0, 5], FRAME + sql);
const answer = (hold, deny) => record(9, [hold, deny ? 2 : 1], deny ? "\x09sqli-test" : "");

export function keeperSeeds(statements) {
  const conversations = statements
    .slice(0, 40)
    .map((sql, i) => [
      RULES,
      policy(i % 3, i & 7),
      hold(0, 1, sql.slice(0, 200)),
      hold(0, 0, "behind"),
      hold(1, 1 | ((i & 3) << 2), sql.slice(0, 200)),
      answer(1, i & 1),
      record(12, [10]),
      answer(2, i & 2),
    ]);
  return [
    ...conversations,
    [
      RULES,
      policy(2),
      hold(0, 1, "select 1"),
      record(12, [60]),
      hold(0, 1, "select 2"),
      record(14, [1]),
      record(12, [1]),
    ],
    [policy(2), hold(0, 1, "select 1"), record(13, [0]), record(12, [255]), record(15, [1], "stray")],
    [record(8, [1, 0], "\0\0\0\0"), record(8, [5, 0]), record(14, [0]), record(8, [4, 0xf9], "short")],
    // Found: a connection that was ended for a stray, closed, and strayed again, left the keeper busy for ever.
    [record(15, [1], "stray"), record(13, [1]), record(15, [1], "again")],
    [RULES, policy(2), record(0, [0xff, 1, 0, 1, 0, 5, 255], `${FRAME}a gap`)],
  ].map((records, i) => Buffer.concat([Buffer.from([i, i & 1, 3, 0]), ...records]));
}
