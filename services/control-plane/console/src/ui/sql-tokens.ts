/**
 * Cuts redacted SQL for display only: the judgement is the node's, this never claims one. Unknown characters are
 * kept as they are; joining the parts gives the text back.
 */
export type SqlPart = { kind: "keyword" | "hole" | "comment" | "end" | "text"; text: string };

const KEYWORDS = new Set(
  "ALL ALTER ANALYZE AND AS ASC BEGIN BETWEEN BY CALL CASE CAST COMMIT COPY CREATE CROSS DATABASE DELETE DESC DESCRIBE DISTINCT DO DROP ELSE END EXCEPT EXECUTE EXISTS EXPLAIN FETCH FOR FROM FULL FUNCTION GRANT GROUP HAVING IF IN INDEX INNER INSERT INTERSECT INTO IS JOIN LEFT LIKE LIMIT LOAD LOCK NOT NULL OFFSET ON OR ORDER OUTER OUTFILE OVER PARTITION PREPARE PROCEDURE REPLACE RETURNING REVOKE RIGHT ROLLBACK SELECT SET SHOW TABLE THEN TO TRUNCATE UNION UPDATE USE USING VALUES VIEW WHEN WHERE WINDOW WITH XOR".split(
    " ",
  ),
);

const PART =
  /(?<comment>--[^\n]*|#[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<hole>'(?:[^']|'')*'?|\$\d+|\?|\b\d[\w.]*)|(?<quoted>"[^"]*"?|`[^`]*`?)|(?<word>[A-Za-z_][\w$]*)|(?<end>;)/g;

export function sqlParts(sql: string): SqlPart[] {
  const parts: SqlPart[] = [];
  let at = 0;
  for (const match of sql.matchAll(PART)) {
    if (match.index > at) parts.push({ kind: "text", text: sql.slice(at, match.index) });
    const { comment, hole, word, end } = match.groups ?? {};
    const text = match[0];
    const kind =
      comment !== undefined
        ? "comment"
        : hole !== undefined
          ? "hole"
          : end !== undefined
            ? "end"
            : word !== undefined && KEYWORDS.has(word.toUpperCase())
              ? "keyword"
              : "text";
    parts.push({ kind, text });
    at = match.index + text.length;
  }
  if (at < sql.length) parts.push({ kind: "text", text: sql.slice(at) });
  return parts;
}
