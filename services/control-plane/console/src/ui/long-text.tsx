import { Foreign } from "./text.tsx";

/** A sentence with, below it, the lines that a program wrote: a verifier's, for one. */
export function LongText({ children }: { children: string }) {
  const [first = "", ...lines] = children.split("\n");
  return (
    <>
      <span className="block [overflow-wrap:anywhere]">
        <Foreign>{first}</Foreign>
      </span>
      {lines.length > 0 && (
        <pre className="mt-1 max-h-40 overflow-auto whitespace-pre-wrap text-xs text-soft [overflow-wrap:anywhere]">
          <Foreign>{lines.join("\n")}</Foreign>
        </pre>
      )}
    </>
  );
}

/** Where there is room for a line only. */
export const firstLine = (text: string): string => text.split("\n", 1)[0] ?? "";
