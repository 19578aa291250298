/** The last detections in memory, for a terminal on this host: `picket detections tail` reads them as they are made. */
import type { LocalDetections } from "@picket/shared/control-socket";
import type { Detection } from "@picket/shared/detection";

const KEPT = 1_000;

export class RecentDetections {
  readonly #items: LocalDetections["items"] = [];
  readonly #waiting = new Set<() => void>();
  #last = 0;

  push(detection: Detection): void {
    this.#last += 1;
    this.#items.push({ sequence: this.#last, detection });
    if (this.#items.length > KEPT) this.#items.shift();
    for (const wake of this.#waiting) wake();
  }

  after(sequence: number): LocalDetections {
    // A client that followed an earlier run of this agent asks after numbers that are not reached yet.
    const from = sequence > this.#last ? 0 : sequence;
    return { items: this.#items.filter(item => item.sequence > from), last: this.#last };
  }

  /** Resolves when there is something new, or after `waitMs`. */
  changed(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }
}
