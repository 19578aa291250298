/**
 * The durable queue between judging and uploading. Records are appended to segment files; a cursor says how far
 * they were uploaded. kill -9 loses nothing that append() returned from (the page cache has it); a power cut loses
 * at most what was appended since the last flush. The spool is bounded: the oldest segment is dropped and its
 * records counted, so that appended = uploaded + pending + dropped always holds.
 */
import {
  closeSync,
  fdatasync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson, writeDurably } from "../state/durable.ts";
import { decodeRecords, encodeRecord } from "./segment.ts";

type Segment = { first: number; records: number; bytes: number };

const Cursor = z.strictObject({
  /** Records uploaded, and where the next one begins. */
  segment: z.int(),
  offset: z.int(),
  uploaded: z.int(),
  dropped: z.int(),
});
type Cursor = z.infer<typeof Cursor>;

export type SpoolBatch = { payloads: Buffer[]; cursor: { segment: number; offset: number } };

export class Spool {
  readonly #directory: string;
  readonly #bytesMax: number;
  readonly #segmentBytesMax: number;
  #segments: Segment[] = [];
  #cursor: Cursor;
  #file = -1;
  #dirty = false;
  /** Records before the cursor in its segment. */
  #consumedInSegment = 0;

  constructor(input: { directory: string; bytesMax: number; segmentBytesMax?: number }) {
    this.#directory = input.directory;
    this.#bytesMax = input.bytesMax;
    this.#segmentBytesMax = input.segmentBytesMax ?? Math.min(1 << 20, Math.ceil(input.bytesMax / 8));
    mkdirSync(input.directory, { recursive: true, mode: 0o700 });
    this.#cursor = this.#readCursor();
    this.#recover();
  }

  append(payloads: readonly Uint8Array[]): void {
    if (payloads.length === 0) return;
    const bytes = Buffer.concat(payloads.map(encodeRecord));
    let tail = this.#segments.at(-1);
    if (!tail || this.#file < 0 || tail.bytes >= this.#segmentBytesMax) tail = this.#startSegment();
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    tail.records += payloads.length;
    tail.bytes += bytes.length;
    this.#dirty = true;
    this.#dropOldest();
  }

  /** The oldest records that are not yet uploaded; acknowledge() with its cursor once they are. */
  peek(limit: { records: number; bytes: number }): SpoolBatch | null {
    for (;;) {
      const segment = this.#segments.find(each => each.first === this.#cursor.segment) ?? this.#segments[0];
      if (!segment) return null;
      const offset = segment.first === this.#cursor.segment ? this.#cursor.offset : 0;
      const isTail = segment === this.#segments.at(-1);
      if (offset < segment.bytes) {
        const read = decodeRecords(readFileSync(this.#path(segment.first)), offset, limit);
        if (read.payloads.length > 0)
          return { payloads: read.payloads, cursor: { segment: segment.first, offset: read.end } };
        this.#dropDamaged(segment);
        if (isTail) return null;
      } else if (isTail) return null;
      this.#removeFirst(segment);
    }
  }

  acknowledge(batch: SpoolBatch): void {
    const segment = this.#segments.find(each => each.first === batch.cursor.segment);
    if (!segment) return; // Dropped for space while it was on its way up: counted there.
    this.#consumedInSegment =
      (segment.first === this.#cursor.segment ? this.#consumedInSegment : 0) + batch.payloads.length;
    this.#cursor = {
      ...this.#cursor,
      ...batch.cursor,
      uploaded: this.#cursor.uploaded + batch.payloads.length,
    };
    if (segment !== this.#segments.at(-1) && batch.cursor.offset >= segment.bytes) this.#removeFirst(segment);
    this.#writeCursor();
  }

  /** The control plane will never take it: counted as dropped, so that the rest can go up. */
  discard(batch: SpoolBatch): void {
    this.acknowledge(batch);
    this.#cursor = {
      ...this.#cursor,
      uploaded: this.#cursor.uploaded - batch.payloads.length,
      dropped: this.#cursor.dropped + batch.payloads.length,
    };
    this.#writeCursor();
  }

  get pending(): number {
    return this.#segments.reduce((sum, { records }) => sum + records, 0) - this.#consumedInSegment;
  }

  get uploaded(): number {
    return this.#cursor.uploaded;
  }

  get dropped(): number {
    return this.#cursor.dropped;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Flushes to the disk what a power cut would lose; call it on a timer. */
  flush(): Promise<void> {
    if (!this.#dirty || this.#file < 0) return Promise.resolve();
    this.#dirty = false;
    return new Promise((resolve, reject) =>
      fdatasync(this.#file, error => (error ? reject(error) : resolve())),
    );
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
    this.#writeCursor();
  }

  #startSegment(): Segment {
    if (this.#file >= 0) closeSync(this.#file);
    const last = this.#segments.at(-1);
    const first = last ? last.first + Math.max(last.records, 1) : Math.max(this.#cursor.segment, 1);
    this.#file = openSync(this.#path(first), "a", 0o600);
    const segment = { first, records: 0, bytes: 0 };
    this.#segments.push(segment);
    return segment;
  }

  #dropOldest(): void {
    let dropped = false;
    while (this.bytes > this.#bytesMax && this.#segments.length > 1) {
      const oldest = this.#segments[0]!;
      const consumed = oldest.first === this.#cursor.segment ? this.#consumedInSegment : 0;
      this.#cursor.dropped += oldest.records - consumed;
      this.#removeFirst(oldest);
      dropped = true;
    }
    if (dropped) this.#writeCursor();
  }

  #dropDamaged(segment: Segment): void {
    const consumed = segment.first === this.#cursor.segment ? this.#consumedInSegment : 0;
    this.#cursor.dropped += segment.records - consumed;
    this.#cursor = { ...this.#cursor, segment: segment.first, offset: segment.bytes };
    this.#consumedInSegment = segment.records;
    this.#writeCursor();
  }

  #removeFirst(segment: Segment): void {
    this.#segments = this.#segments.filter(each => each !== segment);
    rmSync(this.#path(segment.first), { force: true });
    const next = this.#segments[0];
    this.#cursor = { ...this.#cursor, segment: next?.first ?? segment.first + segment.records, offset: 0 };
    this.#consumedInSegment = 0;
  }

  /** What a crash left: whole segments are kept, a torn tail is cut off, an unreadable middle is dropped and counted. */
  #recover(): void {
    const names = readdirSync(this.#directory)
      .filter(name => /^\d{16}\.spool$/.test(name))
      .sort();
    for (const [index, name] of names.entries()) {
      const first = Number.parseInt(name, 10);
      const bytes = readFileSync(join(this.#directory, name));
      const { payloads, end, damagedAt } = decodeRecords(bytes, 0);
      if (damagedAt !== null && index === names.length - 1) {
        const file = openSync(join(this.#directory, name), "r+");
        ftruncateSync(file, end);
        closeSync(file);
      }
      this.#segments.push({ first, records: payloads.length, bytes: end });
      if (first === this.#cursor.segment) {
        this.#cursor.offset = Math.min(this.#cursor.offset, end);
        this.#consumedInSegment = decodeRecords(bytes.subarray(0, this.#cursor.offset), 0).payloads.length;
      }
    }
    // A cursor ahead of every segment file, or between two: everything that is left is still to be uploaded.
    if (!this.#segments.some(({ first }) => first === this.#cursor.segment)) {
      const first = this.#segments[0]?.first;
      if (first !== undefined) this.#cursor = { ...this.#cursor, segment: first, offset: 0 };
    }
  }

  #readCursor(): Cursor {
    return (
      readJson(join(this.#directory, "cursor.json"), Cursor) ?? {
        segment: 1,
        offset: 0,
        uploaded: 0,
        dropped: 0,
      }
    );
  }

  #writeCursor(): void {
    writeDurably(join(this.#directory, "cursor.json"), JSON.stringify(this.#cursor));
  }

  #path(first: number): string {
    return join(this.#directory, `${String(first).padStart(16, "0")}.spool`);
  }
}
