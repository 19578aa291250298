/**
 * Glushkov's construction: each element that takes one token is a position, and what may follow is read off the
 * tree. A gap is an item of its own in the construction, and at the end becomes a latch: what follows it may come
 * at any later token of the statement.
 */
import type { Compare, Node } from "./pattern.ts";
import type { Symbols } from "./symbols.ts";

export interface Position {
  accepts: Set<number>;
  compare: Compare | undefined;
  follow: Set<Position>;
  /** Latches that are open after this position. */
  opens: Set<Latch>;
  last: boolean;
}

export interface Latch {
  follow: Set<Position>;
}

export interface Automaton {
  /** Where a match may begin. */
  first: Set<Position>;
  positions: Position[];
  latches: Latch[];
}

interface Item {
  position: Position | undefined; // undefined: a gap
  follow: Set<Item>;
}

interface Part {
  nullable: boolean;
  first: Set<Item>;
  last: Set<Item>;
}

const union = <T>(sets: Iterable<Set<T>>): Set<T> => {
  const all = new Set<T>();
  for (const set of sets) for (const value of set) all.add(value);
  return all;
};

export function automatonOf(tree: Node, symbols: Symbols): Automaton | { problem: string } {
  const items: Item[] = [];

  function item(position: Position | undefined): Part & { item: Item } {
    const made: Item = { position, follow: new Set() };
    items.push(made);
    return { item: made, nullable: false, first: new Set([made]), last: new Set([made]) };
  }

  function token(accepts: Iterable<number>, compare: Compare | undefined): Part {
    return item({ accepts: new Set(accepts), compare, follow: new Set(), opens: new Set(), last: false });
  }

  function sequence(parts: Part[]): Part {
    return parts.reduce<Part>(
      (left, right) => {
        for (const end of left.last) for (const begin of right.first) end.follow.add(begin);
        return {
          nullable: left.nullable && right.nullable,
          first: left.nullable ? union([left.first, right.first]) : left.first,
          last: right.nullable ? union([left.last, right.last]) : right.last,
        };
      },
      { nullable: true, first: new Set(), last: new Set() },
    );
  }

  const optional = (part: Part): Part => ({ ...part, nullable: true });

  /** At most `max` of them, nested so that the edges grow with max and not with its square. */
  function upTo(max: number, make: () => Part): Part {
    let part = optional(make());
    for (let i = 1; i < max; i++) part = optional(sequence([make(), part]));
    return part;
  }

  function build(node: Node): Part {
    switch (node.kind) {
      case "token": {
        const named = new Set(node.atoms.flatMap(atom => symbols.of(atom)));
        if (node.negated)
          return token(
            symbols.tokens.filter(symbol => !named.has(symbol)),
            node.compare,
          );
        const operator =
          node.atoms.length === 1 &&
          node.atoms[0]?.kind === "metaclass" &&
          node.atoms[0].metaclass === "OPERATOR";
        if (!operator || node.exact) return token(named, node.compare);
        return sequence([token(named, undefined), upTo(2, () => token(named, undefined))]);
      }
      case "sequence":
        return sequence(node.items.map(build));
      case "choice": {
        const parts = node.options.map(build);
        return {
          nullable: parts.some(part => part.nullable),
          first: union(parts.map(part => part.first)),
          last: union(parts.map(part => part.last)),
        };
      }
      case "gap": {
        if (node.max !== undefined) return upTo(node.max, () => token(symbols.tokens, undefined));
        const gap = item(undefined);
        gap.item.follow.add(gap.item);
        return optional(gap);
      }
      case "variable":
        throw new Error("variables are resolved before");
    }
  }

  const whole = build(tree);
  if (whole.nullable) return { problem: "the pattern may be empty, so it would match everything" };
  if ([...whole.last].some(({ position }) => !position))
    return { problem: "a pattern cannot end with a gap" };
  for (const { position } of whole.last) position!.last = true;

  const latchOf = new Map<Item, Latch>();
  for (const gap of items) if (!gap.position) latchOf.set(gap, { follow: new Set() });
  const reach = (from: Set<Item>, seen = new Set<Item>()): { positions: Set<Position>; gaps: Set<Item> } => {
    const positions = new Set<Position>();
    for (const to of from) {
      if (to.position) positions.add(to.position);
      else if (!seen.has(to)) {
        seen.add(to);
        for (const position of reach(to.follow, seen).positions) positions.add(position);
      }
    }
    return { positions, gaps: seen };
  };
  for (const [gap, latch] of latchOf) latch.follow = reach(gap.follow).positions;
  for (const { position, follow } of items) {
    if (!position) continue;
    const { positions, gaps } = reach(follow);
    const latched = union([...gaps].map(gap => latchOf.get(gap)!.follow));
    position.opens = new Set([...gaps].map(gap => latchOf.get(gap)!));
    // A latch that is open takes them anyway.
    position.follow = new Set([...positions].filter(to => !latched.has(to)));
  }
  return {
    first: reach(whole.first).positions,
    positions: items.flatMap(({ position }) => position ?? []),
    latches: [...latchOf.values()],
  };
}
