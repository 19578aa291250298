/** Addresses as people write them. */

/** 16 bytes, IPv4 v4-mapped (RFC 4291 2.5.5.2), to text (RFC 5952). */
export function addressText(bytes: Uint8Array): string {
  if (isMapped(bytes)) return bytes.subarray(12).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => (bytes[2 * index]! << 8) | bytes[2 * index + 1]!);
  const zeros = longestZeros(groups);
  const hex = (part: number[]) => part.map(group => group.toString(16)).join(":");
  return zeros.length < 2
    ? hex(groups)
    : `${hex(groups.slice(0, zeros.from))}::${hex(groups.slice(zeros.from + zeros.length))}`;
}

function isMapped(bytes: Uint8Array): boolean {
  for (let index = 0; index < 10; index++) if (bytes[index] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

function longestZeros(groups: number[]): { from: number; length: number } {
  let best = { from: 0, length: 0 };
  for (let from = 0; from < 8; from++) {
    let length = 0;
    while (groups[from + length] === 0) length++;
    if (length > best.length) best = { from, length };
  }
  return best;
}

/** /proc/net/tcp writes each 32-bit word of an address in host order. */
export function procAddress(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  for (let at = 0; at < bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  return addressText(
    bytes.length === 4 ? Buffer.concat([Buffer.from("00000000000000000000ffff", "hex"), bytes]) : bytes,
  );
}
