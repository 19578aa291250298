import { useMemo } from "react";
import { marked, type Span, sqlParts } from "./sql-tokens.ts";
import { Foreign } from "./text.tsx";

/** A statement as code, its literals already redacted on the node. */
export function Sql({
  sql,
  block = false,
  marks,
}: {
  sql: string;
  block?: boolean;
  /** Characters that are guilty. */
  marks?: readonly Span[];
}) {
  const parts = useMemo(() => marked(sqlParts(sql), marks ?? []), [sql, marks]);
  const code = (
    <code>
      {parts.map((part, i) =>
        part.kind === "text" && !part.guilty ? (
          <Foreign key={i}>{part.text}</Foreign>
        ) : part.guilty ? (
          <mark key={i} className={`sql-guilty sql-${part.kind}`}>
            <Foreign>{part.text}</Foreign>
          </mark>
        ) : (
          <span key={i} className={`sql-${part.kind}`}>
            <Foreign>{part.text}</Foreign>
          </span>
        ),
      )}
    </code>
  );
  if (!block) return code;
  return (
    <pre className="overflow-x-auto whitespace-pre-wrap rounded-md border border-line bg-sheet px-3 py-2 text-sm [overflow-wrap:anywhere]">
      {code}
    </pre>
  );
}
