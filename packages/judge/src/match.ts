/**
 * Whether a rule is about a statement: `match:` compiled, asked with what is known of the connection. What is not
 * known makes the answer "unknown", and what follows from that is the judge's to say.
 */
import type { Match, MatchFields } from "@picket/shared/rule-match";
import type { Dialect, Labels } from "@picket/shared/vocabulary";

/** What is known of the connection that a statement came on; undefined is "not known". */
export type Context = {
  /** Always known to who judges. */
  dialect?: Dialect | undefined;
  workload?: string | undefined;
  /** Of the database; in the login packet, so not known of a connection that existed before the agent. */
  user?: string | undefined;
  database?: string | undefined;
  /** Of the workload over those of the node. Left out: not known; one that is missing in it is not there. */
  labels?: Labels | undefined;
};

export type Applies = "yes" | "no" | "unknown";

export type Field = "workload" | "user" | "database" | "labels";

export type CompiledMatch = {
  /** What it asks of: a verdict that turns on these cannot be remembered by the shape alone. */
  fields: readonly Field[];
  applies(context: Context): Applies;
};

type Part = { field: Field | "protocol"; test(context: Context): Applies };

/** The parts of all must fit. */
export function compileMatch(matches: readonly (Match | undefined)[]): CompiledMatch | null {
  const parts = matches.flatMap((match): Part[] => {
    if (!match) return [];
    const { except, ...fields } = match;
    const wanted = partsOf(fields);
    const left = except ? partsOf(except) : [];
    if (left.length === 0) return wanted;
    const excepted = (context: Context) => not(all(left, context));
    return [...wanted, ...left.map(({ field }): Part => ({ field, test: excepted }))];
  });
  if (parts.length === 0) return null;
  return {
    // The protocol is part of every shape.
    fields: [...new Set(parts.flatMap(({ field }) => (field === "protocol" ? [] : field)))],
    applies: context => all(parts, context),
  };
}

/** The dialects that are left of a rule's by the protocols of its matches: it is compiled for these alone. */
export function dialectsOf(
  dialects: readonly Dialect[],
  matches: readonly (Match | undefined)[],
): readonly Dialect[] {
  return matches.reduce((left, match) => {
    if (!match) return left;
    const { protocol } = match;
    return protocol === undefined ? left : left.filter(dialect => listOf(protocol).includes(dialect));
  }, dialects);
}

function partsOf({ protocol, workload, user, database, labels }: MatchFields): Part[] {
  const named = (field: "workload" | "user" | "database", globs: string | string[] | undefined): Part[] =>
    globs === undefined ? [] : [{ field, test: context => fits(globs, context[field]) }];
  return [
    ...(protocol === undefined
      ? []
      : [{ field: "protocol" as const, test: ({ dialect }: Context) => fits(protocol, dialect) }]),
    ...named("workload", workload),
    ...named("user", user),
    ...named("database", database),
    ...Object.entries(labels ?? {}).map(
      ([name, globs]): Part => ({
        field: "labels",
        test: ({ labels: known }) =>
          known === undefined ? "unknown" : Object.hasOwn(known, name) ? fits(globs, known[name]) : "no",
      }),
    ),
  ];
}

function all(parts: readonly Part[], context: Context): Applies {
  let unknown = false;
  for (const { test } of parts) {
    const answer = test(context);
    if (answer === "no") return "no";
    if (answer === "unknown") unknown = true;
  }
  return unknown ? "unknown" : "yes";
}

const not = (answer: Applies): Applies => (answer === "yes" ? "no" : answer === "no" ? "yes" : "unknown");

const listOf = <T>(one: T | readonly T[] | undefined): readonly T[] =>
  one === undefined ? [] : Array.isArray(one) ? one : [one as T];

function fits(globs: string | readonly string[], value: string | undefined): Applies {
  if (value === undefined) return "unknown";
  return listOf(globs).some(glob => globFits(glob, value)) ? "yes" : "no";
}

/** `*` any text, `?` one character. The last star is retried and no other, so the work is bounded by both lengths. */
export function globFits(glob: string, value: string): boolean {
  let [g, v] = [0, 0];
  let star = -1;
  let retry = 0;
  while (v < value.length) {
    if (glob[g] === "*") {
      star = g++;
      retry = v;
    } else if (g < glob.length && (glob[g] === "?" || glob[g] === value[v])) {
      g++;
      v++;
    } else if (star >= 0) {
      g = star + 1;
      v = ++retry;
    } else return false;
  }
  while (glob[g] === "*") g++;
  return g === glob.length;
}
