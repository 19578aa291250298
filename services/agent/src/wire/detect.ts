/**
 * From a judged statement to a Detection: what was seen, what was asked, and what was really true for it. Pure; the
 * redacted text and the shape's digest are arguments, since lexing needs the native lexer.
 */
import type { Process, StatementDetection } from "@picket/shared/detection";
import type { EventId, RuleSetName, RuleVersion, ShapeDigest } from "@picket/shared/ids";
import type { Priority, WorkloadMode } from "@picket/shared/vocabulary";
import type { Judgement } from "../rules/judging.ts";
import type { Statement } from "./statements.ts";

export type Judged = Omit<Judgement, "stage" | "holdsForShape"> & { stage: StatementDetection["stage"] };

const SQL_CHARACTERS_MAX = 4_096;

export function detect(input: {
  statement: Statement;
  judged: Judged;
  /** Of its connection; null: not seen. */
  user: string | null;
  database: string | null;
  redacted: string;
  shape: ShapeDigest | null;
  ruleSet: RuleSetName | null;
  version: RuleVersion | null;
  process: Process;
  mode: WorkloadMode;
  id: EventId;
  at: string;
}): StatementDetection {
  const { statement, judged, shape, mode } = input;
  const wouldBlock = judged.action === "block" && statement.guarantee === "observed" && mode !== "enforce";
  return {
    id: input.id,
    at: input.at,
    kind: "statement",
    priority: priorityOf(judged, statement.guarantee),
    causalKey: `statement:${statement.dialect}:${judged.rules[0] ?? judged.verdict}:${shape?.slice(0, 16) ?? "never-known"}`,
    verdict: judged.verdict,
    action: judged.action,
    guarantee: statement.guarantee,
    dialect: statement.dialect,
    message: statement.message,
    sql: cut(input.redacted),
    ...(shape ? { shape } : {}),
    rules: judged.rules.slice(0, 32),
    danger: judged.danger.slice(0, 32),
    stage: judged.stage,
    ...evidenceIn(judged),
    ...(input.ruleSet ? { ruleSet: input.ruleSet } : {}),
    ...(input.version ? { version: input.version } : {}),
    slot: statement.slot,
    process: input.process,
    endpoints: statement.endpoints,
    ...(input.user ? { user: input.user } : {}),
    ...(input.database ? { database: input.database } : {}),
    connection: statement.cookie.toString(),
    wouldBlock,
    count: 1,
  };
}

function evidenceIn({ evidence }: Judged): Pick<StatementDetection, "evidence"> {
  const told = evidence();
  return told.length > 0 ? { evidence: told } : {};
}

/**
 * What got through weighs more than what was stopped: an attack that reached the server is somebody's night, one
 * that was prevented is a morning's reading.
 */
export function priorityOf(
  judged: Pick<Judged, "verdict" | "action" | "severity">,
  guarantee: StatementDetection["guarantee"],
): Priority {
  if (judged.verdict !== "attack" || judged.action === "observe") return "P3";
  const stopped = guarantee === "prevented" || guarantee === "severed";
  switch (judged.severity) {
    case "critical":
      return stopped ? "P1" : "P0";
    case "high":
      return stopped ? "P2" : "P1";
    case "medium":
      return stopped ? "P3" : "P2";
    case "low":
      return "P3";
  }
}

function cut(text: string): string {
  return text.length <= SQL_CHARACTERS_MAX ? text : `${text.slice(0, SQL_CHARACTERS_MAX - 1)}…`;
}
