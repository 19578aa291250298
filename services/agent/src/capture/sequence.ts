/**
 * Counts what the kernel made and what arrived, per CPU: each event carries a number that counts lost ones too. Two
 * events of one CPU may arrive the other way round (a softirq interrupts a task between two of its steps), so a loss
 * is what is missing up to the highest number seen, not a gap between neighbours.
 */
export class SequenceTracker {
  readonly #cpus = new Map<number, { base: bigint; highest: bigint; received: number }>();
  readonly #fresh: boolean;

  /** `fresh`: the counters began with this agent, so the first event has number 1. */
  constructor(fresh: boolean) {
    this.#fresh = fresh;
  }

  feed(cpu: number, sequence: bigint): void {
    const seen = this.#cpus.get(cpu);
    if (!seen) {
      this.#cpus.set(cpu, { base: this.#fresh ? 0n : sequence - 1n, highest: sequence, received: 1 });
      return;
    }
    seen.received += 1;
    if (sequence > seen.highest) seen.highest = sequence;
    // A successor's first event was overtaken by the one before it.
    else if (sequence <= seen.base) seen.base = sequence - 1n;
  }

  /** emitted = received + lost, always. */
  get totals(): { emitted: number; received: number; lost: number } {
    let emitted = 0;
    let received = 0;
    for (const cpu of this.#cpus.values()) {
      emitted += Number(cpu.highest - cpu.base);
      received += cpu.received;
    }
    return { emitted, received, lost: emitted - received };
  }
}
