/**
 * Variables become comparisons at a fixed distance: `$a = $a` is a token, `=`, and a token that equals the one
 * two before. So a pattern never has to remember anything. What stands between the first and the last use is
 * written out as all its ways, which all have a fixed length.
 */
import { type Node, PatternProblem } from "./pattern.ts";

const waysMax = 64;
const distanceMax = 7;

type Step = Extract<Node, { kind: "token" | "variable" }>;

export function resolveVariables(node: Node): Node {
  switch (node.kind) {
    case "token":
    case "gap":
      return node;
    case "variable":
      if (node.differs)
        throw new PatternProblem(node.column, `"!$${node.name}" comes before any $${node.name}`);
      return { kind: "token", atoms: node.atoms, negated: false };
    case "choice":
      return { kind: "choice", options: node.options.map(resolveVariables) };
    case "sequence":
      return resolveSequence(node.items);
  }
}

function resolveSequence(items: Node[]): Node {
  const uses = items.flatMap((item, index) => (firstVariable(item) ? [index] : []));
  const [from, to] = [uses[0], uses.at(-1)];
  if (from === undefined || to === undefined || from === to)
    return { kind: "sequence", items: items.map(resolveVariables) };
  const column = firstVariable(items[from]!)?.column ?? 1;
  const options = ways(items.slice(from, to + 1), column).map(
    (steps): Node => ({ kind: "sequence", items: compareSteps(steps) }),
  );
  return {
    kind: "sequence",
    items: [
      ...items.slice(0, from).map(resolveVariables),
      { kind: "choice", options },
      ...items.slice(to + 1).map(resolveVariables),
    ],
  };
}

function firstVariable(node: Node): Extract<Node, { kind: "variable" }> | undefined {
  switch (node.kind) {
    case "variable":
      return node;
    case "token":
    case "gap":
      return undefined;
    case "sequence":
      return node.items.map(firstVariable).find(Boolean);
    case "choice":
      return node.options.map(firstVariable).find(Boolean);
  }
}

/** Every way through the items, as lists of single tokens. */
function ways(items: Node[], column: number): Step[][] {
  let all: Step[][] = [[]];
  for (const item of items) {
    const more = waysOf(item, column);
    all = all.flatMap(way => more.map(rest => [...way, ...rest]));
    if (all.length > waysMax)
      throw new PatternProblem(column, `more than ${waysMax} ways lead from this variable to its last use`);
  }
  return all;
}

function waysOf(node: Node, column: number): Step[][] {
  switch (node.kind) {
    case "token":
      if (node.atoms.some(atom => atom.kind === "metaclass" && /COMMENT|START|END/.test(atom.metaclass)))
        throw new PatternProblem(column, "COMMENT, START and END cannot stand between uses of variables");
      if (
        node.atoms.some(atom => atom.kind === "metaclass" && atom.metaclass === "OPERATOR") &&
        !node.negated
      )
        return [[node], [node, node], [node, node, node]];
      return [[node]];
    case "variable":
      return [[node]];
    case "sequence":
      return ways(node.items, column);
    case "choice":
      return node.options.flatMap(option => waysOf(option, column));
    case "gap":
      throw new PatternProblem(column, "a gap cannot stand between uses of variables");
  }
}

function compareSteps(steps: Step[]): Node[] {
  const seen = new Map<string, number>();
  return steps.map((step, index): Node => {
    if (step.kind === "token") return { ...step, exact: true };
    const before = seen.get(step.name);
    if (before === undefined) {
      if (step.differs)
        throw new PatternProblem(step.column, `"!$${step.name}" comes before any $${step.name}`);
      seen.set(step.name, index);
      return { kind: "token", atoms: step.atoms, negated: false };
    }
    if (index - before > distanceMax)
      throw new PatternProblem(
        step.column,
        `uses of $${step.name} are more than ${distanceMax} tokens apart`,
      );
    return {
      kind: "token",
      atoms: step.atoms,
      negated: false,
      compare: { distance: index - before, differs: step.differs },
    };
  });
}
