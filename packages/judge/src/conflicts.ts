/**
 * Where rule sets that run on one node want different things, and what then holds: what an agent does when it judges by
 * all of them. Said when they are checked together, so that nobody finds out by a statement that was blocked.
 */
import type { CompiledRuleSet, CompiledShape } from "./compile.ts";
import { judge } from "./judge.ts";
import { defaultSession } from "./session.ts";

export type Conflict = {
  /** The two rule sets; the first one's word holds, or where `decided` is false both have the same precedence. */
  ruleSets: [string, string];
  /** What they disagree about, for people. */
  about: string;
  /** What holds. */
  outcome: string;
  /** False: nobody declared who decides; the stricter one does. */
  decided: boolean;
};

const STRICTNESS = ["allow", "observe", "alert", "block"];

/** Every pair once. They are compiled and valid each by itself. */
export function conflictsOf(ruleSets: readonly CompiledRuleSet[]): Conflict[] {
  return ruleSets.flatMap((one, i) =>
    ruleSets.slice(i + 1).flatMap(other => {
      if (one.name === other.name) return []; // Versions of one: a node runs one of them.
      const [high, low] = precedenceOf(one) >= precedenceOf(other) ? [one, other] : [other, one];
      return [
        ...shapes(high, low),
        ...allowedButMet(high, low),
        ...allowedButMet(low, high),
        ...coreActions(high, low),
        ...ids(high, low),
        ...drifts(high, low),
      ];
    }),
  );
}

const precedenceOf = ({ ruleSet }: CompiledRuleSet): number => ruleSet.metadata.precedence;
const isDecided = (one: CompiledRuleSet, other: CompiledRuleSet): boolean =>
  precedenceOf(one) !== precedenceOf(other);
const namesOf = (...sets: [CompiledRuleSet, CompiledRuleSet]): [string, string] => [
  sets[0].name,
  sets[1].name,
];

/** Each names the same shape, and means something else by it. */
function shapes(high: CompiledRuleSet, low: CompiledRuleSet): Conflict[] {
  return high.shapes.flatMap(mine =>
    (low.byShape.get(mine.shapeSha256) ?? [])
      .filter(theirs => theirs.action !== mine.action)
      .map((theirs): Conflict => {
        const decided = isDecided(high, low) && mine.action === "allow";
        const holds = decided ? mine.action : stricter(mine.action, theirs.action);
        return {
          ruleSets: namesOf(high, low),
          about: `${mine.id} would ${mine.action}, ${theirs.id} would ${theirs.action}: ${mine.sql}`,
          outcome: decided ? `${high.name} allows it` : `the stricter stands: ${holds}`,
          decided: decided || isDecided(high, low),
        };
      }),
  );
}

/** A shape that one allows by name and that the other's rules would stop. */
function allowedButMet(one: CompiledRuleSet, other: CompiledRuleSet): Conflict[] {
  const above = precedenceOf(one) > precedenceOf(other);
  return one.shapes.flatMap((shape: CompiledShape) => {
    if (shape.action !== "allow" || other.byShape.has(shape.shapeSha256)) return [];
    const { sql, dialect, id } = shape;
    const met = judge(other, { sql, dialect, session: defaultSession(dialect) });
    if (met.verdict === "benign" || met.stage === "shape") return [];
    const of = `${met.rules.join(", ") || "an unfinished statement"} of ${other.name}`;
    return [
      {
        ruleSets: namesOf(one, other),
        about: `${id} allows what ${of} would ${met.action}: ${sql}`,
        outcome: above ? `${one.name} allows it` : `it is not allowed: ${met.action}`,
        decided: isDecided(one, other),
      },
    ];
  });
}

/** Both include the core pack, and change what one of its rules does. */
function coreActions(high: CompiledRuleSet, low: CompiledRuleSet): Conflict[] {
  return high.rules.flatMap(mine => {
    const theirs = low.byId.get(mine.id);
    if (!mine.core || theirs?.kind === "shape" || !theirs?.core || theirs.action === mine.action) return [];
    return [
      {
        ruleSets: namesOf(high, low),
        about: `the core rule ${mine.id}: ${mine.action} in ${high.name}, ${theirs.action} in ${low.name}`,
        outcome: `the stricter stands: ${stricter(mine.action, theirs.action)}`,
        decided: false,
      },
    ];
  });
}

/** One id for two rules: a detection would name either. */
function ids(high: CompiledRuleSet, low: CompiledRuleSet): Conflict[] {
  const own = ({ byId }: CompiledRuleSet) =>
    [...byId.values()].filter(entry => entry.kind === "shape" || !entry.core).map(({ id }) => id);
  const theirs = new Set(own(low));
  return [...new Set(own(high))]
    .filter(id => theirs.has(id))
    .map(id => ({
      ruleSets: namesOf(high, low),
      about: `both have a rule ${id}`,
      outcome: "a detection that names it does not say whose it is: rename one",
      decided: false,
    }));
}

/** What profiles learn, and what follows, is one rule set's to say. */
function drifts(high: CompiledRuleSet, low: CompiledRuleSet): Conflict[] {
  const tells = ({ settings }: CompiledRuleSet) =>
    [settings, ...settings.profiles]
      .map(({ drift }) => drift)
      .filter(({ mode, locked }) => mode !== "learn" || locked);
  const [mine, theirs] = [tells(high), tells(low)];
  if (mine.length === 0 || theirs.length === 0 || JSON.stringify(mine) === JSON.stringify(theirs)) return [];
  return [
    {
      ruleSets: namesOf(high, low),
      about: "both say what follows where a statement drifts from what was learned (drift)",
      outcome: isDecided(high, low)
        ? `${high.name} decides where it asks for more than to learn, ${low.name} elsewhere`
        : "the first by name decides where it asks for more than to learn",
      decided: isDecided(high, low),
    },
  ];
}

const stricter = (left: string, right: string): string =>
  STRICTNESS.indexOf(left) >= STRICTNESS.indexOf(right) ? left : right;
