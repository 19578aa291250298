/** Nothing yet, not known yet, went wrong, not fresh: each is said, with what to do. */
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError, isForbidden, isUnreachable } from "../api/http.ts";
import { Button } from "./button.tsx";
import { clockTime } from "./clock.ts";
import { Foreign } from "./text.tsx";

export function Loading({ what }: { what: string }) {
  return (
    <div role="status" className="late flex items-end gap-3 py-8 text-soft">
      <span aria-hidden="true" className="fence waiting h-5 w-12">
        {[1, 2, 3, 4, 5].map(i => (
          <i key={i} className="pale pale-observed" />
        ))}
      </span>
      Asking for {what} …
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="max-w-[64ch] py-6">
      <p className="font-semibold">{title}</p>
      {children && <div className="mt-1 flex flex-col gap-3 text-soft">{children}</div>}
    </div>
  );
}

/** Nothing is wrong: it is for others. */
function NotForYou({ error, what }: { error: ApiError; what: string }) {
  return (
    <div className="max-w-[72ch] border-l-4 border-edge bg-sunken px-4 py-3" data-forbidden>
      <p className="font-semibold">You may not see {what}.</p>
      <p className="mt-0.5 text-soft">
        <Foreign>{`${error.message[0]?.toUpperCase()}${error.message.slice(1)}.`}</Foreign>
      </p>
    </div>
  );
}

function explain(error: unknown): { title: string; detail: string; code: string | null } {
  if (!(error instanceof ApiError))
    return {
      title: "This page failed.",
      detail: error instanceof Error ? error.message : String(error),
      code: null,
    };
  const { failure } = error;
  switch (failure.kind) {
    case "unreachable":
      return {
        title: "The control plane does not answer.",
        detail: "Nodes go on judging with what they have. This page tries again by itself.",
        code: null,
      };
    case "refused":
      return {
        title: failure.problem.title,
        detail: failure.problem.detail ?? "",
        code: `${failure.problem.status} ${failure.problem.code}`,
      };
    case "malformed":
      return {
        title: "The answer is not what this page understands.",
        detail: "Page and control plane may be of different versions; load the page again.",
        code: `${failure.path}\n${failure.detail}`,
      };
  }
}

export function Failed({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { title, detail, code } = explain(error);
  return (
    <div role="alert" className="max-w-[72ch] border-l-4 border-danger-fill bg-danger-wash px-4 py-3">
      <p className="font-semibold text-danger">{title}</p>
      {detail && <p className="mt-0.5 text-ink">{detail}</p>}
      {code && <pre className="mt-1 overflow-x-auto text-xs text-soft">{code}</pre>}
      {onRetry && (
        <Button className="mt-3" onClick={onRetry}>
          Try again
        </Button>
      )}
    </div>
  );
}

/** The states of anything asked. Old figures stay on the page and say that they are old; that nothing answers at all
 * is said once, above the page (pages/shell/link-state.tsx). */
export function Asked<T>({
  query,
  what,
  children,
}: {
  query: UseQueryResult<T>;
  what: string;
  children: (data: T) => ReactNode;
}) {
  if (isForbidden(query.error)) return <NotForYou error={query.error} what={what} />;
  if (query.data === undefined)
    return query.isError ? (
      <Failed error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <Loading what={what} />
    );
  return (
    <>
      {query.isError && !isUnreachable(query.error) && (
        <p
          role="status"
          className="mb-4 border-l-4 border-severed-fill bg-severed-wash px-3 py-1.5 text-sm text-ink"
        >
          As of {clockTime(query.dataUpdatedAt)}: {query.error.message}
        </p>
      )}
      {children(query.data)}
    </>
  );
}
