/** An offered profile as a reviewer reads it: what is new first, then what grew, then what only the signed one holds, then the rest;
 * and the commands that make of it what is signed. Signing needs the offline key, so it is not done here. */
import type { ProfileOfferDetails, ProfileOfferRow, SignedProfileRow } from "@picket/shared/api";
import type { TemplateExport } from "@picket/shared/profile";

export type Reviewed = {
  state: "new" | "changed" | "missing" | "in-force";
  template: TemplateExport;
};

/** Those that a rule matched come first among their like: a person has to accept them. */
export function reviewed({ profile, added, changed, missing }: ProfileOfferDetails): Reviewed[] {
  const isNew = new Set(added);
  const grew = new Set(changed);
  const rows: Reviewed[] = profile.templates.map((template, at) => ({
    state: isNew.has(at) ? "new" : grew.has(at) ? "changed" : "in-force",
    template,
  }));
  const order = { new: 0, changed: 1, missing: 2, "in-force": 3 };
  return [...rows, ...missing.map(template => ({ state: "missing" as const, template }))].sort(
    (a, b) =>
      order[a.state] - order[b.state] ||
      b.template.rules.length - a.template.rules.length ||
      b.template.count - a.template.count,
  );
}

/** Tokens are kept apart by a line feed; for a reader by a blank. */
export const statementOf = ({ words }: TemplateExport): string => words.replaceAll("\n", " ");

/** A shape to name the template by; null: it has none, so `--remove` cannot name it. */
export const handleOf = ({ shapes }: TemplateExport): string | null => shapes[0]?.slice(0, 16) ?? null;

/** Workloads are named by hosts: what a shell could read as more than a name is left out. */
export function fileOf(workload: string): string {
  const name = workload.replaceAll(/[^\w.-]+/g, "-").replace(/^[.-]+/, "");
  return name === "" ? "profile" : name.slice(0, 80);
}

export function commandsOf(
  { id, workload, inForce }: Pick<ProfileOfferDetails, "id" | "workload" | "inForce">,
  left: readonly string[],
): { review: string; sign: string; push: string } {
  const file = fileOf(workload);
  const remove = left.map(shape => ` --remove ${shape}`).join("");
  return {
    review: `picket profiles review ${id}${remove} --out ${file}.json`,
    sign: `picket profiles sign ${file}.json --version ${(inForce ?? 0) + 1}`,
    push: `picket profiles push ${file}.signed.json`,
  };
}

type Named = Pick<ProfileOfferRow, "workload" | "databaseUser" | "database">;

const keyOf = ({ workload, databaseUser, database }: Named): string =>
  JSON.stringify([workload, databaseUser, database]);

/** The newest of each workload, database user and database. */
export function newest(signed: readonly SignedProfileRow[]): Map<string, SignedProfileRow> {
  const found = new Map<string, SignedProfileRow>();
  for (const row of signed) {
    const key = keyOf(row);
    if (row.version > (found.get(key)?.version ?? 0)) found.set(key, row);
  }
  return found;
}

export const inForceFor = (row: Named, signed: Map<string, SignedProfileRow>): SignedProfileRow | undefined =>
  signed.get(keyOf(row));
