/**
 * Folds equal detections: the first goes out at once, its repeats within the window become one detection with a
 * count at the window's end. A worm that tries one injection a thousand times a second costs two records a window.
 */
import { randomUUID } from "node:crypto";
import type { StatementDetection } from "@picket/shared/detection";
import type { EventId } from "@picket/shared/ids";

type Open = { endsMs: number; repeats: number; last: StatementDetection | null };

const OPEN_MAX = 4_096;

export class Fold {
  readonly #open = new Map<string, Open>();
  readonly #windowMs: number;

  constructor(windowMs = 2_000) {
    this.#windowMs = windowMs;
  }

  /** What is to be stored now. */
  feed(detection: StatementDetection, nowMs: number): StatementDetection[] {
    const key = keyOf(detection);
    const open = this.#open.get(key);
    if (open && nowMs < open.endsMs) {
      open.repeats += detection.count;
      open.last = detection;
      return [];
    }
    const due = open ? this.#close(key, open) : [];
    // Without room nothing is folded: more records, none lost.
    if (this.#open.size < OPEN_MAX)
      this.#open.set(key, { endsMs: nowMs + this.#windowMs, repeats: 0, last: null });
    return [...due, detection];
  }

  /** Windows that have ended; `all` at the end of the agent. */
  flush(nowMs: number, all = false): StatementDetection[] {
    const due: StatementDetection[] = [];
    for (const [key, open] of this.#open)
      if (all || nowMs >= open.endsMs) due.push(...this.#close(key, open));
    return due;
  }

  get waiting(): number {
    return this.#open.size;
  }

  #close(key: string, open: Open): StatementDetection[] {
    this.#open.delete(key);
    return open.last ? [{ ...open.last, id: randomUUID() as EventId, count: open.repeats }] : [];
  }
}

function keyOf(detection: StatementDetection): string {
  const { shape, sql, rules, process, endpoints, guarantee, version, message, wouldBlock } = detection;
  return [
    shape ?? sql,
    rules.join(","),
    process.pid,
    endpoints.remoteAddress,
    endpoints.remotePort,
    guarantee,
    version,
    message,
    wouldBlock,
  ].join("|");
}
