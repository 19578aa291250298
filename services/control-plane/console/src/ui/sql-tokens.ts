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

/** Characters [start, end). */
export type Span = { start: number; end: number };

export type MarkedPart = SqlPart & { guilty: boolean };

/** Cuts the parts where a mark begins or ends. Marks may overlap, and may reach beyond the text. */
export function marked(parts: readonly SqlPart[], marks: readonly Span[]): MarkedPart[] {
  const result: MarkedPart[] = [];
  let at = 0;
  for (const { kind, text } of parts) {
    const end = at + text.length;
    const cuts = marks.flatMap(mark => [mark.start, mark.end]).filter(cut => cut > at && cut < end);
    const edges = [...new Set([at, ...cuts.toSorted((a, b) => a - b), end])];
    for (const [i, from] of edges.slice(0, -1).entries()) {
      const to = edges[i + 1]!;
      const guilty = marks.some(mark => mark.start <= from && to <= mark.end);
      result.push({ kind, text: text.slice(from - at, to - at), guilty });
    }
    at = end;
  }
  return result;
}
