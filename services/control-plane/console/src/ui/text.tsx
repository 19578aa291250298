import { oddParts } from "./text-parts.ts";

/** Never markup; what would be invisible is named instead. */
export function Foreign({ children }: { children: string }) {
  const parts = oddParts(children);
  if (parts.every(part => !part.odd)) return <bdi>{children}</bdi>;
  return (
    <bdi>
      {parts.map((part, i) =>
        part.odd ? (
          <span key={i} className="sql-odd">
            {part.text}
          </span>
        ) : (
          part.text
        ),
      )}
    </bdi>
  );
}
