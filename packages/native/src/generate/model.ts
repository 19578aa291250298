import type { Btf, BtfComposite, BtfMember, BtfType } from "../btf/index.ts";

/*
 * From BTF to what a decoder needs: each field with its place and how it is read. Anonymous structs and
 * unions dissolve into the struct around them, as their names do in C.
 */

export type Reading =
  | { kind: "integer"; size: 1 | 2 | 4 | 8; signed: boolean; enumName?: string }
  | { kind: "boolean" }
  | { kind: "float"; size: 4 | 8 }
  /** `size` bytes are read, shifted right and masked. */
  | { kind: "bits"; size: 1 | 2 | 4 | 8; signed: boolean; shift: number; bits: number; enumName?: string }
  /** char[n], to the first zero byte. */
  | { kind: "text"; length: number }
  | { kind: "bytes"; length: number }
  /** A flexible array of bytes; its length is in the field `lengthField`, or runs to the end of the bytes. */
  | { kind: "tail"; lengthField?: string }
  | { kind: "struct"; struct: string }
  | { kind: "array"; element: Reading; stride: number; length: number };

export interface Field {
  /** As in C. */
  name: string;
  offset: number;
  reading: Reading;
}

export interface Struct {
  name: string;
  size: number;
  fields: Field[];
}

export interface Enum {
  name: string;
  values: { name: string; value: number }[];
}

export interface Model {
  structs: Struct[];
  enums: Enum[];
}

export class ModelError extends Error {}

export function buildModel(
  btf: Btf,
  structNames: string[],
  enumNames: string[],
  fieldEnums: Map<string, string> = new Map(),
): Model {
  const enums = enumNames.map(name => readEnum(btf, name));
  const known = new Set(enumNames);
  const structs: Struct[] = [];
  const done = new Set<string>();
  const add = (name: string) => {
    if (done.has(name)) return;
    done.add(name);
    const type = btf.find("struct", name);
    if (type === undefined) throw new ModelError(`no struct ${name} in the BTF`);
    const fields = flatten(btf, type, 0).map(({ member, offsetBits }) =>
      readField(btf, member, offsetBits, { known, fieldEnums, add, struct: name }),
    );
    attachTailLength(fields);
    structs.push({ name, size: type.size, fields });
  };
  for (const name of structNames) add(name);
  return { structs, enums };
}

function readEnum(btf: Btf, name: string): Enum {
  const type = btf.find("enum", name);
  if (type === undefined) throw new ModelError(`no enum ${name} in the BTF`);
  return { name, values: type.values.map(({ name, value }) => ({ name, value: Number(value) })) };
}

function flatten(btf: Btf, type: BtfComposite, base: number): { member: BtfMember; offsetBits: number }[] {
  return type.members.flatMap(member => {
    const offsetBits = base + member.offsetBits;
    if (member.name !== "") return [{ member, offsetBits }];
    const inner = btf.resolve(member.type);
    return inner.kind === "struct" || inner.kind === "union" ? flatten(btf, inner, offsetBits) : [];
  });
}

interface Context {
  known: Set<string>;
  fieldEnums: Map<string, string>;
  add(struct: string): void;
  struct: string;
}

function readField(btf: Btf, member: BtfMember, offsetBits: number, context: Context): Field {
  const name = member.name;
  if (member.bitfieldBits === 0)
    return { name, offset: offsetBits / 8, reading: readingOf(btf, member.type, name, context) };
  const base = readingOf(btf, member.type, name, context);
  if (base.kind !== "integer")
    throw new ModelError(`${context.struct}.${name}: a bit-field of a ${base.kind}`);
  // The unit that the compiler would load: the base type's size, at a multiple of it.
  const unitBits = base.size * 8;
  const offset = Math.floor(offsetBits / unitBits) * base.size;
  return {
    name,
    offset,
    reading: { ...base, kind: "bits", shift: offsetBits - offset * 8, bits: member.bitfieldBits },
  };
}

function readingOf(btf: Btf, id: number, name: string, context: Context): Reading {
  const type = btf.resolve(id);
  switch (type.kind) {
    case "int":
      if (type.bool) return { kind: "boolean" };
      return {
        kind: "integer",
        size: byteSize(type, context, name),
        signed: type.signed,
        ...enumOf(name, context),
      };
    case "enum":
      return {
        kind: "integer",
        size: byteSize(type, context, name),
        signed: type.signed,
        ...(context.known.has(type.name) ? { enumName: type.name } : {}),
      };
    case "pointer":
      return { kind: "integer", size: 8, signed: false };
    case "float":
      return { kind: "float", size: type.size === 4 ? 4 : 8 };
    case "struct":
      if (type.name === "") throw new ModelError(`${context.struct}.${name}: give its struct a name`);
      context.add(type.name);
      return { kind: "struct", struct: type.name };
    case "array": {
      const element = btf.resolve(type.element);
      if (element.kind === "int" && element.size === 1) {
        if (btf.spell(type.element) === "char") return { kind: "text", length: type.length };
        return type.length === 0 ? { kind: "tail" } : { kind: "bytes", length: type.length };
      }
      if (type.length === 0)
        throw new ModelError(`${context.struct}.${name}: only bytes may be a flexible array`);
      const reading = readingOf(btf, type.element, name, context);
      return { kind: "array", element: reading, stride: btf.sizeOf(type.element), length: type.length };
    }
    default:
      throw new ModelError(`${context.struct}.${name}: cannot decode a ${type.kind}`);
  }
}

function byteSize(type: Extract<BtfType, { size: number }>, context: Context, name: string): 1 | 2 | 4 | 8 {
  if (type.size === 1 || type.size === 2 || type.size === 4 || type.size === 8) return type.size;
  throw new ModelError(`${context.struct}.${name}: an integer of ${type.size} bytes`);
}

/** By the comment in the header, else a field called like an enum is of that enum. */
function enumOf(name: string, { known, fieldEnums, struct }: Context): { enumName?: string } {
  const enumName = fieldEnums.get(`${struct}.${name}`) ?? `picket_${name}`;
  return known.has(enumName) ? { enumName } : {};
}

function attachTailLength(fields: Field[]): void {
  for (const { name, reading } of fields)
    if (reading.kind === "tail" && fields.some(field => field.name === `${name}_bytes`))
      reading.lengthField = `${name}_bytes`;
}
