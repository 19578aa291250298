// The two versions of the demo's rule set. Version 1 only reports; version 2 blocks the same attacks.

const HEAD = `apiVersion: picket/v1
kind: RuleSet
metadata:
  name: shop
`;

/** Every core rule that would block is turned down to an alert. */
export function versionThatReports(coreRules: { id: string; action: string }[]): string {
  const blocking = coreRules.filter(({ action }) => action === "block");
  const overrides = blocking.map(({ id }) => `    ${id}: alert\n`).join("");
  return `${HEAD}  description: Version 1 looks and reports
spec:
  core: true
${overrides === "" ? "" : `  overrides:\n${overrides}`}`;
}

/** Every core rule blocks, the ones that only alert by themselves as well. */
export function versionThatBlocks(coreRules: { id: string; action: string }[]): string {
  const others = coreRules.filter(({ action }) => action !== "block");
  const overrides = others.map(({ id }) => `    ${id}: block\n`).join("");
  return `${HEAD}  description: Version 2 blocks what version 1 reported
spec:
  core: true
${overrides === "" ? "" : `  overrides:\n${overrides}`}`;
}
