import { type LinkInfo, type NativeLink, native } from "./native.ts";
import type { BpfProgram } from "./program.ts";

/*
 * One attachment. `close()` detaches it unless it is pinned. An object keeps the links of its programs, so a
 * link that nobody holds stays attached as long as the object is held; a collected object takes its links
 * with it, links first.
 */
export class BpfLink {
  readonly #native: NativeLink;
  readonly #onClose: (link: BpfLink) => void;

  /** @internal */
  constructor(handle: NativeLink, onClose: (link: BpfLink) => void = () => {}) {
    this.#native = handle;
    this.#onClose = onClose;
  }

  static openPinned(path: string): BpfLink {
    return new BpfLink(native.openPinnedLink(path));
  }

  get isOpen(): boolean {
    return this.#native.isOpen();
  }

  info(): LinkInfo {
    return this.#native.info();
  }

  pin(path: string): void {
    this.#native.pin(path);
  }

  unpin(): void {
    this.#native.unpin();
  }

  /** Swaps the program in place: cgroup and iterator links (the kernel refuses other kinds). */
  update(program: BpfProgram): void {
    this.#native.update(program.fd);
  }

  /** Runs an iterator from start to end; returns what it wrote. */
  readIter(): Buffer;
  readIter(encoding: BufferEncoding): string;
  readIter(encoding?: BufferEncoding): Buffer | string {
    const bytes = this.#native.readIter();
    return encoding === undefined ? bytes : bytes.toString(encoding);
  }

  /** Detaches, unless pinned. Closing twice is harmless. */
  close(): void {
    this.#native.close();
    this.#onClose(this);
  }

  /** Detaches even if it is pinned. */
  detach(): void {
    this.#native.detach();
    this.#onClose(this);
  }

  /** Forgets a program on a socket map without detaching it: it stays as long as the map lives. */
  release(): void {
    this.#native.release();
    this.#onClose(this);
  }
}
