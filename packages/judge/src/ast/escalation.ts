/**
 * The last stage: asks a parser about what the cheap stages left grey, in a process of its own that is started when
 * it is needed, ended when it is idle, and replaced when a statement takes too long. A shape is asked about once.
 * What cannot be parsed, or not in time, is a probe: never benign, and never blocked for that alone.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Dialect } from "@picket/shared/vocabulary";
import type { Judgement, Statement, Unredacted } from "../judge.ts";
import { type Analysis, tooLarge } from "./analyse.ts";
import { weakAstRules } from "./signals.ts";
import { parserText } from "./text.ts";
import type { Answer, Question } from "./worker.ts";

export type EscalationOptions = {
  /** For one batch of statements. */
  timeoutMs?: number;
  /** More, where the parser has to be loaded first. */
  loadMs?: number;
  /** After this long without a question the process ends, and its memory with it. */
  idleMs?: number;
  /** Shapes whose analysis is remembered. */
  shapesMax?: number;
  /** Statements that may wait; more are probes at once. */
  waitingMax?: number;
};

/** The heap of its process is bounded, and its stack, of which half of what is usually allowed is used. */
const NODE_FLAGS = ["--max-old-space-size=256", "--max-semi-space-size=1", "--stack-size=3900"];

/** Statements asked about at once: the time bound holds for all of them. */
const BATCH_MAX = 64;

type Waiting = {
  id: number;
  dialect: Dialect;
  count: number;
  resolve: (analyses: Analysis[]) => void;
  timer: NodeJS.Timeout;
};

export type EscalationCounts = {
  asked: number;
  remembered: number;
  unparsed: number;
  tooLarge: number;
  timedOut: number;
  refused: number;
};

export class Escalation {
  readonly counts: EscalationCounts = {
    asked: 0,
    remembered: 0,
    unparsed: 0,
    tooLarge: 0,
    timedOut: 0,
    refused: 0,
  };
  readonly #options: Required<EscalationOptions>;
  readonly #known = new Map<string, Analysis>();
  readonly #waiting = new Map<number, Waiting>();
  /** Parsers that answered once. */
  readonly #loaded = new Set<Dialect>();
  #worker: ChildProcess | null = null;
  #idle: NodeJS.Timeout | null = null;
  #next = 0;
  #waitingCount = 0;

  constructor({
    timeoutMs = 2_000,
    loadMs = 10_000,
    idleMs = 30_000,
    shapesMax = 20_000,
    waitingMax = 4_096,
  }: EscalationOptions = {}) {
    this.#options = { timeoutMs, loadMs, idleMs, shapesMax, waitingMax };
  }

  /** The judgement after the parser's word; unchanged when it is not grey. */
  async escalate<J extends Judgement | Unredacted>(judgement: J, statement: Statement): Promise<J> {
    const [judged] = await this.escalateAll([judgement], [statement]);
    return judged!;
  }

  async escalateAll<J extends Judgement | Unredacted>(
    judgements: readonly J[],
    statements: readonly Statement[],
  ): Promise<J[]> {
    const result = [...judgements];
    const asked = new Map<Dialect, { index: number; text: string }[]>();
    for (const [index, judgement] of judgements.entries()) {
      if (!isGrey(judgement)) continue;
      const { dialect } = statements[index]!;
      const known = judgement.shapeSha256 ? this.#known.get(judgement.shapeSha256) : undefined;
      if (known) {
        this.counts.remembered++;
        result[index] = withAnalysis(judgement, known);
        continue;
      }
      const text = parserText(statements[index]!);
      const list = asked.get(dialect) ?? [];
      list.push({ index, text });
      asked.set(dialect, list);
    }
    for (const [dialect, list] of asked)
      for (let from = 0; from < list.length; from += BATCH_MAX) {
        const batch = list.slice(from, from + BATCH_MAX);
        const analyses = await this.#ask(
          dialect,
          batch.map(({ text }) => text),
        );
        for (const [i, { index }] of batch.entries()) {
          const analysis = analyses[i]!;
          const judgement = judgements[index]!;
          this.#remember(judgement.shapeSha256, analysis);
          result[index] = withAnalysis(judgement, analysis);
        }
      }
    return result;
  }

  /** Ends the process now; who waits gets a probe, and the next question starts another one. */
  async close(): Promise<void> {
    const worker = this.#worker;
    // Else a process that has nothing else to do ends while it waits.
    worker?.ref();
    const ended = worker && once(worker, "exit");
    this.#end();
    await ended;
  }

  get loaded(): boolean {
    return this.#worker !== null;
  }

  #ask(dialect: Dialect, texts: string[]): Promise<Analysis[]> {
    this.counts.asked += texts.length;
    // Not worth crossing to the thread, and it may be 16 MB.
    const small = texts.map(text => (tooLarge(text) ? "" : text));
    if (small.every(text => text === "")) {
      this.counts.tooLarge += texts.length;
      return Promise.resolve(texts.map(() => ({ kind: "too-large" })));
    }
    if (this.#waitingCount + texts.length > this.#options.waitingMax) {
      this.counts.refused += texts.length;
      return Promise.resolve(texts.map(() => ({ kind: "unparsed" })));
    }
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = null;
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = this.#next++;
    this.#waitingCount += texts.length;
    return new Promise<Analysis[]>(resolve => {
      const { timeoutMs, loadMs } = this.#options;
      const timer = setTimeout(() => this.#end(), timeoutMs + (this.#loaded.has(dialect) ? 0 : loadMs));
      this.#waiting.set(id, { id, dialect, count: texts.length, resolve, timer });
      // Where it cannot be sent the process is gone, which is told apart.
      worker.send({ id, dialect, statements: small } satisfies Question, () => {});
    }).then(analyses =>
      analyses.map((analysis, i): Analysis => {
        const final: Analysis = small[i] === "" ? { kind: "too-large" } : analysis;
        if (final.kind === "too-large") this.counts.tooLarge++;
        if (final.kind === "unparsed") this.counts.unparsed++;
        return final;
      }),
    );
  }

  #start(): ChildProcess {
    // A test runs the source, which Node alone cannot: it takes the build.
    const path = import.meta.url.endsWith(".ts") ? "../../dist/ast/worker.js" : "./worker.js";
    const worker = fork(fileURLToPath(new URL(path, import.meta.url)), {
      execArgv: NODE_FLAGS,
      env: {},
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    worker.on("message", answer => {
      const { id, analyses } = answer as Answer;
      this.#answered(id, analyses);
    });
    const lost = () => {
      if (this.#worker === worker) this.#end();
    };
    worker.on("error", lost);
    worker.on("exit", lost);
    // Who waits holds a timer: without one, neither the process nor its channel keeps this one alive.
    worker.unref();
    worker.channel?.unref();
    return worker;
  }

  #answered(id: number, analyses: Analysis[]): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#loaded.add(waiting.dialect);
    this.#settle(waiting, analyses);
    if (this.#waiting.size > 0) return;
    this.#idle = setTimeout(() => void this.close(), this.#options.idleMs);
    this.#idle.unref();
  }

  #settle(waiting: Waiting, analyses: Analysis[]): void {
    this.#waiting.delete(waiting.id);
    this.#waitingCount -= waiting.count;
    clearTimeout(waiting.timer);
    waiting.resolve(analyses);
  }

  /** It took too long, or is lost: whoever waits for it gets no answer, and the next one another process. */
  #end(): void {
    const worker = this.#forget();
    for (const waiting of [...this.#waiting.values()]) {
      this.counts.timedOut += waiting.count;
      this.#settle(
        waiting,
        Array.from({ length: waiting.count }, () => ({ kind: "unparsed" })),
      );
    }
    worker?.kill("SIGKILL");
  }

  #forget(): ChildProcess | null {
    const worker = this.#worker;
    this.#worker = null;
    this.#loaded.clear();
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = null;
    return worker;
  }

  #remember(shapeSha256: string | null, analysis: Analysis): void {
    if (shapeSha256 === null || analysis.kind !== "parsed") return;
    if (this.#known.size >= this.#options.shapesMax) {
      const oldest = this.#known.keys().next().value;
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    this.#known.set(shapeSha256, analysis);
  }
}

const telling = new RegExp(
  [
    "(?:^| )(?:or|xor|union|case|procedure|regexp|rlike|if \\()(?: |$)",
    // An operator, a call or a subquery where a literal's comparison should end.
    "\\?[=!]? (?:[-+*/%^=<>!&|~]|(?:and|like|is|between|in) [a-z_0-9]* ?\\()",
    // A literal that ended a comparison goes on.
    "\\?[=!]? (?:is|not|between|like|ilike|in) ",
    "(?:except|intersect) ",
    "in \\( \\?[=!]? (?:and|or|xor) ",
    "[=<>(,] \\( select ",
    "(?:and|[-+*/%(]) \\( select ",
    "(?:by|limit|values|having) .*(?: and | = | < | > |\\( select )",
    "(?:@ @|\\| \\||& &)",
  ].join("|"),
);

/** Worth a parser's time: a danger, a weak signal, a splice, or a form in which conditions hide. */
export function isGrey({
  verdict,
  severity,
  danger,
  drift,
  rules,
  shape,
  stage,
}: Judgement | Unredacted): boolean {
  if (verdict === "attack" || stage === "shape" || drift?.kind === "known") return false;
  // A rule spoke where no input arrives (bearing.ts): the parser would only say so again.
  if (verdict === "probe" && severity !== "low") return false;
  // Where it is not known what is a literal, a parser would only guess; code in version comments it reads.
  if (danger.includes("ambiguous") && !shape.includes("/*!*/")) return false;
  return rules.length > 0 || drift?.kind === "splice" || danger.length > 0 || telling.test(shape);
}

function withAnalysis<J extends Judgement | Unredacted>(judgement: J, analysis: Analysis): J {
  switch (analysis.kind) {
    case "unparsed":
      return probe(judgement, "ast-unparsed");
    case "too-large":
      return probe(judgement, "ast-too-large");
    case "parsed": {
      const { rules } = analysis;
      if (rules.length === 0) return judgement;
      const all = [...rules, ...judgement.rules];
      const { drift } = judgement;
      const strong = rules.filter(rule => !weakAstRules.has(rule)).length;
      // As judge.ts says of its rules: one alone is not believed of a statement that nothing was pasted into.
      const foreign = drift?.kind === "new" && drift.settled && drift.graftedAt === null;
      const proven = strong > (foreign ? 1 : 0) || (drift?.kind === "splice" && drift.established);
      return proven
        ? { ...judgement, verdict: "attack", action: "block", severity: "high", rules: all, stage: "ast" }
        : { ...probe(judgement, rules[0]!), rules: all };
    }
  }
}

function probe<J extends Judgement | Unredacted>(judgement: J, rule: string): J {
  return {
    ...judgement,
    verdict: "probe",
    action: judgement.action === "observe" ? "alert" : judgement.action,
    rules: [...judgement.rules, rule],
    stage: "ast",
  };
}
