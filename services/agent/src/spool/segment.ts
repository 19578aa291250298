/**
 * A spool segment is a run of records: u32 length, u32 CRC-32 of the payload, payload, little-endian. A record
 * torn by a crash fails its length or its CRC; everything before it is whole.
 */
import { crc32 } from "node:zlib";

export const RECORD_HEADER_BYTES = 8;
/** A Detection is at most a few KiB; a longer length is damage, not data. */
export const RECORD_BYTES_MAX = 1 << 20;

export function encodeRecord(payload: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(RECORD_HEADER_BYTES + payload.length);
  record.writeUInt32LE(payload.length, 0);
  record.writeUInt32LE(crc32(payload), 4);
  record.set(payload, RECORD_HEADER_BYTES);
  return record;
}

/** The whole records from `offset` on, and where the first one that is torn or damaged begins, if any. */
export function decodeRecords(
  bytes: Buffer,
  offset: number,
  limit: { records: number; bytes: number } = {
    records: Number.POSITIVE_INFINITY,
    bytes: Number.POSITIVE_INFINITY,
  },
): { payloads: Buffer[]; end: number; damagedAt: number | null } {
  const payloads: Buffer[] = [];
  let at = offset;
  let taken = 0;
  while (at < bytes.length && payloads.length < limit.records && taken < limit.bytes) {
    if (at + RECORD_HEADER_BYTES > bytes.length) return { payloads, end: at, damagedAt: at };
    const length = bytes.readUInt32LE(at);
    const end = at + RECORD_HEADER_BYTES + length;
    if (length > RECORD_BYTES_MAX || end > bytes.length) return { payloads, end: at, damagedAt: at };
    const payload = bytes.subarray(at + RECORD_HEADER_BYTES, end);
    if (crc32(payload) !== bytes.readUInt32LE(at + 4)) return { payloads, end: at, damagedAt: at };
    payloads.push(payload);
    taken += length;
    at = end;
  }
  return { payloads, end: at, damagedAt: null };
}
