/**
 * How often one node may call one process. Counted after its token has verified, so that nobody can use up another's
 * share; looked at before, so that a flood costs a look-up and no signature. Windows are dropped whole: what is
 * remembered is bounded by the nodes that called within one.
 */
import type { NodeId } from "@picket/shared/ids";

const WINDOW_MS = 10_000;
/** An agent that uploads as fast as it can stays far below. */
export const CALLS_PER_WINDOW = 500;

export class CallRates {
  readonly #calls = new Map<NodeId, number>();
  #endsMs = 0;

  /** Milliseconds until it may call again; 0: now. */
  waitMs(node: NodeId, nowMs: number): number {
    this.#turn(nowMs);
    return (this.#calls.get(node) ?? 0) < CALLS_PER_WINDOW ? 0 : this.#endsMs - nowMs;
  }

  count(node: NodeId, nowMs: number): void {
    this.#turn(nowMs);
    this.#calls.set(node, (this.#calls.get(node) ?? 0) + 1);
  }

  #turn(nowMs: number): void {
    if (nowMs < this.#endsMs && this.#endsMs - nowMs <= WINDOW_MS) return;
    this.#calls.clear();
    this.#endsMs = nowMs + WINDOW_MS;
  }
}
