import { useMemo } from "react";
import { sqlParts } from "./sql-tokens.ts";
import { Foreign } from "./text.tsx";

/** A statement as code, its literals already redacted on the node. */
export function Sql({ sql, block = false }: { sql: string; block?: boolean }) {
  const parts = useMemo(() => sqlParts(sql), [sql]);
  const code = (
    <code>
      {parts.map((part, i) =>
        part.kind === "text" ? (
          <Foreign key={i}>{part.text}</Foreign>
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
