/**
 * Bytes that come from elsewhere: the keeper's stream and the ring's records, with any contents, cut anywhere. Seeds
 * are printed with a failure, so that it can be played again.
 */
import { randomBytes } from "node:crypto";
import type { RingBatch } from "@picket/native/bpf";
import {
  ABI,
  ConnectionEventView,
  EventKind,
  KeeperFrame,
  KeeperHeldView,
  KeeperHelloView,
  KeeperKind,
  KeeperResultView,
  KeeperStatsView,
  LoginEventView,
  StatementEventView,
} from "@picket/native/events";
import { expect, test } from "vitest";
import { EventDecoder } from "../capture/decode.ts";
import { SequenceTracker } from "../capture/sequence.ts";
import { FrameReader, type KeeperMessage } from "./frames.ts";

const ROUNDS = 2_000;

/** xorshift32. */
function randomOf(seed: number) {
  let state = seed | 1;
  const below = (limit: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
  return { below, bytes: (count: number) => Buffer.from(Array.from({ length: count }, () => below(256))) };
}
type Random = ReturnType<typeof randomOf>;

function frame(kind: number, payload: Buffer, claimed = payload.length): Buffer {
  return Buffer.concat([KeeperFrame.encode({ bytes: claimed, kind }), payload]);
}

function heldFrame(random: Random): Buffer {
  const text = random.bytes(random.below(40));
  const payload = Buffer.concat([random.bytes(KeeperHeldView.size), text]);
  const view = KeeperHeldView.of(payload);
  view.view.setUint32(view.at + 216, text.length, true);
  expect(view.textBytes).toBe(text.length);
  return frame(KeeperKind.HELD, payload);
}

const GOOD: ((random: Random) => Buffer)[] = [
  random => frame(KeeperKind.HELLO, random.bytes(KeeperHelloView.size)),
  heldFrame,
  random => frame(KeeperKind.RESULT, random.bytes(KeeperResultView.size)),
  random => frame(KeeperKind.STATS, random.bytes(KeeperStatsView.size)),
];
const BROKEN: ((random: Random) => Buffer)[] = [
  random => frame(random.below(2 ** 31), random.bytes(random.below(300))),
  random => frame(KeeperKind.HELLO + random.below(4), random.bytes(random.below(300))),
  random => frame(KeeperKind.HELD, random.bytes(8), 0xffff_ffff - random.below(16)),
  random => random.bytes(random.below(64)),
];

/** What is told of each message, and how it ended: every field is read, as the handlers do. */
function read(stream: Buffer, cuts: () => number): string[] {
  const reader = new FrameReader();
  const told: string[] = [];
  try {
    for (let at = 0; at < stream.length; ) {
      // Of its own, and gone afterwards, as a socket's chunks are.
      const chunk = Buffer.from(stream.subarray(at, at + cuts()));
      at += chunk.length;
      for (const message of reader.feed(chunk)) told.push(written(message));
      chunk.fill(0xa5);
    }
  } catch (error) {
    told.push((error as Error).name);
  }
  return told;
}

function written(message: KeeperMessage): string {
  const copy =
    message.kind === "held"
      ? { ...message.held.copy(), text: Buffer.from(message.held.text).toString("hex") }
      : message.kind === "result"
        ? message.result.copy()
        : message.kind === "hello"
          ? message.hello
          : message.stats;
  return JSON.stringify([message.kind, copy], (_key, value) =>
    typeof value === "bigint" ? `${value}n` : value,
  );
}

for (const [what, makers, ends] of [
  ["whole frames are all read", GOOD, 0],
  ["anything else is read or refused", [...GOOD, ...BROKEN], 1],
] as const)
  test(`the keeper's stream: ${what}, and the same wherever it is cut`, () => {
    const seed = randomBytes(4).readUInt32LE();
    const random = randomOf(seed);
    for (let round = 0; round < ROUNDS; round++) {
      const frames = Array.from({ length: 1 + random.below(5) }, () =>
        makers[random.below(makers.length)]!(random),
      );
      const stream = Buffer.concat(frames);
      const whole = read(stream, () => stream.length);
      const why = `seed ${seed}, round ${round}: ${stream.toString("hex")}`;
      expect(
        read(stream, () => 1 + random.below(random.below(2) ? 4 : 300)),
        why,
      ).toEqual(whole);
      if (ends === 0) expect(whole.length, why).toBe(frames.length);
    }
  });

const RECORDS = [
  [EventKind.STATEMENT, StatementEventView.size],
  [EventKind.CONNECTION, ConnectionEventView.size],
  [EventKind.LOGIN, LoginEventView.size],
  [99, 64],
] as const;

test("the ring: a record of any contents is an event or counted as unreadable, and never ends its batch", () => {
  const seed = randomBytes(4).readUInt32LE();
  const random = randomOf(seed);
  for (let round = 0; round < ROUNDS; round++) {
    const records = Array.from({ length: 1 + random.below(6) }, () => {
      const [kind, size] = RECORDS[random.below(RECORDS.length)]!;
      const record = random.bytes(size + (kind === EventKind.STATEMENT ? random.below(100) : 0));
      // The tail of struct picket_event_header: size, cpu, kind, abi.
      record.writeUInt32LE(record.length, 16);
      record.writeUInt16LE(random.below(4), 20);
      record.writeUInt8(kind, 22);
      record.writeUInt8(random.below(8) ? ABI : ABI + 1, 23);
      return record;
    });
    const offsets = new Uint32Array(records.length);
    for (let i = 1; i < records.length; i++) offsets[i] = offsets[i - 1]! + records[i - 1]!.length;
    const decoder = new EventDecoder(new SequenceTracker(true));
    const batch = { bytes: Buffer.concat(records), offsets, count: records.length };
    const events = [...decoder.decode(batch as RingBatch)];
    expect(events.length + decoder.unreadable, `seed ${seed}, round ${round}`).toBe(records.length);
    for (const event of events) expect(["statement", "connection", "login"]).toContain(event.kind);
  }
});
