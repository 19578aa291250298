import { useState } from "react";

/** A command to run on a host, as it is to be typed. */
export function Command({ children }: { children: string }) {
  const [copied, setCopied] = useState<string | null>(null);
  // Only over HTTPS and on loopback has a page a clipboard.
  const clipboard: Clipboard | undefined = navigator.clipboard;
  return (
    <div className="flex items-start gap-2 rounded-md border border-line bg-sunken text-sm text-ink">
      <pre className="min-w-0 flex-1 whitespace-pre-wrap px-3 py-2 [overflow-wrap:anywhere]">
        <code>{children}</code>
      </pre>
      {clipboard && (
        <button
          type="button"
          aria-label={`Copy: ${children}`}
          className="px-3 py-2 text-xs text-soft underline decoration-edge underline-offset-3 hover:text-ink"
          onClick={() =>
            clipboard.writeText(children).then(
              () => setCopied(children),
              () => setCopied(null),
            )
          }
        >
          {copied === children ? "Copied" : "Copy"}
        </button>
      )}
      <span role="status" className="sr-only">
        {copied === children ? "Copied" : ""}
      </span>
    </div>
  );
}
