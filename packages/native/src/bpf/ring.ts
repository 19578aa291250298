import { BpfError } from "./errors.ts";
import type { MapHandle } from "./map.ts";
import { type NativeRing, native, type RingStats } from "./native.ts";

/*
 * The reader of a BPF ring buffer. A native thread gathers events into pooled buffers; JavaScript gets one
 * call per batch and makes nothing per event. While a handler's promise is pending no further batch is
 * handed over; once all buffers are full the thread stops consuming, the kernel's ring fills, and what is
 * lost is lost in the kernel, where the programs count it.
 */

export interface RingOptions {
  /** Must be done with the batch when it returns, or when its promise settles. */
  onBatch(batch: RingBatch): void | Promise<void>;
  /** What a handler threw; without it the error ends the process, as any uncaught one does. */
  onError?(error: unknown): void;
  /** Bytes of events per batch; at least the largest event. */
  batchBytes?: number;
  /** Events per batch. */
  batchEvents?: number;
  /** Buffers in all: being filled, waiting and in JavaScript's hands. */
  buffers?: number;
  /** Batches whose handlers may be pending at once. More than one gives up their order. */
  inFlightMax?: number;
  /** Whether an open reader keeps the process alive. */
  keepAlive?: boolean;
}

/**
 * Events of one batch: event `i` is `lengths[i]` bytes of `bytes` at `offsets[i]`, a multiple of 8. Valid
 * until the handler is done: then the memory is detached, and a view kept by mistake is empty, not wrong.
 */
export class RingBatch {
  readonly bytes: Buffer;
  /** The same bytes, for the generated views: `event.moveTo(batch.view, batch.offsets[i])`. */
  readonly view: DataView;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  readonly count: number;

  /** @internal */
  constructor(memory: ArrayBuffer, recordsMax: number, count: number, size: number) {
    this.count = count;
    this.offsets = new Uint32Array(memory, 0, count);
    this.lengths = new Uint32Array(memory, recordsMax * 4, count);
    this.bytes = Buffer.from(memory, recordsMax * 8, size);
    this.view = new DataView(memory, recordsMax * 8, size);
  }

  /** One event's bytes. Makes a view: for tests and rare events, not for the hot path. */
  event(index: number): Buffer {
    const offset = this.offsets[index]!;
    return this.bytes.subarray(offset, offset + this.lengths[index]!);
  }
}

const DEFAULT_BATCH_BYTES = 1 << 20;

export class RingBuffer {
  readonly #native: NativeRing;
  readonly #pool: ArrayBuffer[];
  readonly #recordsMax: number;
  readonly #options: RingOptions;
  readonly #inFlightMax: number;
  #inFlight = 0;
  #closing: Promise<void> | undefined;
  #closed: (() => void) | undefined;
  #scheduled = false;

  private constructor(map: MapHandle, options: RingOptions) {
    const { batchBytes = DEFAULT_BATCH_BYTES, buffers = 4, inFlightMax = 1 } = options;
    this.#recordsMax = options.batchEvents ?? Math.max(64, Math.ceil(batchBytes / 64));
    if (buffers < 2 || inFlightMax < 1 || inFlightMax >= buffers)
      throw new BpfError(
        "a ring buffer reader needs at least 2 buffers, and fewer in flight than there are",
        {
          code: "BPF_BAD_INPUT",
          step: "open",
        },
      );
    this.#options = options;
    this.#inFlightMax = inFlightMax;
    const bytes = ((batchBytes + 7) & ~7) + this.#recordsMax * 8;
    this.#pool = Array.from({ length: buffers }, () => new ArrayBuffer(bytes));
    // Held by its native side until closed, as a listening server is: a reader that was collected because
    // nobody kept its handle would end the events without a word.
    this.#native = new native.Ring(map.fd, this.#pool, this.#recordsMax, () => this.#pump());
    if (options.keepAlive === false) this.#native.setKeepAlive(false);
  }

  static open(map: MapHandle, options: RingOptions): RingBuffer {
    return new RingBuffer(map, options);
  }

  stats(): RingStats {
    return this.#native.stats();
  }

  /** Hands over what was committed until now, waits for the handlers, and joins the thread. */
  close(): Promise<void> {
    this.#closing ??= new Promise(resolve => {
      this.#closed = resolve;
      this.#native.finish();
      this.#pump();
    });
    return this.#closing;
  }

  /** Joins the thread at once; what still waits in the ring stays there. */
  destroy(): void {
    this.#native.destroy();
    this.#settle();
  }

  #settle(): void {
    this.#closing ??= Promise.resolve();
    this.#closed?.();
    this.#closed = undefined;
  }

  /** Takes batches while it may; after a few it lets the event loop breathe. */
  #pump(): void {
    for (let turn = 0; this.#inFlight < this.#inFlightMax; turn++) {
      if (turn >= this.#pool.length) {
        this.#pumpLater();
        return;
      }
      const taken = this.#native.take();
      if (taken === undefined) break;
      this.#deliver(...taken);
    }
    if (this.#closed !== undefined && this.#inFlight === 0 && this.#native.drained()) {
      this.#native.destroy();
      this.#settle();
    }
  }

  #pumpLater(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #deliver(index: number, count: number, size: number): void {
    this.#inFlight++;
    let pending: unknown;
    try {
      pending = this.#options.onBatch(new RingBatch(this.#pool[index]!, this.#recordsMax, count, size));
    } catch (error) {
      this.#report(error);
    }
    if (!(pending instanceof Promise)) {
      this.#acknowledge(index);
      return;
    }
    pending
      .catch(error => this.#report(error))
      .finally(() => {
        this.#acknowledge(index);
        this.#pump();
      });
  }

  #acknowledge(index: number): void {
    const old = this.#pool[index]!;
    // Moves the memory to another ArrayBuffer (about 2 µs a batch): whatever still looks at the old one
    // finds it empty instead of reading the next batch's bytes.
    const memory = structuredClone(old, { transfer: [old] });
    this.#pool[index] = memory;
    this.#inFlight--;
    this.#native.recycle(index, memory);
  }

  #report(error: unknown): void {
    const { onError } = this.#options;
    if (onError !== undefined) onError(error);
    else
      process.nextTick(() => {
        throw error;
      });
  }
}
