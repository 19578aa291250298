import { closeSync, rmSync } from "node:fs";
import { BpfError } from "./errors.ts";
import { BpfLink } from "./link.ts";
import type { MapHandle } from "./map.ts";
import {
  type NativeLink,
  type NativeProgram,
  native,
  type ProgramInfo,
  type TestRunOptions,
} from "./native.ts";

/** Keeps links of an object's programs reachable as long as the object is. */
export interface LinkKeeper {
  keep(link: BpfLink): void;
  forget(link: BpfLink): void;
}

export interface UprobeOptions {
  /** Path of the executable or shared library. */
  path: string;
  /** A function, or with `offset` a place in it; `offset` alone is a file offset. */
  symbol?: string;
  offset?: number;
  /** At the function's return. Never for Go programs: it breaks their stacks. */
  retprobe?: boolean;
  /** Only this process; every process without it. */
  pid?: number;
  /** What bpf_get_attach_cookie gives the program. */
  cookie?: bigint;
}

export interface IterOptions {
  /** Iterate over the elements of this map. */
  map?: MapHandle;
  /** Task iterators: only this process, or this thread (kernel 6.1). */
  pid?: number;
  tid?: number;
}

/** A program of a loaded object, or one opened from a pin. It lives as long as the object is open. */
export class BpfProgram {
  readonly #native: NativeProgram;
  readonly #keeper: LinkKeeper | undefined;
  readonly section: string | undefined;
  #pinPath: string | undefined;

  /** @internal */
  constructor(handle: NativeProgram, keeper?: LinkKeeper, section?: string) {
    this.#native = handle;
    this.#keeper = keeper;
    this.section = section;
  }

  static openPinned(path: string): BpfProgram {
    const program = new BpfProgram(native.openPinnedProgram(path));
    program.#pinPath = path;
    return program;
  }

  get name(): string {
    return this.#native.name();
  }

  get fd(): number {
    return this.#native.fd();
  }

  /** As libbpf names it: "sk_msg", "sock_ops", "tracing". */
  get type(): string {
    return this.info().type;
  }

  /** What the verifier walked through to accept it; undefined before kernel 5.16. */
  get verifiedInstructions(): number | undefined {
    return this.info().verifiedInstructions || undefined;
  }

  info(): ProgramInfo {
    return this.#native.info();
  }

  pin(path: string): void {
    this.#native.pin(path);
    this.#pinPath = path;
  }

  unpin(path = this.#pinPath): void {
    if (path === undefined)
      throw new BpfError(`program '${this.name}' was not pinned here: give the path`, {
        code: "BPF_BAD_INPUT",
        step: "unpin",
      });
    rmSync(path, { force: true });
    this.#pinPath = undefined;
  }

  /** Attaches where its section name says: tp_btf, tracepoint, raw_tp, uprobe with a path. */
  attach(): BpfLink {
    return this.#keep(this.#native.attach());
  }

  /** sockops, cgroup_skb and the like; other programs on the same cgroup stay. */
  attachCgroup(path: string): BpfLink {
    return this.#keep(this.#native.attachCgroup(path));
  }

  attachIter(options: IterOptions = {}): BpfLink {
    const { map, pid, tid } = options;
    return this.#keep(
      this.#native.attachIter({
        ...(map === undefined ? {} : { mapFd: map.fd }),
        ...(pid === undefined ? {} : { pid }),
        ...(tid === undefined ? {} : { tid }),
      }),
    );
  }

  /** For every socket that enters the map afterwards. Sockets already in it keep what they had. */
  attachSkMsg(map: MapHandle): BpfLink {
    return this.#keep(this.#native.attachSockmap(map.fd));
  }

  /** sk_skb stream_verdict or stream_parser, as the section says. */
  attachSkSkb(map: MapHandle): BpfLink {
    return this.#keep(this.#native.attachSockmap(map.fd));
  }

  attachUprobe(options: UprobeOptions): BpfLink {
    return this.#keep(this.#native.attachUprobe(options));
  }

  /** BPF_PROG_TEST_RUN, for the types that have it (sk_msg and sockops do not). */
  testRun(options: TestRunOptions = {}): { returned: number; durationNs: number; data?: Buffer } {
    return this.#native.testRun(options);
  }

  /** Gives up this handle; the object keeps its program. */
  close(): void {
    this.#native.close();
  }

  #keep(handle: NativeLink): BpfLink {
    const keeper = this.#keeper;
    const link = new BpfLink(handle, closed => keeper?.forget(closed));
    keeper?.keep(link);
    return link;
  }
}

/** Counts run time and runs of every program on this machine until closed; costs about 20 ns a run. */
export function enableRunTimeStats(): { close(): void } {
  let fd: number | undefined = native.enableRunTimeStats();
  return {
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}
