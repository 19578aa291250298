/**
 * Twins: versions that judge beside what enforces and enforce nothing. A verdict belongs to a shape, so a twin needs
 * no slot: its program is loaded and tested once, to see whether this kernel takes it, and given back; then it judges
 * here what the enforcing version judges here, with the same profiles, and from the samples that are kept every shape
 * that the kernel knows already, once it is used. The kernel's own counts weigh each difference (twin-ledger.ts).
 *
 * What has no sample (it was too long to keep, or a predecessor judged it) waits for the one use in so many that the
 * kernel shows with its text.
 */
import { randomUUID } from "node:crypto";
import type { Context } from "@picket/judge/match";
import { defaultSession } from "@picket/judge/session";
import type { Assignment } from "@picket/shared/contract";
import { TWIN_DIFFERENCES_MAX, TWIN_SQL_MAX, type TwinReport, type TwinWord } from "@picket/shared/twin";
import type { Labels } from "@picket/shared/vocabulary";
import type { Profiles } from "../profiles/profiles.ts";
import type { Statement } from "../wire/statements.ts";
import { driftBy, type Judgement, judgeByAll, type Sent } from "./judging.ts";
import type { LearnedShapes, Sample } from "./learned.ts";
import type { Lexing } from "./lexing.ts";
import { type KnownUse, type Told, TwinLedger } from "./twin-ledger.ts";
import { byRuleSet, type Loaded, type Part, type Versions } from "./versions.ts";

type Running = {
  assignment: Assignment;
  part: Part;
  /** Whether a rule set is one that this node was assigned: others go when one is. */
  isAssigned: (ruleSet: Part["ruleSet"]) => boolean;
  ledger: TwinLedger;
  epoch: string;
  /** As it last arrived. */
  told: string;
};

type Example = Sample | { sql: Buffer; dialect: Sample["dialect"]; session: null };

/** Judged in one look: the rest waits for the next one. */
const JUDGED_AT_ONCE = 2_000;
/** Statements go first. */
const BREATHE_AFTER = 50;

export class Twins {
  readonly #versions: Versions;
  readonly #learned: LearnedShapes;
  readonly #profiles: Pick<Profiles, "as">;
  readonly #lexing: Pick<Lexing, "redact" | "shape">;
  readonly #labelsOf: (workload: string | undefined) => Labels;
  readonly #nowMs: () => number;
  readonly #running = new Map<string, Running>();
  /** Of twins that ended, until they are told. */
  readonly #last = new Map<string, TwinReport>();
  #looking: Promise<void> | null = null;

  constructor(input: {
    versions: Versions;
    learned: LearnedShapes;
    profiles: Pick<Profiles, "as">;
    lexing: Pick<Lexing, "redact" | "shape">;
    labelsOf: (workload: string | undefined) => Labels;
    nowMs: () => number;
  }) {
    this.#versions = input.versions;
    this.#learned = input.learned;
    this.#profiles = input.profiles;
    this.#lexing = input.lexing;
    this.#labelsOf = input.labelsOf;
    this.#nowMs = input.nowMs;
  }

  of(ruleSet: string): Assignment | undefined {
    return this.#running.get(ruleSet)?.assignment;
  }

  get any(): boolean {
    return this.#running.size > 0;
  }

  begin(assignment: Assignment, part: Part, isAssigned: Running["isAssigned"]): void {
    const ledger = new TwinLedger();
    for (const loaded of this.#versions.live())
      ledger.begin(loaded.ordinal, loaded.slot.counters().statements, knownUses(loaded));
    this.#running.set(assignment.ruleSet, {
      assignment,
      part,
      isAssigned,
      ledger,
      epoch: randomUUID(),
      told: "",
    });
  }

  /** It was assigned once more: what it has found stands. */
  goOn(assignment: Assignment): void {
    const running = this.#running.get(assignment.ruleSet);
    if (running) running.assignment = assignment;
  }

  /** What it found stays to be told. */
  async end(ruleSet: string): Promise<void> {
    const running = this.#running.get(ruleSet);
    if (!running) return;
    // One that is under way may have read the counts before the last uses.
    await this.#looking;
    await this.look();
    this.#running.delete(ruleSet);
    this.#last.set(running.epoch, reportOf(running));
  }

  forget(): void {
    this.#running.clear();
    this.#last.clear();
  }

  /**
   * Judges a statement before its profile learns from it, and compares when what enforces has judged it, too; `key`:
   * and remembered it. What was sent is valid only at the call. Null: no twin runs.
   */
  meets(sent: Sent, loaded: Loaded): ((judgement: Judgement, key: bigint | null) => void) | null {
    if (!this.any) return null;
    const kept = { ...sent, sql: Buffer.from(sent.sql) };
    const candidates = [...this.#running.values()].map(running => ({
      ledger: running.ledger,
      candidate: this.#judge(running, loaded, kept),
    }));
    return (judgement, key) => {
      for (const { ledger, candidate } of candidates)
        void concluded(candidate, said =>
          ledger.met(
            loaded.ordinal,
            { key, holds: said.holdsForShape, stable: wordOf(judgement), candidate: wordOf(said) },
            () => this.#told(kept, sent.context?.workload),
          ),
        );
    };
  }

  /** A use of what the kernel knows, with its text: worth it where nothing of the shape was kept. */
  sampled(
    { sql, dialect, session, fingerprint, scope, whole }: Statement,
    loaded: Loaded,
    context: Context,
  ): void {
    if (!whole) return;
    for (const running of this.#running.values()) {
      const { ordinal } = loaded;
      const key = [fingerprint ^ scope, fingerprint].find(each => running.ledger.isWaiting(ordinal, each));
      if (key !== undefined)
        void this.#settle(running, loaded, key, { sql: Buffer.from(sql), dialect, session }, context);
    }
  }

  /** Reads the kernel's counts, and judges what was used for the first time since. One at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  /** What is new, until it is said to have arrived. */
  *reports(): Generator<{ report: TwinReport; arrived(): void }> {
    for (const [epoch, report] of this.#last) yield { report, arrived: () => this.#last.delete(epoch) };
    for (const running of this.#running.values()) {
      const report = reportOf(running);
      const text = JSON.stringify(report);
      const arrived = () => {
        running.told = text;
      };
      if (text !== running.told) yield { report, arrived };
    }
  }

  async #look(): Promise<void> {
    const live = this.#versions.live();
    for (const running of [...this.#running.values()]) {
      running.ledger.keep(live.map(({ ordinal }) => ordinal));
      for (const loaded of live) {
        running.ledger.count(loaded.ordinal, knownUses(loaded), () => loaded.slot.counters().statements);
        await this.#judgeWaiting(running, loaded);
      }
    }
  }

  async #judgeWaiting(running: Running, loaded: Loaded): Promise<void> {
    const { ledger } = running;
    let judged = 0;
    for (const { key, byHand } of [...ledger.waiting(loaded.ordinal)]) {
      // A verdict by hand is stronger than any version.
      if (byHand) {
        ledger.settle(loaded.ordinal, key, "same", () => ({
          shape: null,
          dialect: "mysql",
          sql: "",
          workload: "",
        }));
        continue;
      }
      const known = this.#exampleOf(loaded, key);
      if (!known) continue;
      await this.#settle(running, loaded, key, known.example, known.context);
      judged += 1;
      if (judged >= JUDGED_AT_ONCE) return;
      if (judged % BREATHE_AFTER === 0) await new Promise(setImmediate);
      if (this.#running.get(running.assignment.ruleSet) !== running) return;
    }
  }

  async #settle(
    running: Running,
    loaded: Loaded,
    key: bigint,
    { sql, dialect, session }: Example | Pick<Statement, "sql" | "dialect" | "session">,
    context: Context,
  ): Promise<void> {
    const sent: Sent = { sql, dialect, session: session ?? defaultSession(dialect), context };
    const candidate = this.#judge(running, loaded, sent);
    await concluded(candidate, said => {
      // It turned on the connection or on a value: it says nothing of the other uses.
      if (said.holdsForShape)
        running.ledger.settle(loaded.ordinal, key, wordOf(said), () => this.#told(sent, context.workload));
    });
  }

  /** By which statement the kernel's verdict was given, and whose it was. */
  #exampleOf({ parts }: Loaded, key: bigint): { example: Example; context: Context } | null {
    const learned = this.#learned.get(key);
    if (learned?.sample) {
      const { sample, workload, user, database } = learned;
      return { example: sample, context: { workload, user, database, labels: this.#labelsOf(workload) } };
    }
    for (const { rules } of parts)
      for (const { fingerprint, sql, dialect } of rules.shapes)
        if (fingerprint === key)
          return { example: { sql: Buffer.from(sql), dialect, session: null }, context: {} };
    return null;
  }

  /** By the rule sets that judge now, with the twin in its own's place. */
  #judge({ part, isAssigned }: Running, loaded: Loaded, sent: Sent): Judgement {
    const others = loaded.parts.filter(({ ruleSet }) => ruleSet !== part.ruleSet && isAssigned(ruleSet));
    const rules = [...others, part].sort(byRuleSet).map(each => each.rules);
    const { workload = "", user = "", database = "" } = sent.context ?? {};
    const { drift } = driftBy(rules, sent.context ?? {});
    return this.#profiles.as({ workload, databaseUser: user, database }, drift, this.#nowMs(), profile =>
      judgeByAll(rules, { ...sent, profile }),
    );
  }

  #told({ sql, dialect, session }: Sent, workload = ""): Told {
    return {
      shape: this.#lexing.shape(sql, dialect, session),
      dialect,
      sql: cut(this.#lexing.redact(sql, dialect, session)),
      workload: workload.slice(0, 255),
    };
  }
}

function reportOf({ assignment, ledger, epoch }: Running): TwinReport {
  const { listed, unlisted } = ledger.differences(TWIN_DIFFERENCES_MAX);
  const { id, rollout, ruleSet, version } = assignment;
  return {
    assignment: id,
    rollout,
    ruleSet,
    version,
    epoch,
    ...ledger.figures(),
    differences: listed,
    unlisted,
  };
}

/** At once, unless the parser is asked; what the other stages said stands where it fails. */
async function concluded(judgement: Judgement, then: (final: Judgement) => void): Promise<void> {
  if (!judgement.escalate) return then(judgement);
  then(await judgement.escalate().catch(() => judgement));
}

/** A benign shape is only counted, whatever else is asked for. */
function wordOf({ verdict, action, rules }: Pick<Judgement, "verdict" | "action" | "rules">): TwinWord {
  return verdict === "benign"
    ? { verdict, action: "observe", rule: null }
    : { verdict, action, rule: rules[0]?.slice(0, 200) ?? null };
}

function* knownUses({ slot, ruleIds }: Loaded): Generator<KnownUse> {
  for (const { key, count, verdict, action, rule, source } of slot.known())
    yield {
      key,
      count,
      stable: wordOf({ verdict, action, rules: rule === null ? [] : [ruleIds[rule] ?? ""] }),
      byHand: source === "control-socket",
    };
}

const cut = (text: string): string =>
  text.length <= TWIN_SQL_MAX ? text : `${text.slice(0, TWIN_SQL_MAX - 1)}…`;
