/**
 * The control plane's HTTP interface as the CLI uses it. Answers are parsed with the contract's own schemas: a
 * server of another version is named as such, instead of failing three lines later. Refusals become coded
 * errors in one place.
 */
import { page } from "@picket/shared/api";
import { Problem } from "@picket/shared/contract";
import type { z } from "zod";
import { CliError, type ExitName, problemText } from "./errors.ts";
import { type ServerEvent, serverEvents } from "./sse.ts";

/** More than the control plane takes to answer, which is a minute for a rollout of a large fleet. */
const TIMEOUT_MS = 70_000;
const PAGE = 200;

export type Method = "GET" | "POST" | "PUT" | "DELETE";

export type Request<T extends z.ZodType> = {
  method?: Method;
  path: string;
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  /** Sent as it is, instead of JSON. */
  bytes?: Uint8Array;
  answer: T;
};

export type Client = {
  url: string;
  request<T extends z.ZodType>(request: Request<T>): Promise<z.infer<T>>;
  /** All pages of a list, up to `most` items. */
  list<T extends z.ZodType>(
    request: Omit<Request<T>, "answer" | "body"> & { item: T; most?: number },
  ): Promise<z.infer<T>[]>;
  /** An endless stream; ends when the server closes it. */
  events(request: {
    path: string;
    query?: Request<z.ZodType>["query"];
    lastEventId?: string;
    signal?: AbortSignal;
  }): AsyncGenerator<ServerEvent>;
};

/** Without a token: for what anybody may ask. */
export function createClient({ url, token }: { url: string; token: string | null }): Client {
  const send = async (
    { method = "GET", path, query, body, bytes }: Omit<Request<z.ZodType>, "answer">,
    options: { headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<Response> => {
    const target = new URL(`${url.replace(/\/+$/, "")}${path}`);
    for (const [key, value] of Object.entries(query ?? {}))
      if (value !== undefined) target.searchParams.set(key, String(value));
    const content = bytes ?? (body === undefined ? undefined : JSON.stringify(body));
    let response: Response;
    try {
      response = await fetch(target, {
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          accept: "application/json",
          "user-agent": "picket-cli",
          ...(content === undefined
            ? {}
            : { "content-type": bytes ? "application/octet-stream" : "application/json" }),
          ...options.headers,
        },
        ...(content === undefined ? {} : { body: content as RequestInit["body"] & {} }),
        signal: options.signal ?? AbortSignal.timeout(TIMEOUT_MS),
        redirect: "error",
      });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw unreachable(url, error);
    }
    if (!response.ok) throw await refusal(url, response);
    return response;
  };

  const request: Client["request"] = async wanted => {
    const response = await send(wanted);
    const text = await response.text().catch(error => {
      throw unreachable(url, error);
    });
    let value: unknown;
    try {
      value = text === "" ? undefined : JSON.parse(text);
    } catch {
      throw mismatch(url, wanted.path, "the answer is not JSON");
    }
    const parsed = wanted.answer.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw mismatch(url, wanted.path, `${issue?.path.join(".") || "the answer"}: ${issue?.message}`);
    }
    return parsed.data;
  };

  return {
    url,
    request,
    async list({ item, most = 10_000, ...wanted }) {
      const items: z.infer<typeof item>[] = [];
      let cursor: string | undefined;
      do {
        const answer = await request({
          ...wanted,
          query: { ...wanted.query, limit: Math.min(PAGE, most - items.length), cursor },
          answer: page(item),
        });
        items.push(...(answer.items as z.infer<typeof item>[]));
        // A server that ignores the cursor would be asked for ever.
        cursor = answer.nextCursor === cursor ? undefined : (answer.nextCursor ?? undefined);
      } while (cursor !== undefined && items.length < most);
      return items.slice(0, most);
    },
    async *events({ path, query, lastEventId, signal }) {
      const response = await send(
        { path, ...(query ? { query } : {}) },
        {
          headers: {
            accept: "text/event-stream",
            ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
          },
          signal: signal ?? new AbortController().signal,
        },
      );
      if (response.body === null) return;
      yield* serverEvents(response.body);
    },
  };
}

function unreachable(url: string, error: unknown): CliError {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  const why =
    (error as Error).name === "TimeoutError"
      ? `no answer within ${TIMEOUT_MS / 1_000} s`
      : (cause?.code ?? cause?.message ?? (error as Error).message);
  return new CliError(
    "unreachable",
    "unreachable",
    `the control plane at ${url} cannot be reached: ${why}`,
    "is it running (`picket up`), and is the address right (`picket login <url>`, PICKET_URL; after `picket logout` root uses the one that `npm start` runs on this host)?",
  );
}

function mismatch(url: string, path: string, detail: string): CliError {
  return new CliError(
    "failed",
    "unexpected-answer",
    `${url}${path} answered in a form that this version of picket does not know (${detail})`,
    "use the `picket` command of the control plane's own version",
  );
}

async function refusal(url: string, response: Response): Promise<CliError> {
  const parsed = Problem.safeParse(await response.json().catch(() => null));
  const problem = parsed.success ? parsed.data : null;
  const { exit, hint } = meaning(response.status);
  const said = problem ? problemText(problem) : response.statusText;
  return new CliError(
    exit,
    problem?.code ?? `http-${response.status}`,
    said || `${url} answered ${response.status}`,
    hint,
  );
}

function meaning(status: number): { exit: ExitName; hint: string | null } {
  if (status === 401)
    return {
      exit: "refused",
      hint: "the token is unknown or expired: run `picket login <url>` again, or `picket logout` to forget it",
    };
  if (status === 403)
    return { exit: "refused", hint: "this token's role does not allow it: `picket whoami`" };
  if (status === 404) return { exit: "not-found", hint: null };
  if (status === 409 || status === 412) return { exit: "conflict", hint: null };
  if (status === 502 || status === 503 || status === 504)
    return {
      exit: "unreachable",
      hint: "the control plane is up, but a part it needs is not: try again soon",
    };
  if (status === 429) return { exit: "unreachable", hint: "too many requests: try again soon" };
  return { exit: "failed", hint: null };
}
