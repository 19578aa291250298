/**
 * The long polls that wait here: the only state of a gateway. A poll registers its waiter BEFORE it looks into the
 * inbox: what arrives between the look and the wait has rung by then, and the waiter remembers that.
 */
import type { NodeId } from "@picket/shared/ids";

export interface Waiter {
  /**
   * Resolves with true when rung since the last time, with false after the time, or when a newer poll of the node took
   * over, or it was ended. May be asked again.
   */
  rung(timeoutMs: number): Promise<boolean>;
  /** What it was rung for, perhaps among others, is a report. */
  readonly isToReport: boolean;
  end(): void;
}

/** One poll. */
class Waiting {
  readonly readTo: number | null;
  reports = false;
  #rung = false;
  #over = false;
  #wake: () => void = () => {};

  constructor(readTo: number | null) {
    this.readTo = readTo;
  }

  ring(): void {
    if (!this.#over) this.#rung = true;
    this.#wake();
  }

  end(): void {
    this.#over = true;
    this.#wake();
  }

  async rung(timeoutMs: number): Promise<boolean> {
    if (!this.#rung && !this.#over && timeoutMs > 0)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    this.#wake = () => {};
    const rung = this.#rung;
    this.#rung = false;
    return rung;
  }
}

export class Waiters {
  #closed = false;
  readonly #waiting = new Map<NodeId, Waiting>();
  #verdicts = 0;

  get size(): number {
    return this.#waiting.size;
  }

  /** The last sequence of shared verdicts that was heard of. */
  get verdicts(): number {
    return this.#verdicts;
  }

  /** Before what may have been missed is asked for: the number can have fallen, too (a database that was restored). */
  forgetIssued(): void {
    this.#verdicts = 0;
  }

  /** Rings for who has not read so far, and says how far it has. */
  issued(sequence: number): void {
    this.#verdicts = Math.max(this.#verdicts, sequence);
    for (const waiting of this.#waiting.values())
      if (waiting.readTo !== null && waiting.readTo < this.#verdicts) waiting.ring();
  }

  /** `readTo`: how far the node has read shared verdicts; null: it takes no part. */
  register(node: NodeId, readTo: number | null = null): Waiter {
    const waiting = new Waiting(readTo);
    if (this.#closed) waiting.end();
    // A node has one poll: an older one is a connection that it has given up.
    this.#waiting.get(node)?.end();
    this.#waiting.set(node, waiting);
    return {
      rung: timeoutMs => waiting.rung(timeoutMs),
      get isToReport() {
        return waiting.reports;
      },
      end: () => {
        if (this.#waiting.get(node) === waiting) this.#waiting.delete(node);
        waiting.end();
      },
    };
  }

  /** Whoever does not wait here now says what it has to say at its own pace. */
  askToReport(node: NodeId): void {
    const waiting = this.#waiting.get(node);
    if (!waiting) return;
    waiting.reports = true;
    waiting.ring();
  }

  ring(node: NodeId): void {
    this.#waiting.get(node)?.ring();
  }

  end(node: NodeId): void {
    this.#waiting.get(node)?.end();
  }

  /** After the doorbell was out of order: everybody looks again. */
  ringAll(): void {
    for (const waiting of this.#waiting.values()) waiting.ring();
  }

  /** At shutdown: every poll is answered now, and none waits any more. */
  close(): void {
    this.#closed = true;
    for (const waiting of this.#waiting.values()) waiting.end();
    this.#waiting.clear();
  }
}
