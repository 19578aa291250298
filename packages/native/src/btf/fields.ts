import type { Btf, BtfComposite } from "./btf.ts";
import { BtfError } from "./errors.ts";

/*
 * Finds a field of a struct by name, as a C compiler would: through anonymous structs and unions, and by a
 * dotted path through named ones ("__sk_common.skc_dport").
 */

export interface Field {
  offsetBits: number;
  sizeBits: number;
  /** As C would write it. */
  type: string;
  typeId: number;
  bitfield: boolean;
}

export function findComposite(btf: Btf, name: string): BtfComposite | undefined {
  for (const id of btf.idsNamed(name)) {
    const type = btf.resolve(id);
    // A forward declaration may share the name with the definition: only the latter has members.
    if (type.kind === "struct" || type.kind === "union") return type;
  }
  return undefined;
}

export function fieldOf(btf: Btf, struct: string, path: string): Field {
  const root = findComposite(btf, struct);
  if (root === undefined) throw new BtfError("BTF_NOT_FOUND", `this BTF has no struct "${struct}"`);
  let at: BtfComposite = root;
  let walked = struct;
  let offsetBits = 0;
  const names = path.split(".");
  for (const [index, name] of names.entries()) {
    const member = memberOf(btf, at, name);
    if (member === undefined)
      throw new BtfError(
        "BTF_NOT_FOUND",
        `struct "${walked}" has no field "${name}" in this BTF; it has: ${memberNames(btf, at).join(", ")}`,
      );
    offsetBits += member.offsetBits;
    if (index === names.length - 1) {
      const bitfield = member.bitfieldBits > 0;
      return {
        offsetBits,
        sizeBits: bitfield ? member.bitfieldBits : btf.sizeOf(member.type) * 8,
        type: btf.spell(member.type),
        typeId: member.type,
        bitfield,
      };
    }
    const next = btf.resolve(member.type);
    walked = `${walked}.${name}`;
    if (next.kind !== "struct" && next.kind !== "union")
      throw new BtfError(
        "BTF_NOT_FOUND",
        `"${walked}" is a ${btf.spell(member.type)}, not a struct to look into`,
      );
    at = next;
  }
  throw new BtfError("BTF_NOT_FOUND", `no field named in "${struct}"`);
}

/** Anonymous structs within each other: C code has two or three. */
const ANONYMOUS_MAX = 64;

/** What an anonymous member holds; undefined where it is no struct or union. */
function innerOf(btf: Btf, type: number, depth: number): BtfComposite | undefined {
  if (depth > ANONYMOUS_MAX) throw new BtfError("BTF_MALFORMED", `BTF type ${type} contains itself`);
  const inner = btf.resolve(type);
  return inner.kind === "struct" || inner.kind === "union" ? inner : undefined;
}

function memberOf(
  btf: Btf,
  composite: BtfComposite,
  name: string,
  depth = 0,
): BtfComposite["members"][number] | undefined {
  for (const member of composite.members) {
    if (member.name === name) return member;
    if (member.name !== "") continue;
    const inner = innerOf(btf, member.type, depth);
    const found = inner && memberOf(btf, inner, name, depth + 1);
    if (found) return { ...found, offsetBits: found.offsetBits + member.offsetBits };
  }
  return undefined;
}

function memberNames(btf: Btf, composite: BtfComposite, depth = 0): string[] {
  return composite.members.flatMap(member => {
    if (member.name !== "") return [member.name];
    const inner = innerOf(btf, member.type, depth);
    return inner ? memberNames(btf, inner, depth + 1) : [];
  });
}
