/**
 * The data path on one screen: an event of the kernel becomes a statement, the statement is judged, the judgement
 * goes back into the kernel's map, and what is hostile becomes a detection in the spool.
 *
 *   ring → decode → reassemble → judge → verdict map
 *                                      ↘ detect → fold → spool → upload
 */
import { randomUUID } from "node:crypto";
import type { Context } from "@picket/judge/match";
import type { Detection, StatementDetection } from "@picket/shared/detection";
import type { EventId } from "@picket/shared/ids";
import type { Labels } from "@picket/shared/vocabulary";
import type { ConnectionEvent, KernelEvent, StatementFragment } from "./capture/kernel-event.ts";
import type { Processes } from "./connections/processes.ts";
import type { ConnectionTable } from "./connections/table.ts";
import type { Decided, HeldStatement } from "./hold/holding.ts";
import { tableOf } from "./hold/plan.ts";
import type { Comparison } from "./rules/comparison.ts";
import type { Lexing } from "./rules/lexing.ts";
import type { Twins } from "./rules/twin.ts";
import type { Unknown } from "./rules/unknown.ts";
import type { Loaded, Versions } from "./rules/versions.ts";
import { detect, type Judged } from "./wire/detect.ts";
import type { Fold } from "./wire/fold.ts";
import type { Statement, Statements } from "./wire/statements.ts";
import type { Workloads } from "./workloads/workloads.ts";

export type Pipeline = {
  handle(event: KernelEvent): void;
  /** A statement that waits for its judgement, or was decided by the keeper's rules alone. */
  held(held: HeldStatement): void;
  /** After each batch and on a timer: what was found goes into the spool. */
  flush(all?: boolean): void;
};

/** What a client reads where no rule denied its statement: nobody could judge it (packages/bpf/src/denial.h). */
const UNJUDGED = "picket:unjudged";
/** Earlier fragments of a held statement come by the ring, a little later than the keeper's word. */
const FRAGMENT_TRIES = 10;
const FRAGMENT_WAIT_MS = 2;

const isBlocked = ({ verdict, action }: Judged): boolean => action === "block" && verdict !== "benign";
const rulesOf = ({ parts }: Loaded) => parts.map(({ rules }) => rules);

export function createPipeline(input: {
  statements: Statements;
  connections: ConnectionTable;
  versions: Versions;
  unknown: Unknown;
  comparison: Comparison;
  twins: Pick<Twins, "sampled">;
  lexing: Lexing;
  workloads: Workloads;
  processes: Processes;
  fold: Fold;
  /** The node's. */
  labels: () => Labels;
  /** What a connection event is worth telling of, beyond its place in the table. */
  noticed: (event: ConnectionEvent) => Detection[];
  sever: (event: ConnectionEvent) => void;
  /** Into the spool, and to whoever watches on this host. */
  store: (detections: Detection[]) => void;
  nowMs?: () => number;
}): Pipeline {
  const { statements, connections, versions, unknown, lexing, workloads, processes, fold } = input;
  const nowMs = input.nowMs ?? Date.now;
  let found: Detection[] = [];

  return {
    handle(event) {
      switch (event.kind) {
        case "connection":
          handleConnection(event);
          break;
        case "statement":
          handleFragment(event);
          break;
        case "login":
          connections.loggedIn(event);
          break;
      }
    },
    held: handleHeld,
    flush(all = false) {
      const detections = [...found, ...fold.flush(nowMs(), all)];
      found = [];
      if (detections.length > 0) input.store(detections);
    },
  };

  function handleConnection(event: ConnectionEvent): void {
    connections.feed(event);
    if (event.reason === "killed") input.sever(event);
    if (event.reason === "closed" || event.reason === "killed") statements.closed(event.cookie);
    found.push(...input.noticed(event));
  }

  function handleFragment(fragment: StatementFragment): void {
    connections.saw(fragment);
    const statement = statements.feed(fragment);
    if (!statement) return;
    const loaded = versions.byOrdinal(statement.version);
    if (statement.sampled) {
      found.push(...[input.comparison.of(statement)].flatMap(found => found ?? []));
      if (loaded) input.twins.sampled(statement, loaded, contextOf(statement));
    } else if (statement.verdict !== "unknown") tell(statement, known(statement, loaded), loaded);
    // A version that has been given up: whoever judges now meets the shape itself.
    else if (loaded)
      // It has passed (observed); what it is judged now is what its next use meets.
      unknown(statement, loaded, contextOf(statement), (judged, of) => tell(of, judged, loaded));
  }

  function tell(statement: Statement, judged: Judged | null, loaded: Loaded | undefined): void {
    if (!judged || judged.verdict === "benign") return;
    found.push(...fold.feed(detectionOf(statement, judged, loaded), nowMs()));
  }

  /**
   * Judged like any other; only then may it leave, or the client reads why it may not. What the keeper decided by
   * itself is told of as it was decided.
   */
  function handleHeld(held: HeldStatement, tries = FRAGMENT_TRIES): void {
    const { fragment, decided } = held;
    if (tries > 0 && !statements.complete(fragment)) {
      setTimeout(() => handleHeld(held, tries - 1), FRAGMENT_WAIT_MS);
      return;
    }
    connections.saw(fragment);
    const statement = statements.feed(fragment)!;
    const loaded = versions.byOrdinal(statement.version);
    if (!loaded) {
      if (!decided) held.answer(null);
      return;
    }
    let outcome = decided;
    let answered = decided !== null;
    let tellOf: ((outcome: Decided) => void) | null = null;
    const settle = () => outcome && tellOf?.(outcome);
    const answer = (judged: Judged) => {
      if (answered) return;
      answered = true;
      held.answer(isBlocked(judged) ? (judged.rules[0] ?? UNJUDGED) : null);
    };
    if (!decided)
      held.whenDecided(then => {
        outcome = then;
        settle();
      });
    unknown(
      statement,
      loaded,
      contextOf(statement),
      (judged, of) => {
        answer(judged);
        tellOf = then => tellHeld(of, judged, loaded, then);
        settle();
      },
      answer,
    );
  }

  function tellHeld(
    statement: Statement,
    judged: Judged,
    loaded: Loaded,
    { outcome, guarantee, rule, unjudged }: Decided,
  ): void {
    const stopped = outcome === "substituted" || outcome === "killed";
    const told = { ...statement, guarantee, substituted: outcome === "substituted" };
    tell(told, stopped && !isBlocked(judged) ? denied(statement, loaded, rule, unjudged) : judged, loaded);
  }

  /** It was stopped although the whole judge would not have: by a rule of the keeper's, or since nobody answered. */
  function denied({ danger }: Statement, loaded: Loaded, rule: number | null, unjudged: boolean): Judged {
    const id = rule === null ? undefined : tableOf(rulesOf(loaded))?.rules[rule]?.id;
    return {
      verdict: unjudged ? "probe" : "attack",
      action: "block",
      rules: [id ?? UNJUDGED],
      stage: "token-rules",
      danger: lexing.dangerNames(danger),
      severity: "high",
      evidence: () => [],
    };
  }

  /** The kernel knew it and says what it did. */
  function known({ verdict, action, rule, danger }: Statement, loaded: Loaded | undefined): Judged | null {
    if (verdict === "unknown") return null;
    const id = rule === null ? undefined : loaded?.ruleIds[rule];
    return {
      verdict,
      action,
      rules: id ? [id] : [],
      stage: "kernel",
      danger: lexing.dangerNames(danger),
      severity: "high",
      evidence: () => [],
    };
  }

  /** Who logged in is not known of a connection that was open before the agent. */
  function loginOf({ cookie, dialect }: Statement): { user: string | null; database: string | null } {
    const { user = null, database = null } = connections.get(cookie) ?? {};
    // PostgreSQL's default database has the user's name.
    return { user, database: database ?? (dialect === "pg" ? user : null) };
  }

  function contextOf(statement: Statement): Context {
    const { user, database } = loginOf(statement);
    const workload = workloads.get(statement.workload);
    return {
      workload: workload?.name,
      user: user ?? undefined,
      database: database ?? undefined,
      // The workload's win over the node's.
      labels: { ...input.labels(), ...workload?.labels },
    };
  }

  function detectionOf(statement: Statement, judged: Judged, loaded: Loaded | undefined): StatementDetection {
    // Several rule sets may judge: the one whose rule decided is named.
    const part =
      loaded?.parts.find(({ rules }) => judged.rules.some(id => rules.ruleIds.includes(id))) ??
      loaded?.parts[0];
    const { sql, dialect, session, workload } = statement;
    return detect({
      statement,
      ...loginOf(statement),
      judged,
      redacted: lexing.redact(sql, dialect, session),
      shape: statement.whole ? lexing.shape(sql, dialect, session) : null,
      ruleSet: part?.ruleSet ?? null,
      version: part?.version ?? null,
      process: processes.describe(statement.process, workloads.get(workload)?.name),
      mode: workloads.modeOf(workload) ?? "observe",
      id: randomUUID() as EventId,
      at: new Date(nowMs()).toISOString(),
    });
  }
}
