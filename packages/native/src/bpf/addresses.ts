/*
 * IP addresses between text and the 16 bytes that kernel events carry, IPv4 as v4-mapped (RFC 4291 2.5.5.2).
 */

import { isIPv4, isIPv6 } from "node:net";

const MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

export function isMapped(bytes: Uint8Array): boolean {
  return MAPPED.every((byte, index) => bytes[index] === byte);
}

/** Text of 16 bytes: IPv4 when mapped, else IPv6 as RFC 5952 wants it. */
export function addressText(bytes: Uint8Array): string {
  if (isMapped(bytes)) return bytes.subarray(12, 16).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => (bytes[2 * index]! << 8) | bytes[2 * index + 1]!);
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map(group => group.toString(16))
      .join(":");
  if (best.length === 1) return text(0, 8);
  return `${text(0, best.start)}::${text(best.start + best.length, 8)}`;
}

/** 16 bytes of an address in text; undefined if it is none. */
export function addressBytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(16);
  if (isIPv4(text)) {
    bytes.set(MAPPED);
    bytes.set(text.split(".").map(Number), 12);
    return bytes;
  }
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const [head, last] = tail === null ? [text, []] : [`${tail[1]}0:0`, tail[2]!.split(".").map(Number)];
  const [before, after] = head.split("::").map(half => half.split(":").filter(group => group !== ""));
  const put = (groups: string[], start: number) => {
    for (const [index, group] of groups.entries()) {
      const value = Number.parseInt(group, 16);
      bytes[2 * (start + index)] = value >> 8;
      bytes[2 * (start + index) + 1] = value & 0xff;
    }
  };
  put(before!, 0);
  if (after !== undefined) put(after, 8 - after.length);
  bytes.set(last, 16 - last.length);
  return bytes;
}
