/**
 * Compares a statement with a profile. A statement of a known shape is known; one that equals a known template
 * but for tokens in the place of one value or name is a splice, and the signals in those tokens say how odd it
 * is; any other is new, and only the rules speak.
 *
 * A splice without any signal may be a new release (`… AND active = ?`). It is taken for an attack only where the
 * template is established: sent often, and with many values at this very place, so that input is known to arrive
 * there. A new release is told from it by the process: code does not change while it runs, so a process that
 * started after the template was last learned may bring new templates, and they are then `new` (docs/drift.md).
 */
import type { Dialect } from "@picket/shared/vocabulary";
import type { Splice } from "./index.ts";
import { type Profile, type Template, valuesOf } from "./profile.ts";
import { type SpliceSignal, spliceSignals } from "./signals.ts";
import type { Slot } from "./slots.ts";
import { type DriftTokens, isComment, isName, LITERAL } from "./tokens.ts";
import { areValues } from "./values.ts";

export type DriftFinding =
  | { kind: "known"; template: Template }
  | { kind: "variant"; template: Template }
  | {
      kind: "splice";
      template: Template;
      /** The replaced tokens of the template. */
      slot: Slot;
      /** Whether the rest of the template follows; else it was cut off. */
      whole: boolean;
      /** The spliced tokens, literals as `?`. */
      inserted: string[];
      /** Byte offsets of them in the statement. */
      span: [start: number, end: number];
      signals: SpliceSignal[];
      /** Input is known to arrive at this place. */
      established: boolean;
    }
  | { kind: "new" };

/** Values that a literal must have shown, and uses of the template, before its place is an input's. */
const ESTABLISHED_VALUES = 4;
const ESTABLISHED_COUNT = 5;
/** Names that were seen in one place. */
const ESTABLISHED_NAMES = 3;

export function compare(
  profile: Profile,
  dialect: Dialect,
  shapeSha256: string | null,
  tokens: DriftTokens,
): DriftFinding {
  const known = shapeSha256 === null ? undefined : profile.known(shapeSha256);
  if (known) return { kind: "known", template: known };
  const variant = profile.variant(dialect, tokens);
  if (variant) return { kind: "variant", template: variant };
  const cut = tokens.words.some(word => isComment(word) && word !== "/*+*/") || tokens.words.includes(";");
  let best: Finding | undefined;
  const splices = profile.splices(dialect, tokens, { cut });
  for (const { template, slot, from, to, whole } of splices) {
    const inserted = tokens.words.slice(from, to);
    if (slot.kind === "name" ? isNames(inserted) || !hasIdentity(template.words, slot) : areValues(inserted))
      continue;
    const context = { before: tokens.words[from - 1], after: whole ? template.words[slot.to] : undefined };
    const alike = splices.filter(other => other.from === from && other.to === to && other.whole === whole);
    const finding: Finding = {
      kind: "splice",
      template,
      slot,
      whole,
      inserted,
      span: [tokens.spans[from]![0], tokens.spans[to - 1]![1]],
      signals: spliceSignals(inserted, context).filter(
        signal => slot.kind === "literal" || !honestInLists.has(signal),
      ),
      established: isEstablished(template, slot, alike),
    };
    if (!best || rank(finding) > rank(best)) best = finding;
  }
  return best ?? { kind: "new" };
}

type Finding = Extract<DriftFinding, { kind: "splice" }>;

/** What honest lists of columns and tables have, too. */
const honestInLists: ReadonlySet<SpliceSignal> = new Set([
  "call",
  "clause",
  "variable",
  "unbalanced",
  "calculated-literals",
  "subquery",
]);

const rank = ({ signals, established }: Finding): number =>
  (signals.length > 0 ? 2 : 0) + (established ? 1 : 0);

/** Names with commas, dots and directions between them: another list of columns, and no splice. */
const isNames = (words: readonly string[]): boolean =>
  words.every(
    word => isName(word) || word === "," || word === "." || word === "*" || word === "asc" || word === "desc",
  );

/** Whether the template says enough besides the slot to be recognised: a name that is no function's. */
const hasIdentity = (words: readonly string[], { from, to }: Slot): boolean =>
  words[0] !== "explain" &&
  words.some((word, i) => (i < from || i >= to) && isName(word) && words[i + 1] !== "(" && i > 0);

/**
 * Whether input is known to arrive at a place: a literal that was seen with several values, or a name in whose
 * place several names were seen, or that stands in a template of many uses.
 */
function isEstablished(template: Template, slot: Slot, alike: readonly Splice<Template>[]): boolean {
  if (slot.kind === "name") return alike.length >= ESTABLISHED_NAMES || template.count >= ESTABLISHED_COUNT;
  let literal = -1;
  for (let i = 0; i <= slot.from; i++) if (template.words[i] === LITERAL) literal++;
  return template.count >= ESTABLISHED_COUNT && valuesOf(template, literal) >= ESTABLISHED_VALUES;
}
