/**
 * The long polls that wait here: the only state of a gateway. A poll registers its waiter BEFORE it looks into the
 * inbox: what arrives between the look and the wait has rung by then, and the waiter remembers that.
 */
import type { NodeId } from "@picket/shared/ids";

export interface Waiter {
  /** Resolves with true when rung, with false after the time or when a newer poll of the node took over. */
  rung(timeoutMs: number): Promise<boolean>;
  /** What it was rung for, perhaps among others, is a report. */
  readonly isToReport: boolean;
  end(): void;
}

export class Waiters {
  #closed = false;
  readonly #waiting = new Map<
    NodeId,
    { settle: (rung: boolean) => void; readTo: number | null; reports: boolean }
  >();
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
    for (const { settle, readTo } of this.#waiting.values())
      if (readTo !== null && readTo < this.#verdicts) settle(true);
  }

  /** `readTo`: how far the node has read shared verdicts; null: it takes no part. */
  register(node: NodeId, readTo: number | null = null): Waiter {
    let settle!: (rung: boolean) => void;
    const outcome = new Promise<boolean>(resolve => {
      settle = resolve;
    });
    if (this.#closed) settle(false);
    const entry = { settle, readTo, reports: false };
    // A node has one poll: an older one is a connection that it has given up.
    this.#waiting.get(node)?.settle(false);
    this.#waiting.set(node, entry);
    const end = () => {
      if (this.#waiting.get(node) === entry) this.#waiting.delete(node);
      settle(false);
    };
    return {
      async rung(timeoutMs) {
        const timer = setTimeout(() => settle(false), timeoutMs);
        try {
          return await outcome;
        } finally {
          clearTimeout(timer);
        }
      },
      get isToReport() {
        return entry.reports;
      },
      end,
    };
  }

  /** Whoever does not wait here now says what it has to say at its own pace. */
  askToReport(node: NodeId): void {
    const entry = this.#waiting.get(node);
    if (!entry) return;
    entry.reports = true;
    entry.settle(true);
  }

  ring(node: NodeId): void {
    this.#waiting.get(node)?.settle(true);
  }

  end(node: NodeId): void {
    this.#waiting.get(node)?.settle(false);
  }

  /** After the doorbell was out of order: everybody looks again. */
  ringAll(): void {
    for (const { settle } of this.#waiting.values()) settle(true);
  }

  /** At shutdown: every poll is answered now, and none waits any more. */
  close(): void {
    this.#closed = true;
    for (const { settle } of this.#waiting.values()) settle(false);
    this.#waiting.clear();
  }
}
