/*
 * How a map's keys and values become JavaScript: a codec knows its size in bytes and both directions. The
 * codecs of the structs in event.h are generated (`@picket/native/events`); these are the plain ones.
 */

export interface Codec<T> {
  readonly size: number;
  encode(value: T): Uint8Array;
  decode(bytes: Buffer): T;
}

// allocUnsafe: every byte is written below, and bytes of the pool need no ArrayBuffer of their own when
// native code looks at them (1 µs a call).
export const u32: Codec<number> = {
  size: 4,
  encode(value) {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32LE(value);
    return bytes;
  },
  decode: bytes => bytes.readUInt32LE(0),
};

export const i32: Codec<number> = {
  size: 4,
  encode(value) {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeInt32LE(value);
    return bytes;
  },
  decode: bytes => bytes.readInt32LE(0),
};

export const u64: Codec<bigint> = {
  size: 8,
  encode(value) {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigUInt64LE(value);
    return bytes;
  },
  decode: bytes => bytes.readBigUInt64LE(0),
};

export const u8: Codec<number> = {
  size: 1,
  encode: value => Uint8Array.of(value),
  decode: bytes => bytes[0]!,
};

export function bytes(size: number): Codec<Buffer> {
  return { size, encode: value => value, decode: value => value };
}

/** An array of 64-bit counters, as per-CPU counters usually are. */
export function u64s(count: number): Codec<bigint[]> {
  return {
    size: 8 * count,
    encode(values) {
      const bytes = Buffer.alloc(8 * count);
      values.forEach((value, index) => {
        bytes.writeBigUInt64LE(value, 8 * index);
      });
      return bytes;
    },
    decode: bytes => Array.from({ length: count }, (_, index) => bytes.readBigUInt64LE(8 * index)),
  };
}
