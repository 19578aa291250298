/**
 * Holding, put together: the keeper's rules and policy follow the versions and workloads, and what it tells becomes a
 * judgement. It asks where its token rules are not enough; what it decided by itself is judged here all the same, so
 * that the next use of the shape is known to the kernel.
 */
import type { KeeperHeldView, KeeperResultView } from "@picket/native/events";
import { Because, NO_RULE, Outcome } from "@picket/native/events";
import { type DangerName, dangerNames, stepsMaxDefault } from "@picket/native/lexer";
import type { Report } from "@picket/shared/contract";
import type { Guarantee } from "@picket/shared/vocabulary";
import type { EventDecoder } from "../capture/decode.ts";
import type { StatementFragment } from "../capture/kernel-event.ts";
import type { Log } from "../log.ts";
import { policyFrame } from "./frames.ts";
import { Keeper } from "./keeper.ts";
import { type HoldPlan, type Planned, planFor, tableOf } from "./plan.ts";

/** What became of a held statement. */
export type Decided = {
  outcome: "released" | "substituted" | "killed" | "gone";
  guarantee: Guarantee;
  /** Index of the rule by which the keeper itself denied it; null: it did not, or by no rule. */
  rule: number | null;
  /** Nobody judged it in time: the rule version's word for that case was followed. */
  unjudged: boolean;
};

export type HeldStatement = {
  fragment: StatementFragment;
  /** Null: the keeper waits for `answer`, and `decided` comes later. */
  decided: Decided | null;
  /** `deny` names the rule that the client reads; null releases. */
  answer(deny: string | null): void;
  /** Once, when it waited. */
  whenDecided(then: (decided: Decided) => void): void;
};

/**
 * What a statement that not even the keeper's rules have read must not have in it to pass where the rule set fails
 * open. Not a comment, a SET, a look at the catalogue or a COPY: honest programs begin with those, and an upgrade would
 * refuse them.
 */
const SERIOUS: readonly DangerName[] = ["union", "second-statement", "delay", "error-function"];
export const FAIL_MASK = SERIOUS.reduce((mask, name) => mask | (1 << dangerNames.indexOf(name)), 0);

const GUARANTEES: readonly Guarantee[] = ["observed", "prevented", "severed", "unseen"];
const WAITING_MAX = 10_000;

export class Holding {
  readonly #keeper: Keeper;
  readonly #decoder: () => EventDecoder;
  readonly #handle: (held: HeldStatement) => void;
  readonly #bytesMax: number;
  readonly #waiting = new Map<bigint, (decided: Decided) => void>();

  constructor(input: {
    pins: string;
    path: string;
    decoder: () => EventDecoder;
    /** The process of the keeper, before it opens a connection: its own traffic is nobody's. */
    exempt: (pid: number, replaced: number | null) => void;
    handle: (held: HeldStatement) => void;
    /** Of all connections together. */
    bytesMax: number;
    log: Log;
  }) {
    this.#decoder = input.decoder;
    this.#handle = input.handle;
    this.#bytesMax = input.bytesMax;
    this.#keeper = new Keeper({
      pins: input.pins,
      path: input.path,
      log: input.log,
      exempt: input.exempt,
      handlers: { held: held => this.#held(held), result: result => this.#result(result) },
    });
  }

  start(): Promise<void> {
    return this.#keeper.start();
  }

  /** Each second. */
  tick(): void {
    this.#keeper.tick();
  }

  /** Before anybody is judged by the version. */
  prepare(version: number, parts: readonly Planned[]): void {
    const table = tableOf(parts);
    if (table) this.#keeper.setRules(version, table);
  }

  discard(version: number): void {
    this.#keeper.dropRules(version);
  }

  /** By the plans of the live versions, the strictest of which stands. */
  setPolicy(parts: readonly Planned[], workloads: readonly { id: number; plan: HoldPlan }[]): void {
    this.#keeper.setPolicy(
      policyFrame({
        all: planFor(parts, {}).policy,
        stepsMax: stepsMaxDefault,
        failMask: FAIL_MASK,
        bytesMax: this.#bytesMax,
        workloads: workloads.map(({ id, plan }) => ({ id, policy: plan.policy })),
      }),
    );
  }

  /** Since the keeper started; null: none runs, so nothing is held. */
  counts(): NonNullable<Report["held"]> | null {
    const { running, stats, restarts } = this.#keeper;
    if (!running) return null;
    const of = (name: "held" | "released" | "substituted" | "killed" | "timedOut" | "unjudged") =>
      Number(stats?.[name] ?? 0);
    return {
      held: of("held"),
      released: of("released"),
      substituted: of("substituted"),
      killed: of("killed"),
      timedOut: of("timedOut"),
      unjudged: of("unjudged"),
      restarts,
    };
  }

  async stop({ keep }: { keep: boolean }): Promise<void> {
    if (keep) this.#keeper.leave();
    else await this.#keeper.retire();
  }

  #held(view: KeeperHeldView): void {
    const { hold, outcome, because, rule } = view;
    const guarantee = GUARANTEES[view.guarantee] ?? "observed";
    const text = Buffer.from(view.text);
    const waits = outcome === Outcome.WAITING;
    this.#handle({
      fragment: this.#decoder().held(view.held, text),
      decided: waits ? null : decide(outcome, because, rule, guarantee),
      answer: deny => this.#keeper.answer(hold, deny),
      whenDecided: then => {
        // A result that never comes belongs to a keeper that is gone, and so is its connection.
        if (this.#waiting.size >= WAITING_MAX) this.#waiting.delete(this.#waiting.keys().next().value!);
        this.#waiting.set(hold, then);
      },
    });
  }

  #result(view: KeeperResultView): void {
    const then = this.#waiting.get(view.hold);
    if (!then) return;
    this.#waiting.delete(view.hold);
    then(decide(view.outcome, view.because, NO_RULE, GUARANTEES[view.guarantee] ?? "observed"));
  }
}

function decide(outcome: Outcome, because: Because, rule: number, guarantee: Guarantee): Decided {
  return {
    outcome: OUTCOMES[outcome] ?? "gone",
    guarantee,
    rule: rule === NO_RULE || because !== Because.RULE ? null : rule,
    unjudged: because !== Because.NO_SIGNAL && because !== Because.RULE && because !== Because.ANSWERED,
  };
}

const OUTCOMES: Partial<Record<Outcome, Decided["outcome"]>> = {
  [Outcome.RELEASED]: "released",
  [Outcome.SUBSTITUTED]: "substituted",
  [Outcome.KILLED]: "killed",
  [Outcome.GONE]: "gone",
};
