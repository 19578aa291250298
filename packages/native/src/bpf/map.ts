import { rmSync } from "node:fs";
import { bytes, type Codec } from "./codec.ts";
import { BpfError } from "./errors.ts";
import { type MapInfo, type NativeMap, native } from "./native.ts";
import type { BpfProgram } from "./program.ts";

/*
 * A map of the kernel. It owns its own descriptor: closing the object it came from does not close it, and a
 * map that a program uses lives on in the kernel after `close()`. Without codecs keys and values are bytes.
 */

export type UpdateMode = "any" | "create" | "replace";
const UPDATE_FLAGS: Record<UpdateMode, number> = { any: 0, create: 1, replace: 2 };

/** Map type numbers of include/uapi/linux/bpf.h. */
export const MAP_TYPES = {
  hash: 1,
  array: 2,
  prog_array: 3,
  percpu_hash: 5,
  percpu_array: 6,
  cgroup_array: 8,
  lru_hash: 9,
  lru_percpu_hash: 10,
  lpm_trie: 11,
  array_of_maps: 12,
  hash_of_maps: 13,
  sockmap: 15,
  sockhash: 18,
  queue: 22,
  stack: 23,
  sk_storage: 24,
  ringbuf: 27,
  task_storage: 29,
  bloom_filter: 30,
} as const;
export type MapTypeName = keyof typeof MAP_TYPES;

/** Any map, whatever its keys and values are. */
export interface MapHandle {
  readonly fd: number;
}

export interface CreateMapOptions {
  name: string;
  type: MapTypeName;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags?: number;
  /** A map of the inner maps' shape, for array_of_maps and hash_of_maps. */
  innerMap?: MapHandle;
}

const CHUNK_BYTES_MAX = 1 << 20;

export class BpfMap<K = Uint8Array, V = Uint8Array> {
  readonly #native: NativeMap;
  readonly #key: Codec<K>;
  readonly #value: Codec<V>;
  readonly info: Readonly<MapInfo>;
  #pinPath: string | undefined;

  private constructor(handle: NativeMap, info: MapInfo, key: Codec<K>, value: Codec<V>) {
    this.#native = handle;
    this.info = info;
    this.#key = key;
    this.#value = value;
  }

  /** @internal */
  static of(handle: NativeMap): BpfMap<Buffer, Buffer> {
    const info = handle.info();
    return new BpfMap(handle, info, bytes(info.keySize), bytes(info.valueBytes));
  }

  static create(options: CreateMapOptions): BpfMap<Buffer, Buffer> {
    const { name, type, keySize, valueSize, maxEntries, flags = 0, innerMap } = options;
    return BpfMap.of(
      native.createMap({
        name,
        type: MAP_TYPES[type],
        keySize,
        valueSize,
        maxEntries,
        flags,
        ...(innerMap === undefined ? {} : { innerMapFd: innerMap.fd }),
      }),
    );
  }

  static openPinned(path: string): BpfMap<Buffer, Buffer> {
    const map = BpfMap.of(native.openPinnedMap(path));
    map.#pinPath = path;
    return map;
  }

  /** The same map with typed keys and values; both share one descriptor. */
  as<K2, V2>(codecs: { key: Codec<K2>; value: Codec<V2> }): BpfMap<K2, V2> {
    this.#checkCodec("key", codecs.key.size, this.info.keySize);
    if (this.info.perCpu)
      throw this.#refuse("a per-CPU map has a value per CPU: use perCpu() in place of as()");
    this.#checkCodec("value", codecs.value.size, this.info.valueSize);
    return this.#retyped(codecs.key, codecs.value);
  }

  /** A per-CPU map with typed values, one per possible CPU. */
  perCpu<K2, V2>(codecs: { key: Codec<K2>; value: Codec<V2> }): BpfMap<K2, V2[]> {
    if (!this.info.perCpu) throw this.#refuse("it is not a per-CPU map: use as() in place of perCpu()");
    this.#checkCodec("key", codecs.key.size, this.info.keySize);
    this.#checkCodec("value", codecs.value.size, this.info.valueSize);
    return this.#retyped(codecs.key, perCpuCodec(codecs.value));
  }

  #retyped<K2, V2>(key: Codec<K2>, value: Codec<V2>): BpfMap<K2, V2> {
    const map = new BpfMap(this.#native, this.info, key, value);
    map.#pinPath = this.#pinPath;
    return map;
  }

  #checkCodec(what: string, given: number, wanted: number): void {
    if (given !== wanted) throw this.#refuse(`its ${what} has ${wanted} bytes, the codec ${given}`);
  }

  #refuse(why: string): BpfError {
    return new BpfError(`map '${this.info.name}': ${why}`, { code: "BPF_BAD_INPUT", step: "map" });
  }

  get name(): string {
    return this.info.name;
  }

  get fd(): number {
    return this.#native.fd();
  }

  get(key: K): V | undefined {
    const value = this.#native.lookup(this.#key.encode(key));
    return value === undefined ? undefined : this.#value.decode(value);
  }

  has(key: K): boolean {
    return this.#native.lookup(this.#key.encode(key)) !== undefined;
  }

  set(key: K, value: V, mode: UpdateMode = "any"): void {
    this.#native.update(this.#key.encode(key), this.#value.encode(value), UPDATE_FLAGS[mode]);
  }

  /** `set` but for its system call, which each call of the returned function makes. */
  prepare(key: K, value: V, mode: UpdateMode = "any"): () => void {
    const [encodedKey, encodedValue] = [this.#key.encode(key), this.#value.encode(value)];
    return () => this.#native.update(encodedKey, encodedValue, UPDATE_FLAGS[mode]);
  }

  /** Returns whether it was there. */
  delete(key: K): boolean {
    return this.#native.delete(this.#key.encode(key));
  }

  /** Reads and deletes in one step, so that no count between the two is lost. */
  take(key: K): V | undefined {
    const value = this.#native.take(this.#key.encode(key));
    return value === undefined ? undefined : this.#value.decode(value);
  }

  /** Reads in batches as it goes: entries that come or go meanwhile may or may not be met. */
  *entries(): Generator<[K, V]> {
    const { keySize, valueBytes, maxEntries } = this.info;
    const perChunk = Math.max(1, Math.min(maxEntries, Math.floor(CHUNK_BYTES_MAX / (keySize + valueBytes))));
    let cursor: Buffer | undefined;
    do {
      const chunk = this.#native.readChunk(cursor, perChunk);
      for (let index = 0; index < chunk.count; index++) {
        yield [
          this.#key.decode(chunk.keys.subarray(index * keySize, (index + 1) * keySize)),
          this.#value.decode(chunk.values.subarray(index * valueBytes, (index + 1) * valueBytes)),
        ];
      }
      cursor = chunk.cursor;
    } while (cursor !== undefined);
  }

  *keys(): Generator<K> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): Generator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  /** Writes all in one system call where the type has batches. Not atomic: on error some may be written. */
  setMany(entries: Iterable<readonly [K, V]>, mode: UpdateMode = "any"): void {
    const keys: Uint8Array[] = [];
    const values: Uint8Array[] = [];
    for (const [key, value] of entries) {
      keys.push(this.#key.encode(key));
      values.push(this.#value.encode(value));
    }
    this.#native.updateBatch(Buffer.concat(keys), Buffer.concat(values), keys.length, UPDATE_FLAGS[mode]);
  }

  /** Returns how many there were. */
  deleteMany(keys: Iterable<K>): number {
    const encoded = Array.from(keys, key => this.#key.encode(key));
    return this.#native.deleteBatch(Buffer.concat(encoded), encoded.length);
  }

  /** Puts a program into a slot of a prog_array: the hot swap. */
  setProgram(index: number, program: BpfProgram): void {
    this.#native.update(indexBytes(index), indexBytes(program.fd), 0);
  }

  /** Empties a slot. Returns whether anything was in it. */
  clear(index: number): boolean {
    return this.#native.delete(indexBytes(index));
  }

  /** Adds a connected TCP socket to a sockmap or sockhash. */
  setSocket(key: K, socketFd: number, mode: UpdateMode = "any"): void {
    const value = Buffer.alloc(this.info.valueBytes);
    value.writeUInt32LE(socketFd);
    this.#native.update(this.#key.encode(key), value, UPDATE_FLAGS[mode]);
  }

  /** Puts a map into a map of maps. */
  setMap(key: K, map: MapHandle): void {
    this.#native.update(this.#key.encode(key), indexBytes(map.fd), 0);
  }

  /** What an sk_storage map holds for a socket of this process. */
  getBySocket(socketFd: number): V | undefined {
    const value = this.#native.lookup(indexBytes(socketFd));
    return value === undefined ? undefined : this.#value.decode(value);
  }

  setBySocket(socketFd: number, value: V): void {
    this.#native.update(indexBytes(socketFd), this.#value.encode(value), 0);
  }

  deleteBySocket(socketFd: number): boolean {
    return this.#native.delete(indexBytes(socketFd));
  }

  /** From now on user space can only read it. There is no way back. */
  freeze(): void {
    this.#native.freeze();
  }

  pin(path: string): void {
    this.#native.pin(path);
    this.#pinPath = path;
  }

  unpin(path = this.#pinPath): void {
    if (path === undefined) throw this.#refuse("it was not pinned here: give the path");
    rmSync(path, { force: true });
    this.#pinPath = undefined;
  }

  /** Closing twice is harmless. */
  close(): void {
    this.#native.close();
  }
}

function indexBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const cpus = native.possibleCpus();

export function possibleCpus(): number {
  return cpus;
}

function perCpuCodec<T>(one: Codec<T>): Codec<T[]> {
  const stride = (one.size + 7) & ~7;
  return {
    size: stride * cpus,
    encode(values) {
      if (values.length !== cpus)
        throw new BpfError(`a per-CPU value needs ${cpus} elements, given ${values.length}`, {
          code: "BPF_BAD_INPUT",
          step: "map",
        });
      const all = Buffer.alloc(stride * cpus);
      values.forEach((value, cpu) => {
        all.set(one.encode(value), cpu * stride);
      });
      return all;
    },
    decode: all =>
      Array.from({ length: cpus }, (_, cpu) =>
        one.decode(all.subarray(cpu * stride, cpu * stride + one.size)),
      ),
  };
}
