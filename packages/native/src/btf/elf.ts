import { BtfError } from "./errors.ts";

/*
 * One section out of an ELF file, by name: enough to find the BTF of a BPF object. Format: System V ABI,
 * chapter 4 (64-bit, little-endian, which is what clang -target bpf writes on the machines we run on).
 */

const ELF_HEADER_BYTES = 64;
const SECTION_HEADER_BYTES = 64;

export function isElf(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46
  );
}

export function elfSection(bytes: Uint8Array, wanted: string): Uint8Array | undefined {
  if (bytes.length < ELF_HEADER_BYTES || bytes[4] !== 2 || bytes[5] !== 1)
    throw new BtfError("BTF_MALFORMED", "not a 64-bit little-endian ELF file, or cut short");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tableOffset = Number(view.getBigUint64(0x28, true));
  const count = view.getUint16(0x3c, true);
  const namesIndex = view.getUint16(0x3e, true);
  const section = (index: number) => {
    const at = tableOffset + index * SECTION_HEADER_BYTES;
    if (at + SECTION_HEADER_BYTES > bytes.length)
      throw new BtfError("BTF_MALFORMED", `ELF section ${index} lies outside the file`);
    const offset = Number(view.getBigUint64(at + 0x18, true));
    const size = Number(view.getBigUint64(at + 0x20, true));
    const noBits = view.getUint32(at + 4, true) === 8;
    return { name: view.getUint32(at, true), offset, size: noBits ? 0 : size };
  };
  const content = (index: number) => {
    const { offset, size } = section(index);
    if (offset + size > bytes.length)
      throw new BtfError("BTF_MALFORMED", `ELF section ${index} is cut short`);
    return bytes.subarray(offset, offset + size);
  };
  const names = content(namesIndex);
  for (let index = 0; index < count; index++) {
    const start = section(index).name;
    const end = names.indexOf(0, start);
    if (Buffer.from(names.subarray(start, end)).toString("latin1") === wanted) return content(index);
  }
  return undefined;
}
