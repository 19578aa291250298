import type { Enum, Field, Model, Reading, Struct } from "./model.ts";

/*
 * Writes the TypeScript. Per struct S: an interface S of plain values; a class SView that reads in place and
 * can be moved from event to event without making objects; and, unless it has a tail, a codec S for maps.
 */

const HEADING = `/*
 * Made by \`npm run generate\` from packages/bpf/src/event.h through its BTF. Do not edit.
 *
 * A view reads one struct in place, at \`at\`, and is moved with \`moveTo\`: in the hot path one view serves a
 * whole batch. What it returns as bytes are views as well; \`copy()\` takes everything out.
 */
`;

const HELPERS = `
const little = true;
const decoder = new TextDecoder();

function text(view: DataView, at: number, max: number): string {
  let result = "";
  for (let index = 0; index < max; index++) {
    const byte = view.getUint8(at + index);
    if (byte === 0) return result;
    if (byte > 0x7f) return wideText(view, at, max);
    result += String.fromCharCode(byte);
  }
  return result;
}

function wideText(view: DataView, at: number, max: number): string {
  const all = bytes(view, at, max);
  const end = all.indexOf(0);
  return decoder.decode(end < 0 ? all : all.subarray(0, end));
}

function setText(view: DataView, at: number, max: number, value: string): void {
  const encoded = new TextEncoder().encode(value);
  // The last byte stays zero, as every reader in C expects.
  if (encoded.length >= max) throw new RangeError(\`"\${value}" is longer than \${max - 1} bytes\`);
  bytes(view, at, max).set(encoded);
}

function bytes(view: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, length);
}

function setBytes(view: DataView, at: number, length: number, value: Uint8Array): void {
  if (value.length !== length) throw new RangeError(\`\${length} bytes wanted, \${value.length} given\`);
  bytes(view, at, length).set(value);
}

function setInteger(name: string, value: number, min: number, max: number): number {
  // DataView would wrap silently: a share of 70,000 in 16 bits must not become 4,464.
  if (!Number.isInteger(value) || value < min || value > max)
    throw new RangeError(\`\${name}: \${value} is not an integer from \${min} to \${max}\`);
  return value;
}

function setBig(name: string, value: bigint, min: bigint, max: bigint): bigint {
  if (value < min || value > max) throw new RangeError(\`\${name}: \${value} does not fit\`);
  return value;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
`;

export function emit(model: Model, constants: { name: string; value: number }[]): string {
  const tails = new Set(model.structs.filter(hasTail).map(struct => struct.name));
  const structs = new Map(model.structs.map(struct => [struct.name, struct]));
  return [
    HEADING,
    'import type { Codec } from "./bpf/codec.ts";\n',
    constants.map(({ name, value }) => `export const ${name} = ${value};`).join("\n"),
    "",
    ...model.enums.map(emitEnum),
    ...model.structs.map(struct =>
      [
        emitInterface(struct),
        emitView(struct, structs),
        ...(tails.has(struct.name) ? [] : [emitCodec(struct, structs)]),
      ].join("\n"),
    ),
    HELPERS.trimStart(),
  ].join("\n");
}

const hasTail = (struct: Struct) => struct.fields.some(field => field.reading.kind === "tail");
const shown = (fields: Field[]) => fields.filter(field => !/^(pad|reserved)\d*$/.test(field.name));
const pascal = (name: string) =>
  name
    .replace(/^picket_/, "")
    .split("_")
    .map(word => word[0]!.toUpperCase() + word.slice(1))
    .join("");
const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

function emitEnum({ name, values }: Enum): string {
  const names = values.map(value => value.name);
  let prefix = names[0]!.slice(0, names[0]!.indexOf("_") + 1);
  if (!names.every(value => value.startsWith(prefix))) prefix = "";
  const type = pascal(name);
  return `/** enum ${name} */
export const ${type} = {
${values.map(value => `  ${value.name.slice(prefix.length)}: ${value.value},`).join("\n")}
} as const;
export type ${type} = (typeof ${type})[keyof typeof ${type}];
`;
}

function typeOf(reading: Reading): string {
  switch (reading.kind) {
    case "integer":
      return reading.enumName !== undefined
        ? pascal(reading.enumName)
        : reading.size === 8
          ? "bigint"
          : "number";
    case "bits":
      if (reading.enumName !== undefined) return pascal(reading.enumName);
      return reading.bits === 1 ? "boolean" : reading.size === 8 ? "bigint" : "number";
    case "boolean":
      return "boolean";
    case "float":
      return "number";
    case "text":
      return "string";
    case "bytes":
    case "tail":
      return "Uint8Array";
    case "struct":
      return pascal(reading.struct);
    case "array":
      return `${typeOf(reading.element)}[]`;
  }
}

function emitInterface({ name, size, fields }: Struct): string {
  return `/** struct ${name}, ${size} bytes */
export interface ${pascal(name)} {
${shown(fields)
  .map(field => `  ${camel(field.name)}: ${typeOf(field.reading)};`)
  .join("\n")}
}
`;
}

const getter = (size: number, signed: boolean) =>
  size === 8 ? (signed ? "getBigInt64" : "getBigUint64") : `get${signed ? "Int" : "Uint"}${size * 8}`;
const order = (size: number) => (size === 1 ? "" : ", little");

/** An expression that reads the field of a struct starting at `at`. */
function read(reading: Reading, at: string): string {
  switch (reading.kind) {
    case "integer": {
      const value = `this.view.${getter(reading.size, reading.signed)}(${at}${order(reading.size)})`;
      return reading.enumName === undefined ? value : `${value} as ${pascal(reading.enumName)}`;
    }
    case "boolean":
      return `this.view.getUint8(${at}) !== 0`;
    case "float":
      return `this.view.getFloat${reading.size * 8}(${at}, little)`;
    case "bits":
      return readBits(reading, at);
    case "text":
      return `text(this.view, ${at}, ${reading.length})`;
    case "bytes":
      return `bytes(this.view, ${at}, ${reading.length})`;
    case "tail":
      return `bytes(this.view, ${at}, ${
        reading.lengthField === undefined
          ? `this.view.byteLength - (${at})`
          : `this.${camel(reading.lengthField)}`
      })`;
    case "struct":
      return `new ${pascal(reading.struct)}View(this.view, ${at})`;
    case "array":
      return `Array.from({ length: ${reading.length} }, (_, index) => ${read(reading.element, `${at} + index * ${reading.stride}`)})`;
  }
}

function readBits(reading: Extract<Reading, { kind: "bits" }>, at: string): string {
  const { size, signed, shift, bits, enumName } = reading;
  const unit = `this.view.${getter(size, false)}(${at}${order(size)})`;
  if (size === 8) {
    const value = `BigInt.as${signed ? "Int" : "Uint"}N(${bits}, ${unit} >> ${shift}n)`;
    return bits === 1 ? `${value} !== 0n` : value;
  }
  if (bits === 1 && !signed) return `(${unit} & ${2 ** shift}) !== 0`;
  const value = signed
    ? `(${unit} << ${32 - bits - shift}) >> ${32 - bits}`
    : `(${unit} >>> ${shift}) & 0x${(2 ** bits - 1).toString(16)}`;
  return enumName === undefined ? value : `(${value}) as ${pascal(enumName)}`;
}

function emitView(struct: Struct, structs: Map<string, Struct>): string {
  const type = pascal(struct.name);
  const nested = shown(struct.fields).filter(field => field.reading.kind === "struct");
  const at = (field: Field) => (field.offset === 0 ? "this.at" : `this.at + ${field.offset}`);
  const getters = shown(struct.fields)
    .filter(field => field.reading.kind !== "struct")
    .map(
      field => `  get ${camel(field.name)}(): ${typeOf(field.reading)} {
    return ${read(field.reading, at(field))};
  }`,
    );
  const moves = nested.map(
    field =>
      `    this.${camel(field.name)}.moveTo(view, at${field.offset === 0 ? "" : ` + ${field.offset}`});`,
  );
  return `export class ${type}View {
  static readonly size = ${struct.size};
  view: DataView;
  at: number;
${nested.map(field => `  readonly ${camel(field.name)}: ${typeOf(field.reading)}View;\n`).join("")}
  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
${nested.map(field => `    this.${camel(field.name)} = new ${typeOf(field.reading)}View(view, at${field.offset === 0 ? "" : ` + ${field.offset}`});\n`).join("")}  }

  static of(bytes: Uint8Array): ${type}View {
    return new ${type}View(viewOf(bytes));
  }

  moveTo(view: DataView, at: number): this {
    this.view = view;
    this.at = at;
${moves.map(line => `${line}\n`).join("")}    return this;
  }

${getters.join("\n\n")}

  /** Everything, taken out of the bytes. */
  copy(): ${type} {
    return {
${shown(struct.fields)
  .map(field => `      ${camel(field.name)}: ${copyOf(field, structs)},`)
  .join("\n")}
    };
  }
}
`;
}

function copyOf(field: Field, structs: Map<string, Struct>): string {
  const own = `this.${camel(field.name)}`;
  switch (field.reading.kind) {
    case "struct":
      return `${own}.copy()`;
    case "bytes":
    case "tail":
      return `${own}.slice()`;
    case "array":
      return field.reading.element.kind === "struct" && structs.has(field.reading.element.struct)
        ? `${own}.map(element => element.copy())`
        : own;
    default:
      return own;
  }
}

function emitCodec(struct: Struct, structs: Map<string, Struct>): string {
  const type = pascal(struct.name);
  return `export const ${type}: Codec<${type}> = {
  size: ${struct.size},
  encode(value) {
    const encoded = new Uint8Array(${struct.size});
    const view = viewOf(encoded);
${shown(struct.fields)
  .map(field =>
    write(struct.name, field.reading, String(field.offset), `value.${camel(field.name)}`, structs),
  )
  .flatMap(text => text.split("\n"))
  .map(line => `    ${line}`)
  .join("\n")}
    return encoded;
  },
  decode: bytes => ${type}View.of(bytes).copy(),
};
`;
}

function write(
  struct: string,
  reading: Reading,
  at: string,
  value: string,
  structs: Map<string, Struct>,
): string {
  const name = JSON.stringify(`${struct}.${value.replace(/^value\./, "")}`);
  switch (reading.kind) {
    case "integer": {
      const setter = getter(reading.size, reading.signed).replace("get", "set");
      return `view.${setter}(${at}, ${checked(name, value, reading.size * 8, reading.signed, reading.size === 8)}${order(reading.size)});`;
    }
    case "boolean":
      return `view.setUint8(${at}, ${value} ? 1 : 0);`;
    case "float":
      return `view.setFloat${reading.size * 8}(${at}, ${value}, little);`;
    case "bits":
      return writeBits(reading, at, value, name);
    case "text":
      return `setText(view, ${at}, ${reading.length}, ${value});`;
    case "bytes":
      return `setBytes(view, ${at}, ${reading.length}, ${value});`;
    case "struct":
      return `encoded.set(${pascal(reading.struct)}.encode(${value}), ${at});`;
    case "array":
      return `if (${value}.length !== ${reading.length}) throw new RangeError(${name});\n${value}.forEach((element, index) => {\n  ${write(struct, reading.element, `${at} + index * ${reading.stride}`, "element", structs)}\n});`;
    case "tail":
      throw new Error(`${struct}: a struct with a tail has no codec`);
  }
}

function checked(name: string, value: string, bits: number, signed: boolean, big: boolean): string {
  const max = signed ? 2n ** BigInt(bits - 1) - 1n : 2n ** BigInt(bits) - 1n;
  const min = signed ? -(2n ** BigInt(bits - 1)) : 0n;
  return big
    ? `setBig(${name}, ${value}, ${min}n, ${max}n)`
    : `setInteger(${name}, ${value}, ${min}, ${max})`;
}

function writeBits(
  reading: Extract<Reading, { kind: "bits" }>,
  at: string,
  value: string,
  name: string,
): string {
  const { size, signed, shift, bits } = reading;
  const get = getter(size, false);
  const set = get.replace("get", "set");
  const old = `view.${get}(${at}${order(size)})`;
  if (size === 8) {
    const part =
      bits === 1
        ? `(${value} ? 1n : 0n)`
        : `BigInt.asUintN(${bits}, ${checked(name, value, bits, signed, true)})`;
    return `view.${set}(${at}, ${old} | (${part} << ${shift}n), little);`;
  }
  const part =
    bits === 1 && !signed
      ? `(${value} ? 1 : 0)`
      : `(${checked(name, value, bits, signed, false)} & 0x${(2 ** bits - 1).toString(16)})`;
  return `view.${set}(${at}, (${old} | (${part} << ${shift})) >>> 0${order(size)});`;
}
