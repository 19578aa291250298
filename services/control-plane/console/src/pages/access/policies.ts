/** The fleet's own policies, each with its versions. */
import type { Policy } from "@picket/shared/api";

export interface OwnPolicy {
  name: string;
  /** Newest first; the first one holds, unless it is a removal. */
  versions: [Policy, ...Policy[]];
}

/** Those that hold first; by name. */
export function ownPolicies(history: readonly Policy[]): OwnPolicy[] {
  const found = new Map<string, OwnPolicy>();
  for (const version of history.toSorted((a, b) => b.version - a.version)) {
    const known = found.get(version.name);
    if (known) known.versions.push(version);
    else found.set(version.name, { name: version.name, versions: [version] });
  }
  return [...found.values()].sort(
    (a, b) => Number(isRemoved(a)) - Number(isRemoved(b)) || a.name.localeCompare(b.name),
  );
}

export const isRemoved = ({ versions: [newest] }: OwnPolicy): boolean => newest.text === null;
