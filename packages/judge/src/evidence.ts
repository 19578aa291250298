/**
 * Where in a statement what was found stands, so that people see the guilty tokens: as byte offsets while it is
 * judged, and as places in the redacted text for a detection.
 */
import { redact } from "@picket/native/lexer";
import type { Evidence as ToldEvidence } from "@picket/shared/detection";
import type { Stage, Statement, Unredacted } from "./judge.ts";
import type { Met } from "./matching.ts";
import { UNKNOWN_SESSION } from "./session.ts";

export type Evidence = {
  rule: string;
  stage: Stage;
  /** From the first byte to after the last one. */
  span: [start: number, end: number];
};

const rank = { low: 0, medium: 1, high: 2, critical: 3 } as const;

/** The spans of the rules that matched, strongest first; among equals the shortest, which tells most. */
export const evidenceOf = (met: readonly Met[]): Evidence[] =>
  met
    .flatMap(({ rule, span }) => (span ? { rule, span } : []))
    .sort((a, b) => rank[b.rule.severity] - rank[a.rule.severity] || width(a.span) - width(b.span))
    .map(({ rule, span: [start, end] }) => ({ rule: rule.id, stage: "token-rules", span: [start, end] }));

const width = ([start, end]: readonly [number, number]): number => end - start;

const EVIDENCE_MAX = 8;
const TEXT_MAX = 2_048;

/**
 * For a detection, whose `sql` is the redacted statement: no literal enters. Redaction goes token by token, so what
 * precedes a token, redacted, is what precedes it in the redacted text.
 */
export function toldEvidence(
  { sql, dialect, session = UNKNOWN_SESSION }: Statement,
  { evidence, drift }: Pick<Unredacted, "evidence" | "drift">,
): ToldEvidence[] {
  const bytes = typeof sql === "string" ? Buffer.from(sql) : sql;
  const whole = redact(bytes, { dialect, session });
  const upTo = (offset: number) => redact(bytes.subarray(0, offset), { dialect, session }).trimEnd().length;
  return evidence.slice(0, EVIDENCE_MAX).map(({ rule, stage, span: [from, to] }) => {
    let start = upTo(from);
    while (whole[start] === " ") start++;
    const told = { rule, stage, start, end: Math.max(start, upTo(to)) };
    if (stage !== "drift" || drift?.kind !== "splice") return told;
    const { words } = drift.template;
    const replacedAt = lengthOf(words.slice(0, drift.slot.from)) + (drift.slot.from > 0 ? 1 : 0);
    return {
      ...told,
      template: words.join(" ").slice(0, TEXT_MAX),
      replaced: [
        Math.min(TEXT_MAX, replacedAt),
        Math.min(TEXT_MAX, replacedAt + lengthOf(words.slice(drift.slot.from, drift.slot.to))),
      ] satisfies [number, number],
      inserted: drift.inserted.join(" ").slice(0, TEXT_MAX),
    };
  });
}

const lengthOf = (words: readonly string[]): number => words.join(" ").length;
