import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Btf, findComposite, readBtf } from "../btf/index.ts";
import { emit } from "./emit.ts";
import { readHeader } from "./header.ts";
import { buildModel, ModelError, type Struct } from "./model.ts";

/** The text of events.generated.ts, from the header and checked against the objects built from it. */
export function generate({ header, objects }: { header: string; objects: string[] }): string {
  const { btf, structs, enums, fieldEnums, constants } = readHeader(header);
  const model = buildModel(btf, structs, enums, fieldEnums);
  for (const path of objects) {
    const object = readBtf(readFileSync(path));
    for (const struct of model.structs) assertSameLayout(object, struct, path);
  }
  return emit(model, constants);
}

export function objectsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter(name => name.endsWith(".bpf.o"))
    .sort()
    .map(name => join(folder, name));
}

/** An object that was built from another header would be decoded wrongly without anyone noticing. */
export function assertSameLayout(object: Btf, expected: Struct, path: string): void {
  if (findComposite(object, expected.name) === undefined) return;
  const [built] = buildModel(object, [expected.name], []).structs.filter(
    struct => struct.name === expected.name,
  );
  const layout = (struct: Struct) =>
    `${struct.size} bytes: ${struct.fields.map(field => `${field.name}@${field.offset}`).join(" ")}`;
  if (built === undefined || layout(built) !== layout(expected))
    throw new ModelError(
      `${path} was built from another event.h: struct ${expected.name} is\n  ${built === undefined ? "missing" : layout(built)}\nin the object and\n  ${layout(expected)}\nin the header; run "make -C packages/bpf"`,
    );
}
