/**
 * Words that are never a NAME unless quoted: what both servers, or one of them in the place where names stand,
 * reads as part of the grammar. MariaDB 10.11 and PostgreSQL 15.
 */
export const reservedWords: readonly string[] = `
  all alter analyze and any as asc between both by call case cast check collate constraint convert create cross
  database declare default delete desc describe distinct div do drop else end escape except exec execute exists
  explain false fetch for foreign from full grant group having ilike in index inner insert intersect interval into is
  isnull join key lateral leading left like limit lock match mod natural not notnull null offset on only or order
  outer over overlaps partition primary procedure references regexp returning revoke right rlike select set similar
  some table then to trailing true truncate union unique unknown unlock update use using values when where while
  window with xor
`
  .trim()
  .split(/\s+/);

/** Operators that are words. */
export const operatorWords: readonly string[] = ["like", "ilike", "rlike", "regexp", "div", "mod", "xor"];

/** Marks that are, or are part of, operators in both dialects. */
export const operatorMarks = "!%&*+-/<=>^|~";
