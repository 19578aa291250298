import { BtfError } from "./errors.ts";

/*
 * Reader of BPF Type Format (kernel documentation, bpf/btf.rst). A kernel's BTF has about 150,000 types in
 * 5 MB, of which a caller wants a handful: only an index of offsets is built, types are decoded when asked
 * for, and names are compared as bytes.
 */

export interface BtfMember {
  name: string;
  type: number;
  offsetBits: number;
  /** Width of a bit-field; 0 for an ordinary member. */
  bitfieldBits: number;
}

export type BtfType =
  | { kind: "void"; id: 0; name: "void" }
  | {
      kind: "int";
      id: number;
      name: string;
      size: number;
      signed: boolean;
      char: boolean;
      bool: boolean;
      bits: number;
    }
  | { kind: "float"; id: number; name: string; size: number }
  | { kind: "pointer"; id: number; name: ""; type: number }
  | { kind: "array"; id: number; name: ""; element: number; length: number }
  | { kind: "struct"; id: number; name: string; size: number; members: BtfMember[] }
  | { kind: "union"; id: number; name: string; size: number; members: BtfMember[] }
  | {
      kind: "enum";
      id: number;
      name: string;
      size: number;
      signed: boolean;
      values: { name: string; value: bigint }[];
    }
  | { kind: "forward"; id: number; name: string }
  | {
      kind: "typedef" | "volatile" | "const" | "restrict" | "type-tag";
      id: number;
      name: string;
      type: number;
    }
  | { kind: "function"; id: number; name: string; type: number }
  | { kind: "prototype"; id: number; name: ""; returns: number; parameters: { name: string; type: number }[] }
  | { kind: "variable"; id: number; name: string; type: number }
  | {
      kind: "section";
      id: number;
      name: string;
      size: number;
      variables: { type: number; offset: number; size: number }[];
    }
  | { kind: "declaration-tag"; id: number; name: string; type: number };

export type BtfKind = BtfType["kind"];
export type BtfComposite = Extract<BtfType, { kind: "struct" | "union" }>;

const MAGIC = 0xeb9f;
const TYPE_BYTES = 12;
const KINDS = [
  "void",
  "int",
  "pointer",
  "array",
  "struct",
  "union",
  "enum",
  "forward",
  "typedef",
  "volatile",
  "const",
  "restrict",
  "function",
  "prototype",
  "variable",
  "section",
  "float",
  "declaration-tag",
  "type-tag",
  "enum", // ENUM64
] as const satisfies readonly BtfKind[];
const ENUM64 = 19;

export class Btf {
  readonly typeCount: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #offsets: Uint32Array;
  readonly #strings: number;
  readonly #stringsEnd: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < 24) throw new BtfError("BTF_MALFORMED", `BTF of ${bytes.length} bytes has no header`);
    const magic = this.#view.getUint16(0, true);
    if (magic !== MAGIC)
      throw new BtfError("BTF_MALFORMED", `not little-endian BTF: magic 0x${magic.toString(16)}`);
    const header = this.#view.getUint32(4, true);
    const types = header + this.#view.getUint32(8, true);
    const typesEnd = types + this.#view.getUint32(12, true);
    this.#strings = header + this.#view.getUint32(16, true);
    this.#stringsEnd = this.#strings + this.#view.getUint32(20, true);
    if (typesEnd > bytes.length || this.#stringsEnd > bytes.length)
      throw new BtfError("BTF_MALFORMED", "BTF is cut short: a section lies outside it");
    const offsets: number[] = [0];
    for (let at = types; at < typesEnd; ) {
      offsets.push(at);
      if (at + TYPE_BYTES > typesEnd)
        throw new BtfError("BTF_MALFORMED", `BTF type ${offsets.length - 1} is cut short`);
      at += TYPE_BYTES + this.#extraBytes(at, offsets.length - 1);
      if (at > typesEnd) throw new BtfError("BTF_MALFORMED", `BTF type ${offsets.length - 1} is cut short`);
    }
    this.#offsets = Uint32Array.from(offsets);
    this.typeCount = offsets.length;
  }

  #kindNumber(at: number): number {
    return (this.#view.getUint32(at + 4, true) >>> 24) & 0x1f;
  }

  #extraBytes(at: number, id: number): number {
    const count = this.#view.getUint32(at + 4, true) & 0xffff;
    const kind = this.#kindNumber(at);
    switch (kind) {
      case 1: // int
      case 14: // variable
      case 17: // declaration tag
        return 4;
      case 3: // array
        return 12;
      case 4:
      case 5:
      case 15:
      case ENUM64:
        return 12 * count;
      case 6:
      case 13:
        return 8 * count;
      case 2:
      case 7:
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
      case 16:
      case 18:
        return 0;
      default:
        // Its length is unknown, and with it where every later type starts.
        throw new BtfError("BTF_MALFORMED", `BTF type ${id} is of unknown kind ${kind}`);
    }
  }

  #string(offset: number): string {
    const start = this.#strings + offset;
    const end = start < this.#stringsEnd ? this.#bytes.indexOf(0, start) : -1;
    if (end < 0 || end >= this.#stringsEnd)
      throw new BtfError("BTF_MALFORMED", `BTF name at ${offset} lies outside the string section`);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start).toString("utf8");
  }

  type(id: number): BtfType {
    if (id === 0) return { kind: "void", id: 0, name: "void" };
    const at = this.#offsets[id];
    if (at === undefined) throw new BtfError("BTF_MALFORMED", `BTF has no type ${id}`);
    const u32 = (offset: number) => this.#view.getUint32(at + offset, true);
    const name = this.#string(u32(0));
    const info = u32(4);
    const count = info & 0xffff;
    const flag = info >>> 31 === 1;
    const sizeOrType = u32(8);
    const number = this.#kindNumber(at);
    const list = <T>(bytes: number, read: (offset: number) => T): T[] =>
      Array.from({ length: count }, (_, index) => read(TYPE_BYTES + index * bytes));
    const kind = KINDS[number]!;
    switch (kind) {
      case "void":
        return { kind, id: 0, name: "void" };
      case "int": {
        const encoding = u32(12);
        const bits = encoding & 0xff;
        const flags = (encoding >>> 24) & 0xf;
        return {
          kind,
          id,
          name,
          size: sizeOrType,
          signed: (flags & 1) !== 0,
          char: (flags & 2) !== 0,
          bool: (flags & 4) !== 0,
          bits,
        };
      }
      case "float":
        return { kind, id, name, size: sizeOrType };
      case "pointer":
        return { kind, id, name: "", type: sizeOrType };
      case "array":
        return { kind, id, name: "", element: u32(12), length: u32(20) };
      case "struct":
      case "union":
        return {
          kind,
          id,
          name,
          size: sizeOrType,
          members: list(12, offset => {
            const position = u32(offset + 8);
            return {
              name: this.#string(u32(offset)),
              type: u32(offset + 4),
              // With the kind flag the width of a bit-field shares the word with its position.
              offsetBits: flag ? position & 0xffffff : position,
              bitfieldBits: flag ? position >>> 24 : 0,
            };
          }),
        };
      case "enum": {
        const wide = number === ENUM64;
        const values = list(wide ? 12 : 8, offset => {
          const raw = wide
            ? (BigInt(u32(offset + 8)) << 32n) | BigInt(u32(offset + 4))
            : BigInt(u32(offset + 4));
          return { name: this.#string(u32(offset)), value: flag ? BigInt.asIntN(wide ? 64 : 32, raw) : raw };
        });
        return { kind, id, name, size: sizeOrType, signed: flag, values };
      }
      case "forward":
        return { kind, id, name };
      case "typedef":
      case "volatile":
      case "const":
      case "restrict":
      case "type-tag":
      case "function":
      case "variable":
      case "declaration-tag":
        return { kind, id, name, type: sizeOrType };
      case "prototype":
        return {
          kind,
          id,
          name: "",
          returns: sizeOrType,
          parameters: list(8, offset => ({ name: this.#string(u32(offset)), type: u32(offset + 4) })),
        };
      case "section":
        return {
          kind,
          id,
          name,
          size: sizeOrType,
          variables: list(12, offset => ({
            type: u32(offset),
            offset: u32(offset + 4),
            size: u32(offset + 8),
          })),
        };
    }
  }

  /** Ids of the types of this name, in order. Compares bytes: no string is made for those that differ. */
  *idsNamed(name: string): Generator<number> {
    const wanted = Buffer.from(`${name}\0`, "utf8");
    const bytes = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    for (let id = 1; id < this.typeCount; id++) {
      const start = this.#strings + this.#view.getUint32(this.#offsets[id]!, true);
      if (bytes[start] !== wanted[0] || start + wanted.length > this.#stringsEnd) continue;
      if (bytes.compare(wanted, 0, wanted.length, start, start + wanted.length) === 0) yield id;
    }
  }

  find<Kind extends BtfKind>(kind: Kind, name: string): Extract<BtfType, { kind: Kind }> | undefined {
    for (const id of this.idsNamed(name)) {
      const type = this.type(id);
      if (type.kind === kind) return type as Extract<BtfType, { kind: Kind }>;
    }
    return undefined;
  }

  *types(): Generator<BtfType> {
    for (let id = 1; id < this.typeCount; id++) yield this.type(id);
  }

  /** The type under typedefs and qualifiers. */
  resolve(id: number): BtfType {
    let type = this.type(id);
    for (let depth = 0; depth < 64; depth++) {
      switch (type.kind) {
        case "typedef":
        case "volatile":
        case "const":
        case "restrict":
        case "type-tag":
        case "variable":
          type = this.type(type.type);
          break;
        default:
          return type;
      }
    }
    throw new BtfError("BTF_MALFORMED", `BTF type ${id} refers to itself`);
  }

  sizeOf(id: number, depth = 0): number {
    if (depth > 64) throw new BtfError("BTF_MALFORMED", `BTF type ${id} contains itself`);
    const type = this.resolve(id);
    switch (type.kind) {
      case "int":
      case "float":
      case "struct":
      case "union":
      case "enum":
      case "section":
        return type.size;
      case "pointer":
        return 8;
      case "array":
        return type.length * this.sizeOf(type.element, depth + 1);
      default:
        throw new BtfError("BTF_MALFORMED", `BTF type ${id} (${type.kind} ${type.name}) has no size`);
    }
  }

  /** The type as C would write it: "struct sock *", "char[16]", "u16". */
  spell(id: number, depth = 0): string {
    if (depth > 64) throw new BtfError("BTF_MALFORMED", `BTF type ${id} refers to itself`);
    const type = this.type(id);
    switch (type.kind) {
      case "void":
      case "int":
      case "float":
      case "typedef":
        return type.name;
      case "pointer":
        return `${this.spell(type.type, depth + 1)} *`;
      case "array":
        return `${this.spell(type.element, depth + 1)}[${type.length}]`;
      case "struct":
      case "union":
      case "enum":
        return `${type.kind} ${type.name || "(anonymous)"}`;
      case "forward":
        return `struct ${type.name}`;
      case "const":
      case "volatile":
      case "restrict":
        return `${type.kind} ${this.spell(type.type, depth + 1)}`;
      case "type-tag":
      case "variable":
        return this.spell(type.type, depth + 1);
      case "prototype":
      case "function":
        return "function";
      case "section":
      case "declaration-tag":
        return type.name;
    }
  }
}
