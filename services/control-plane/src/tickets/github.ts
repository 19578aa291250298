/**
 * GitHub Issues as a tracker (REST, version 2022-11-28). GitHub has no idempotent create, so each issue carries a
 * hidden marker naming its cause, and is looked for by it before one is made. The search index lags behind, so the
 * newest labelled issues are listed, too.
 */
import { createHash } from "node:crypto";
import { err, ok, type Result } from "@picket/shared/result";
import { z } from "zod";

const Issue = z.object({
  number: z.int(),
  html_url: z.string(),
  state: z.enum(["open", "closed"]),
  body: z.string().nullish(),
});
type Issue = z.infer<typeof Issue>;

export interface TrackerIssue {
  number: number;
  url: string;
  state: "open" | "closed";
}

export interface TrackerError {
  detail: string;
  retryAfterMs: number | null;
}

type Answer<T> = Promise<Result<T, TrackerError>>;

const LABEL = "picket";
const TIMEOUT_MS = 15_000;

/** A causal key may hold anything, `-->` included; its digest names it as well. */
export const markerOf = (causalKey: string): string =>
  `<!-- picket:cause=${createHash("sha256").update(causalKey).digest("hex").slice(0, 32)} -->`;

const shown = ({ number, html_url, state }: Issue): TrackerIssue => ({ number, url: html_url, state });

export function connectGitHub({
  api,
  repo,
  token,
}: {
  api: string;
  repo: string;
  token: string | undefined;
}) {
  const base = api.replace(/\/+$/, "");

  async function call<T extends z.ZodType>(
    method: "GET" | "POST" | "PATCH",
    path: string,
    answer: T,
    body?: unknown,
  ): Answer<z.infer<T>> {
    try {
      const response = await fetch(`${base}${path}`, {
        method,
        redirect: "error",
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: {
          accept: "application/vnd.github+json",
          "x-github-api-version": "2022-11-28",
          "user-agent": "picket/0.1",
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { "content-type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok)
        return err({
          detail: `${method} ${path}: ${response.status} ${messageOf(text)}`,
          ...after(response),
        });
      const parsed = answer.safeParse(JSON.parse(text));
      return parsed.success
        ? ok(parsed.data)
        : err({ detail: `${method} ${path}: the answer is not GitHub's`, retryAfterMs: null });
    } catch (error) {
      return err({ detail: `${method} ${path}: ${reason(error)}`, retryAfterMs: null });
    }
  }

  return {
    /** The issue of this cause, open or closed; null when there is none. */
    async find(causalKey: string): Answer<TrackerIssue | null> {
      const marker = markerOf(causalKey);
      const query = new URLSearchParams({
        q: `"${marker.slice(5, -4)}" repo:${repo} in:body is:issue`,
        per_page: "10",
      });
      const searched = await call("GET", `/search/issues?${query}`, z.object({ items: z.array(Issue) }));
      if (!searched.ok) return searched;
      const hit = searched.value.items.find(issue => issue.body?.includes(marker));
      if (hit) return ok(shown(hit));
      const listed = await call(
        "GET",
        `/repos/${repo}/issues?state=all&labels=${LABEL}&sort=created&direction=desc&per_page=100`,
        z.array(Issue),
      );
      if (!listed.ok) return listed;
      const recent = listed.value.find(issue => issue.body?.includes(marker));
      return ok(recent ? shown(recent) : null);
    },

    async create(causalKey: string, { title, body }: { title: string; body: string }): Answer<TrackerIssue> {
      const made = await call("POST", `/repos/${repo}/issues`, Issue, {
        title,
        body: `${body}\n\n${markerOf(causalKey)}`,
        labels: [LABEL],
      });
      return made.ok ? ok(shown(made.value)) : made;
    },

    async comment(number: number, body: string): Answer<null> {
      const made = await call("POST", `/repos/${repo}/issues/${number}/comments`, z.object({}), { body });
      return made.ok ? ok(null) : made;
    },

    async setState(number: number, state: "open" | "closed"): Answer<TrackerIssue> {
      const changed = await call("PATCH", `/repos/${repo}/issues/${number}`, Issue, {
        state,
        state_reason: state === "closed" ? "completed" : "reopened",
      });
      return changed.ok ? ok(shown(changed.value)) : changed;
    },
  };
}

function messageOf(text: string): string {
  try {
    return String((JSON.parse(text) as { message?: unknown }).message ?? "").slice(0, 200);
  } catch {
    return "";
  }
}

function reason(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

function after(response: Response): { retryAfterMs: number | null } {
  const seconds = Number(response.headers.get("retry-after"));
  return { retryAfterMs: seconds > 0 ? Math.min(seconds, 3_600) * 1_000 : null };
}
