/** What `picket rules explain` does: a statement's way through the judge, on one page. */
import { Escalation, isGrey } from "@picket/judge/ast/escalation";
import { type Explanation, explain } from "@picket/judge/explain";
import { judge } from "@picket/judge/judge";
import { parseSession } from "@picket/judge/session";
import { Dialect } from "@picket/shared/vocabulary";
import type { Context } from "./context.ts";
import { usage } from "./errors.ts";
import { compiledRules, learned } from "./judging.ts";
import { facts, harmless, type Output } from "./output.ts";

export type ExplainOptions = {
  rules?: string;
  learn?: string;
  dialect?: string;
  session?: string;
  workload?: string;
  user?: string;
  database?: string;
  label?: Record<string, string>;
};

export async function explainStatement(
  context: Context,
  options: ExplainOptions,
  sql: string,
): Promise<void> {
  const { output } = context;
  const wanted = options.dialect === undefined ? null : Dialect.safeParse(options.dialect);
  if (wanted && !wanted.success) throw usage(`"${options.dialect}" is not a dialect`, "write mysql or pg");
  const compiled = compiledRules(context, options.rules);
  const profile = options.learn === undefined ? undefined : await learned(compiled, options.learn);
  const statements = (wanted ? [wanted.data] : Dialect.options).map(dialect => {
    const session = parseSession(dialect, options.session);
    if (!session.ok) throw usage(session.error);
    const { workload, user, database, label: labels } = options;
    return { sql, dialect, session: session.value, context: { workload, user, database, labels } };
  });
  const cold = statements.map(statement => judge(compiled, statement, profile ? { profile } : {}));
  const judged = await new Escalation().escalateAll(cold, statements);
  const explanations = statements.map((statement, i) => ({
    ...explain(compiled, statement, judged[i]!),
    parserAsked: isGrey(cold[i]!),
  }));
  output.result(explanations.length === 1 ? printable(explanations[0]!) : explanations.map(printable), () =>
    explanations.map(one => page(output, one, sql)).join("\n\n"),
  );
}

/** Fingerprints are a node's own. */
type Explained = Explanation & { parserAsked: boolean };

const printable = ({ judgement: { fingerprint: _, ...judgement }, ...rest }: Explained) => ({
  ...rest,
  judgement,
});

const names = { mysql: "MySQL", pg: "PostgreSQL" } as const;
const verdictStyle = { benign: "green", attack: "red", probe: "yellow" } as const;

function page(output: Output, one: Explained, sql: string): string {
  const { lexed, named, met, judgement } = one;
  const heading = (number: number, text: string) => output.paint("bold", `${number}. ${text}`);
  const indented = (text: string) => text.replace(/^/gm, "   ");
  return [
    output.paint("bold", `As ${names[one.dialect]} reads it`),
    "",
    heading(1, "Lexed"),
    indented(
      facts(output, [
        ...lexed.session.map(({ fact, value }) => [fact, value] as const),
        ["tokens", String(lexed.tokens)],
        ["shape", harmless(lexed.shape)],
        ["known by", lexed.shapeSha256 ?? "nothing: it is judged at each use"],
        ...lexed.danger.map(({ name, means }, i) => [i === 0 ? "danger" : "", `${name}: ${means}`] as const),
      ]),
    ),
    "",
    heading(2, "Shape"),
    indented(
      named
        ? `${named.id} names it and says ${named.action}${named.applies === "unknown" ? ", if it is about this connection" : ""}`
        : "the rule set does not name it",
    ),
    "",
    heading(3, "Rules"),
    indented(met.length === 0 ? "none is met" : met.map(rule => ruleText(output, rule, sql)).join("\n")),
    "",
    heading(4, "Drift and parser"),
    indented(driftText(output, one, sql)),
    indented(one.parserAsked ? "the parser was asked" : "the parser was not asked"),
    "",
    heading(5, "Verdict"),
    indented(
      `${output.paint(verdictStyle[judgement.verdict], judgement.verdict)}, action ${judgement.action}: ${one.because}`,
    ),
    ...(judgement.holdsForShape
      ? []
      : [indented("It is not remembered by the shape: it turned on the connection or on a value.")]),
  ].join("\n");
}

function driftText(output: Output, { drift }: Explained, sql: string): string {
  if (!drift) return "nothing was learned to compare with, or an earlier stage decided";
  switch (drift.kind) {
    case "known":
      return "a statement of this shape was learned";
    case "variant":
      return "it differs from a learned statement only as learned statements do";
    case "splice":
      return `tokens are spliced into a learned statement: ${drift.span ? marked(output, sql, drift.span) : drift.inserted.join(" ")}`;
    default:
      return "nothing like it was learned";
  }
}

function ruleText(output: Output, rule: Explanation["met"][number], sql: string): string {
  const style = rule.applies === "no" ? "dim" : rule.action === "block" ? "red" : "yellow";
  const about =
    rule.applies === "no"
      ? `, but it is about other connections (${rule.asks.join(", ")})`
      : rule.applies === "unknown"
        ? `, if it is about this connection (${rule.asks.join(", ")} not known): at most alert`
        : "";
  return [
    `${output.paint(style, rule.id)}  ${rule.severity}, ${rule.action}${about}`,
    `   ${rule.title}. ${rule.reason}`,
    `   ${rule.span ? marked(output, sql, rule.span) : `met over ${rule.over === "statement" ? "the shape" : `the ${rule.over}`}`}`,
  ].join("\n");
}

const AROUND = 60;

/** The span in its surroundings: in colour, and between marks where there is none. */
function marked(output: Output, sql: string, [start, end]: readonly [number, number]): string {
  const bytes = Buffer.from(sql);
  const text = (from: number, to: number) => harmless(bytes.toString("utf8", from, to));
  const from = Math.max(0, start - AROUND);
  const to = Math.min(bytes.length, end + AROUND);
  const long = end - start > 4 * AROUND;
  const span = long
    ? `${text(start, start + 2 * AROUND)} … ${text(end - 2 * AROUND, end)}`
    : text(start, end);
  const painted = output.paint(["red", "underline"], span);
  const shown = painted === span ? `»${span}«` : painted;
  return `${from > 0 ? "…" : ""}${text(from, start)}${shown}${text(end, to)}${to < bytes.length ? "…" : ""}`;
}
