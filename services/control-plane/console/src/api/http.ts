/**
 * Every call to the control plane: same origin, session cookie, answers parsed by the shared schemas. What can
 * go wrong has three names, so that a page can say which it was: the control plane could not be reached, it
 * refused with a problem (RFC 9457), or its answer is not what this page understands.
 */
import { Problem } from "@picket/shared/contract";
import { z } from "zod";

export type Failure =
  | { kind: "unreachable" }
  | { kind: "refused"; problem: Problem }
  | { kind: "malformed"; path: string; detail: string };

export class ApiError extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(summary(failure));
    this.name = "ApiError";
    this.failure = failure;
  }
}

function summary(failure: Failure): string {
  switch (failure.kind) {
    case "unreachable":
      return "The control plane does not answer.";
    case "refused":
      return failure.problem.detail ?? failure.problem.title;
    case "malformed":
      return `The answer to ${failure.path} is not what this page understands.`;
  }
}

export function isSignedOut(error: unknown): boolean {
  return (
    error instanceof ApiError && error.failure.kind === "refused" && error.failure.problem.status === 401
  );
}

/** Signed in, and not for this person: asking again changes nothing until a role or a scope does. */
export function isForbidden(error: unknown): error is ApiError {
  return (
    error instanceof ApiError && error.failure.kind === "refused" && error.failure.problem.status === 403
  );
}

export function isUnreachable(error: unknown): boolean {
  return error instanceof ApiError && error.failure.kind === "unreachable";
}

/** A gateway or proxy in front may answer without a problem document. */
async function problemOf(response: Response): Promise<Problem> {
  const parsed = Problem.safeParse(await response.json().catch(() => null));
  if (parsed.success) return parsed.data;
  return {
    type: "about:blank",
    title: response.statusText || `HTTP ${response.status}`,
    status: response.status,
    code: `http-${response.status}`,
  };
}

async function send(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      credentials: "same-origin",
      ...(signal && { signal }),
      ...(method !== "GET" && {
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body ?? {}),
      }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError({ kind: "unreachable" });
  }
  if (!response.ok) throw new ApiError({ kind: "refused", problem: await problemOf(response) });
  return response;
}

export async function get<T extends z.ZodType>(
  path: string,
  schema: T,
  signal?: AbortSignal,
): Promise<z.infer<T>> {
  const response = await send("GET", path, undefined, signal);
  const parsed = schema.safeParse(await response.json().catch(() => undefined));
  if (parsed.success) return parsed.data;
  throw new ApiError({ kind: "malformed", path, detail: z.prettifyError(parsed.error) });
}

/** For changes: their answers are not read, the queries that show them are asked again. */
export async function change(method: "POST" | "DELETE", path: string, body?: unknown): Promise<void> {
  await send(method, path, body);
}

/** All pages of a list up to a bound, and whether that was everything: a figure made of it can say so. */
export async function list<T extends z.ZodType>(
  path: string,
  item: T,
  { signal, itemsMax = 2_000 }: { signal?: AbortSignal; itemsMax?: number } = {},
): Promise<{ items: z.infer<T>[]; complete: boolean }> {
  const page = z.object({ items: z.array(item), nextCursor: z.string().nullable() });
  const items: z.infer<T>[] = [];
  let cursor: string | null = null;
  do {
    const url = new URL(path, location.origin);
    url.searchParams.set("limit", "200");
    if (cursor !== null) url.searchParams.set("cursor", cursor);
    const answer: z.infer<typeof page> = await get(`${url.pathname}${url.search}`, page, signal);
    items.push(...answer.items);
    // A server that ignores the cursor would be asked for ever.
    cursor = answer.nextCursor === cursor ? null : answer.nextCursor;
  } while (cursor !== null && items.length < itemsMax);
  return { items, complete: cursor === null };
}
