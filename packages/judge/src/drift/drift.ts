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
import { type Profile, type Template, valuesOfAll } from "./profile.ts";
import {
  isOddName,
  listSignals,
  readsMaps,
  type SpliceSignal,
  spliceSignals,
  tableSignals,
} from "./signals.ts";
import { beforeTables, type Slot } from "./slots.ts";
import { type DriftTokens, isComment, isName, LITERAL } from "./tokens.ts";
import { areAlternatives, areValues } from "./values.ts";
import { additionsOf } from "./vocabulary.ts";

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
  | {
      kind: "new";
      /**
       * Byte offset from which on it is no known template's any more. Null: it does not begin as one does, or it
       * ends in its own way and hides nothing.
       */
      graftedAt: number | null;
      /** The profile has learned what there is to learn, so that it says something that nothing is known. */
      settled: boolean;
    };

/** Values that a literal must have shown, and uses of the template, before its place is an input's. */
const ESTABLISHED_VALUES = 4;
const ESTABLISHED_COUNT = 5;
/** Names that were seen in one place. */
const ESTABLISHED_NAMES = 3;

/** What a comment hides may end like a template by chance; not in so many tokens. */
const SWALLOWED_MIN = 2;
/** The same where the template names no table that would tell it from others. */
const SWALLOWED_WHOLE_MIN = 3;
/** A statement that begins like a template in fewer tokens before its table begins like any other. */
const BEGINNING_MIN = 4;
/** So many tokens after a table are a condition of its own. */
const CONTINUED_MIN = 4;
/** Fewer templates than this, and a profile cannot say what is foreign to a workload. */
const SETTLED_TEMPLATES = 32;

export function compare(
  profile: Profile,
  dialect: Dialect,
  shapeSha256: string | null,
  tokens: DriftTokens,
  { unterminated = false }: { unterminated?: boolean } = {},
): DriftFinding {
  const known = shapeSha256 === null ? undefined : profile.known(shapeSha256);
  if (known) return { kind: "known", template: known };
  const variant = profile.variant(dialect, tokens);
  if (variant) return { kind: "variant", template: variant };
  const swallowed = swallowedRest(profile, dialect, tokens);
  if (swallowed) return swallowed;
  const ends =
    unterminated ||
    tokens.words.some(word => isComment(word) && word !== "/*+*/") ||
    tokens.words.includes(";");
  const cut = ends || tokens.tagged;
  let best: Finding | undefined;
  let pastedAt = -1;
  /** Nothing but a value or a list of names is another than a template's, so its tags cut nothing off. */
  let honest = false;
  const splices = profile.splices(dialect, tokens, { cut });
  for (const splice of splices) {
    const { slot, template, from, to } = splice;
    const inserted = tokens.words.slice(from, to);
    const alike = splices.filter(
      other => other.from === from && other.to === to && other.whole === splice.whole,
    );
    const established = isEstablished(profile, template, slot, alike);
    if (
      hasIdentity(template.words, slot) &&
      (slot.kind !== "table" || (established && from >= BEGINNING_MIN))
    )
      pastedAt = Math.max(pastedAt, from);
    if (honest && !splice.whole) continue;
    if (isHonest(profile, template, slot, inserted)) {
      honest ||= splice.whole && !ends;
      continue;
    }
    const grown = slot.kind === "literal" ? extension(profile, template, slot, inserted) : "none";
    const finding = findingOf(splice, inserted, tokens, established && grown !== "alike");
    // Where tokens tell, the same statement about other tables says where input arrives, too.
    if (!established && slot.kind === "literal" && grown !== "alike" && finding.signals.length > 0)
      finding.established = isEstablished(profile, template, slot, alike, true);
    // It narrows and sorts what is found: by columns that are known to, or by others, which is told.
    if (grown === "alike") finding.signals = [];
    else if (grown === "other") finding.signals = finding.signals.filter(signal => signal !== "clause");
    // Another table makes another statement, and one that reads several tables, too; not where a program puts a
    // number into the table's name, and goes on alike.
    if (slot.kind === "table" && !(areNumbered(alike) && template.words.length - slot.to >= CONTINUED_MIN))
      finding.signals = finding.signals.filter(signal => signal !== "more-tables");
    if (slot.kind === "table" && (!finding.established || finding.signals.length === 0)) continue;
    if (!best || rank(finding) > rank(best)) best = finding;
  }
  if (best) return best;
  const several = profile.several(dialect, tokens);
  if (several?.same) {
    const { slot, template, from, to } = several.same;
    const inserted = tokens.words.slice(from, to);
    if (hasIdentity(template.words, slot) && !isHonest(profile, template, slot, inserted))
      return findingOf(several.same, inserted, tokens, isEstablished(profile, template, slot, []));
  }
  if (several) pastedAt = Math.max(pastedAt, several.at);
  // What is pasted into a template leaves the template's end standing, or cuts it off; else nothing was pasted.
  const at = cut ? (profile.graft(dialect, tokens) ?? -1) : pastedAt;
  return {
    kind: "new",
    graftedAt: at < 0 ? null : tokens.spans[at]![0],
    settled: profile.mode !== "learn" && profile.templates.size >= SETTLED_TEMPLATES,
  };
}

/** A comment at the end that hides just what a template ends with: the rest was there, and was commented away. */
function swallowedRest(profile: Profile, dialect: Dialect, tokens: DriftTokens): Finding | undefined {
  const shown = tokens.words.length - 1;
  for (const hidden of tokens.hidden) {
    const words = [...tokens.words.slice(0, shown), ...hidden];
    for (const splice of profile.splices(dialect, { ...tokens, words }, { cut: false })) {
      const { slot, template, from, to } = splice;
      const least = hasIdentity(template.words, slot) ? SWALLOWED_MIN : SWALLOWED_WHOLE_MIN;
      if (words.length - to < least || from >= shown || to < shown) continue;
      const finding = findingOf({ ...splice, to: shown + 1 }, tokens.words.slice(from), tokens, true);
      return { ...finding, signals: ["swallowed-rest", ...finding.signals] };
    }
  }
  return undefined;
}

function isHonest(profile: Profile, template: Template, slot: Slot, inserted: readonly string[]): boolean {
  const { words } = template;
  if (!hasIdentity(words, slot)) return true;
  switch (slot.kind) {
    case "name":
      return isNames(inserted) || isSameList(inserted, words.slice(slot.from, slot.to));
    case "table":
      return isNames(inserted) && !(inserted.includes(",") && readsMaps(inserted));
    case "literal":
      return (
        areValues(inserted) ||
        areAlternatives(inserted, columnOf(words, slot)) ||
        extension(profile, template, slot, inserted) === "same"
      );
  }
}

/** A value, and what the workload adds to other statements about the same table: one filter more, another order. */
function extension(
  profile: Profile,
  template: Template,
  { to }: Slot,
  spliced: readonly string[],
): ReturnType<Profile["adds"]> | "none" {
  // `a in ( ? ) and b in ( ? )`: the same tokens stand behind the first value and behind its bracket.
  const behind = template.words[to] === ")" && spliced[1] === ")" && spliced.at(-2) === "(";
  const inserted = behind ? [spliced[0]!, ...spliced.slice(2), ")"] : spliced;
  const end = inserted.findIndex(word => extenders.has(word));
  if (end < 1 || !areValues(inserted.slice(0, end))) return "none";
  const additions = additionsOf(inserted.slice(inserted[end] === "and" ? end + 1 : end));
  return additions ? profile.adds(template, additions) : "none";
}

const extenders = new Set(["and", "order", "limit", "offset"]);

function findingOf(
  { template, slot, from, to, whole }: Splice<Template>,
  inserted: readonly string[],
  tokens: DriftTokens,
  established: boolean,
): Finding {
  const context = { before: tokens.words[from - 1], after: whole ? template.words[slot.to] : undefined };
  return {
    kind: "splice",
    template,
    slot,
    whole,
    inserted: [...inserted],
    span: [tokens.spans[from]![0], tokens.spans[to - 1]![1]],
    signals: [
      ...spliceSignals(inserted, context).filter(signal => !honestIn[slot.kind].has(signal)),
      ...(slot.kind === "table" ? tableSignals(inserted, template.dialect) : []),
      ...(slot.kind === "name" ? listSignals(inserted, tokens.literals.slice(from, to)) : []),
    ],
    established,
  };
}

type Finding = Extract<DriftFinding, { kind: "splice" }>;

/** What honest values, lists of columns, and tables have, too. */
const honestIn: Record<Slot["kind"], ReadonlySet<SpliceSignal>> = {
  literal: new Set<SpliceSignal>(["condition", "literal-after-name"]),
  name: new Set<SpliceSignal>(["call", "clause", "unbalanced", "calculated-literals", "subquery"]),
  table: new Set<SpliceSignal>([
    "alternative",
    "calculated-literals",
    "call",
    "clause",
    "compared-literals",
    "condition",
    "literal-after-name",
    "lone-subquery",
    "second-statement",
    "subquery",
    "unbalanced",
    "union",
    "variable",
  ]),
};

const rank = ({ signals, established }: Finding): number =>
  (signals.length > 0 ? 2 : 0) + (established ? 1 : 0);

/** The same with aggregates: `max ( price )`, `count ( * )`; and the number of a column. */
const areColumns = (words: readonly string[]): boolean =>
  words.every(
    (word, i) =>
      isNames([word]) || (word === "(" && isName(words[i - 1])) || word === ")" || word === LITERAL,
  );

/** Names with commas, dots and directions between them: another list of columns, and no splice. */
const isNames = (words: readonly string[]): boolean =>
  words.every(
    word =>
      (isName(word) && !isOddName(word)) ||
      word === "," ||
      word === "." ||
      word === "*" ||
      word === "asc" ||
      word === "desc",
  );

/** The same list of columns and calls, of other columns. */
const isSameList = (words: readonly string[], list: readonly string[]): boolean =>
  words.length === list.length &&
  words.every((word, i) => {
    const before = list[i]!;
    if (word === before) return true;
    const called = words[i + 1] === "(";
    return isName(before) && isName(word) && !isOddName(word) && !called;
  });

/** The words of the column that a literal is compared with. */
function columnOf(words: readonly string[], { from }: Slot): readonly string[] {
  if (words[from - 1] !== "=") return [];
  let start = from - 1;
  while (isName(words[start - 1]) || words[start - 1] === ".") start--;
  return words.slice(start, from - 1);
}

/** Whether the template names a table besides the slot; what names none says nothing of an application. */
const hasIdentity = (words: readonly string[], { from, to, kind }: Slot): boolean =>
  words[0] !== "explain" &&
  words.some(
    (word, i) =>
      beforeTables.has(word) && isName(words[i + 1]) && (kind === "table" || i + 1 < from || i + 1 >= to),
  );

/**
 * Whether input is known to arrive at a place: a literal that was seen with several values, or a name in whose
 * place several names were seen, or that stands in a template of many uses.
 */
function isEstablished(
  profile: Profile,
  template: Template,
  slot: Slot,
  alike: readonly Splice<Template>[],
  tables = false,
): boolean {
  const family = profile.family(template, { tables });
  const count = family.reduce((sum, one) => sum + one.count, 0);
  if (slot.kind !== "literal") {
    const names = alike.filter(({ template, slot }) => areColumns(template.words.slice(slot.from, slot.to)));
    if (slot.kind === "table" && areNumbered(names)) return true;
    return names.length >= ESTABLISHED_NAMES || (slot.kind === "name" && count >= ESTABLISHED_COUNT);
  }
  let literal = -1;
  for (let i = 0; i <= slot.from; i++) if (template.words[i] === LITERAL) literal++;
  return count >= ESTABLISHED_COUNT && valuesOfAll(family, literal) >= ESTABLISHED_VALUES;
}

/** `visits_2024` and `visits_2025`: a program puts the number there. */
function areNumbered(places: readonly Splice<Template>[]): boolean {
  const names = places.map(({ template, slot }) => template.words.slice(slot.from, slot.to).join(" "));
  const unnumbered = new Set(names.map(name => name.replace(/\d+/g, "0")));
  return names.length > 1 && unnumbered.size === 1;
}
