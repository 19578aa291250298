/**
 * What this node was the first to judge hostile, waiting to be told to the control plane. By the shape's text alone,
 * which holds no literal. Bounded: what does not fit is counted, and claimed again if it is judged again.
 */
import { statementsOf } from "@picket/judge/replay";
import type { VerdictClaim } from "@picket/shared/immunity";
import { SHAPE_TEXT_MAX } from "@picket/shared/shape";
import type { Dialect } from "@picket/shared/vocabulary";
import type { Judgement } from "../rules/judging.ts";
import type { Lexing } from "../rules/lexing.ts";
import type { Loaded } from "../rules/versions.ts";

const WAITING_MAX = 100;
const BATCH_MAX = 50;

type Judged = { sql: Buffer; dialect: Dialect; session: number; judgement: Judgement; loaded: Loaded };

export class Claims {
  readonly #lexing: Lexing;
  readonly #waiting = new Map<string, VerdictClaim>();
  claimed = 0;
  unclaimed = 0;

  constructor(lexing: Lexing) {
    this.#lexing = lexing;
  }

  get waiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** True: there is something new to tell. */
  add({ sql, dialect, session, judgement, loaded }: Judged, nowMs: number): boolean {
    if (!isClaim(judgement)) return false;
    const shape = this.#lexing.named(sql, dialect, session);
    const by = loaded.parts.find(({ rules }) => judgement.rules.some(id => rules.ruleIds.includes(id)));
    const part = by ?? loaded.parts[0];
    const tellable =
      shape !== null &&
      part !== undefined &&
      shape.text.length <= SHAPE_TEXT_MAX &&
      statementsOf(shape.text, dialect, shape.digest).length > 0;
    if (!tellable || (this.#waiting.size >= WAITING_MAX && !this.#waiting.has(shape.digest))) {
      this.unclaimed += 1;
      return false;
    }
    this.#waiting.set(shape.digest, {
      shape: shape.digest,
      dialect,
      text: shape.text,
      rule: judgement.rules[0]!.slice(0, 64),
      ruleSet: part.ruleSet,
      version: part.version,
      judgedAt: new Date(nowMs).toISOString(),
    });
    return true;
  }

  /** As they came; they wait until they are said to have arrived. */
  batch(): VerdictClaim[] {
    return [...this.#waiting.values()].slice(0, BATCH_MAX);
  }

  arrived(claims: readonly VerdictClaim[]): void {
    for (const { shape } of claims) if (this.#waiting.delete(shape)) this.claimed += 1;
  }
}

/** An attack to be blocked wherever it is sent. What a rule set names by its shape is everywhere already. */
function isClaim({ verdict, action, rules, holdsForShape, stage }: Judgement): boolean {
  return verdict === "attack" && action === "block" && holdsForShape && stage !== "shape" && rules.length > 0;
}
