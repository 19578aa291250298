/** An object that the verifier refuses, made from one that it takes. */

/** Overwrites the first instruction of section "sk_msg" with a read of an uninitialised register. */
export function corruptProgram(elf: Buffer): void {
  const sections = Number(elf.readBigUInt64LE(40));
  const size = elf.readUInt16LE(58);
  const names = elf.readUInt16LE(62);
  const namesAt = Number(elf.readBigUInt64LE(sections + names * size + 24));
  for (let at = sections; at < sections + elf.readUInt16LE(60) * size; at += size) {
    const nameAt = namesAt + elf.readUInt32LE(at);
    if (elf.toString("latin1", nameAt, elf.indexOf(0, nameAt)) !== "sk_msg") continue;
    // r0 = r9
    Buffer.from([0xbf, 0x90, 0, 0, 0, 0, 0, 0]).copy(elf, Number(elf.readBigUInt64LE(at + 24)));
    return;
  }
  throw new Error("no section sk_msg");
}
