/**
 * What a claim is worth: the shape is judged again, by the rule version that the node says it judged by, as this
 * control plane has it. A statement is made of the shape's text; its literals do not matter, since the claim is that
 * none of them does.
 */
import { Escalation } from "@picket/judge/ast/escalation";
import { type CompiledRuleSet, compileRuleSet } from "@picket/judge/compile";
import { judgeWith } from "@picket/judge/judge";
import { statementsOf } from "@picket/judge/replay";
import { defaultSession } from "@picket/judge/session";
import type { ShapeDigest } from "@picket/shared/ids";
import type { Dialect } from "@picket/shared/vocabulary";

const COMPILED_MAX = 4;
const compiled = new Map<string, CompiledRuleSet | null>();
const escalation = new Escalation();

/** Null: an attack to be blocked wherever it is sent; else why not. */
export async function judgeAgain(
  ruleText: string,
  { text, dialect, shape }: { text: string; dialect: Dialect; shape: ShapeDigest },
): Promise<string | null> {
  const rules = compile(ruleText);
  if (!rules) return "the rule version does not compile here";
  const session = defaultSession(dialect);
  const statements = statementsOf(text, dialect, shape);
  if (statements.length === 0) return "no statement can be made of the shape";
  let hostile = false;
  for (const sql of statements) {
    const judged = await escalation.escalate(judgeWith({ compiled: rules }, { sql, dialect, session }), {
      sql,
      dialect,
      session,
    });
    if (judged.verdict === "benign") return `found benign here, at the stage ${judged.stage}`;
    hostile ||= judged.verdict === "attack" && judged.action === "block" && judged.holdsForShape;
  }
  return hostile ? null : "not an attack that is to be blocked, by the rules here";
}

export const closeJudge = (): Promise<void> => escalation.close();

function compile(ruleText: string): CompiledRuleSet | null {
  const known = compiled.get(ruleText);
  if (known !== undefined) return known;
  const made = compileRuleSet(ruleText);
  if (compiled.size >= COMPILED_MAX) compiled.delete(compiled.keys().next().value!);
  compiled.set(ruleText, made.ok ? made.value : null);
  return made.ok ? made.value : null;
}
