/** A simulated node with traffic and habits of its own: what a comparison of canary and control is about. */
import type { RuleSetName, RuleVersion } from "@picket/shared/ids";
import type { SimulatedNode } from "./fleet.ts";

export interface Behaviour {
  /** Of 10,000 statements. */
  errors: number;
  slow: number;
}
export const usual: Behaviour = { errors: 10, slow: 500 };

export class Host {
  readonly node: SimulatedNode;
  readonly #name: string;
  readonly #own: number;
  #statements = 0;
  #errors = 0;
  #slow = 0;
  constructor(node: SimulatedNode, name: string, own: number) {
    this.node = node;
    this.#name = name;
    this.#own = own;
  }

  /** A minute of traffic, each host with habits of its own, and a report. */
  async live({ errors, slow }: Behaviour, { tells = true, aheadMs = 0 } = {}): Promise<void> {
    const statements = 1_200 + 40 * this.#own;
    const jitter = 0.8 + 0.4 * Math.abs(Math.sin(this.#own + this.#statements));
    this.#statements += statements;
    this.#errors += Math.round((statements * errors * jitter) / 10_000);
    this.#slow += Math.round((statements * slow * jitter) / 10_000);
    this.node.aheadMs = aheadMs;
    this.node.uptimeSeconds += 59;
    this.node.counters = [
      {
        ruleSet: this.#name as RuleSetName,
        // The figures go on over a switch: nothing else is asked of a simulated host.
        version: 1 as RuleVersion,
        statements: this.#statements,
        known: this.#statements,
        unknown: 0,
        neverKnown: 0,
        blocked: 0,
        severed: 0,
        wouldBlock: 0,
        ...(tells && {
          responses: {
            ok: this.#statements - this.#errors,
            errors: this.#errors,
            latencyLog2Us: [...Array<number>(9).fill(0), this.#statements - this.#slow, this.#slow],
          },
        }),
      },
    ];
    await this.node.report();
  }
}
