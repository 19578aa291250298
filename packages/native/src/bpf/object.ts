import { type Btf, readBtf } from "../btf/index.ts";
import { BpfError } from "./errors.ts";
import type { BpfLink } from "./link.ts";
import { BpfMap, type MapHandle } from "./map.ts";
import { type NativeObject, native } from "./native.ts";
import { BpfProgram, type LinkKeeper } from "./program.ts";

/** The bytes of a `const volatile` variable, or a number written in as many bytes as the variable has. */
export type VariableValue = Uint8Array | number | bigint | boolean;

export interface OpenOptions {
  /** For messages and for the names of data-section maps; the kernel sees its first 15 characters. */
  name: string;
  /** By variable name, or by section (".rodata") for all of its bytes. */
  rodata?: Record<string, VariableValue>;
  /** Maps to share in place of new ones: type, sizes and entries must be equal. */
  mapReuse?: Record<string, MapHandle>;
  maxEntries?: Record<string, number>;
  /** Programs not to load, or to load although the section name says no ("?sk_msg"). */
  autoload?: Record<string, boolean>;
  /** Where maps that ask for pinning are pinned. */
  pinRoot?: string;
}

export interface Variable {
  section: string;
  offset: number;
  size: number;
}

/**
 * A BPF object file: opened, configured, loaded once. Closing it closes its links first, then its programs;
 * maps handed out by `map()` are handles of their own.
 */
export class BpfObject {
  readonly #native: NativeObject;
  readonly #links = new Set<BpfLink>();
  readonly #keeper: LinkKeeper = {
    keep: link => this.#links.add(link),
    forget: link => this.#links.delete(link),
  };
  readonly name: string;
  #btf: Btf | undefined;

  private constructor(bytes: Uint8Array, options: OpenOptions) {
    this.name = options.name;
    this.#native = new native.Object(bytes, options.name, options.pinRoot);
  }

  static open(bytes: Uint8Array, options: OpenOptions): BpfObject {
    const object = new BpfObject(bytes, options);
    try {
      for (const [program, autoload] of Object.entries(options.autoload ?? {}))
        object.#native.setAutoload(program, autoload);
      for (const [map, entries] of Object.entries(options.maxEntries ?? {}))
        object.#native.setMaxEntries(map, entries);
      for (const [name, map] of Object.entries(options.mapReuse ?? {})) object.#native.reuseMap(name, map.fd);
      for (const [name, value] of Object.entries(options.rodata ?? {})) object.#setInitial(name, value);
    } catch (error) {
      object.close();
      throw error;
    }
    return object;
  }

  #setInitial(name: string, value: VariableValue): void {
    if (name.startsWith(".")) {
      if (!(value instanceof Uint8Array))
        throw badInput(`section '${name}' takes bytes; name a variable to give it a number`);
      this.#native.setInitialValue(name, value);
      return;
    }
    const variable = this.variable(name);
    const section = this.#native.initialValue(variable.section);
    section.set(variableBytes(name, variable.size, value), variable.offset);
    this.#native.setInitialValue(variable.section, section);
  }

  /** The object's types, with the section offsets that libbpf repaired. */
  get btf(): Btf {
    if (this.#btf === undefined) {
      const bytes = this.#native.btf();
      if (bytes === undefined) throw badInput(`object '${this.name}' has no BTF: compile it with -g`);
      this.#btf = readBtf(bytes);
    }
    return this.#btf;
  }

  /** Where a global variable lies. */
  variable(name: string): Variable {
    for (const type of this.btf.types()) {
      if (type.kind !== "section" || !/^\.(rodata|data|bss)/.test(type.name)) continue;
      for (const { type: id, offset, size } of type.variables)
        if (this.btf.type(id).name === name) return { section: type.name, offset, size };
    }
    throw new BpfError(`object '${this.name}' has no variable '${name}' in .rodata, .data or .bss`, {
      code: "BPF_NOT_FOUND",
      step: "configure",
    });
  }

  /** The present bytes of a global variable of a loaded object. */
  readVariable(name: string): Buffer {
    const { section, offset, size } = this.variable(name);
    const map = this.map(section);
    try {
      const bytes = map.get(Buffer.alloc(4));
      if (bytes === undefined) throw badInput(`section '${section}' of object '${this.name}' is empty`);
      return bytes.subarray(offset, offset + size);
    } finally {
      map.close();
    }
  }

  get programs(): { name: string; section: string; type: string; autoload: boolean }[] {
    return this.#native.programs();
  }

  get maps(): ReturnType<NativeObject["maps"]> {
    return this.#native.maps();
  }

  /** Blocks this thread as long as the verifier takes. */
  load(): this {
    this.#native.load();
    return this;
  }

  /** On a worker thread; the object must not be used until it settles. */
  async loadAsync(): Promise<this> {
    await this.#native.loadAsync();
    return this;
  }

  program(name: string): BpfProgram {
    const handle = this.#native.program(name);
    const section = this.#native.programs().find(program => program.name === name)?.section;
    return new BpfProgram(handle, this.#keeper, section);
  }

  map(name: string): BpfMap<Buffer, Buffer> {
    return BpfMap.of(this.#native.map(name));
  }

  /** Closing twice is harmless. */
  close(): void {
    this.#links.clear();
    this.#native.close();
  }
}

function badInput(message: string): BpfError {
  return new BpfError(message, { code: "BPF_BAD_INPUT", step: "configure" });
}

function variableBytes(name: string, size: number, value: VariableValue): Uint8Array {
  if (value instanceof Uint8Array) {
    if (value.length !== size) throw badInput(`variable '${name}' has ${size} bytes, given ${value.length}`);
    return value;
  }
  const number = BigInt(value);
  const bits = BigInt(size * 8);
  if (size > 8 || number >= 1n << bits || number < -(1n << (bits - 1n)))
    throw badInput(`the number ${number} does not fit variable '${name}' of ${size} bytes`);
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, number));
  return bytes.subarray(0, size);
}
