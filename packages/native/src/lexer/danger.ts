/** Names of `enum sql_danger`, by bit. */
export const dangerNames = [
  "union",
  "second-statement",
  "comment",
  "delay",
  "file",
  "catalogue",
  "literal-comparison",
  "code",
  "ambiguous",
  "unterminated",
  "malformed-number",
  "error-function",
  "session",
] as const;

export type DangerName = (typeof dangerNames)[number];

export const dangerOf = (mask: number): DangerName[] => dangerNames.filter((_, bit) => mask & (1 << bit));
