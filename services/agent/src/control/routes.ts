/**
 * The routes of packages/shared/src/control-socket.ts. A table and not a framework: one that speaks the fetch API
 * makes Node load its own, which was measured at 5 MB of resident memory, for a dozen routes on a UNIX socket. Every
 * change is audited before it takes effect; what is refused says why and what to do.
 */

import { JoinRequest, VerdictRequest, WorkloadRequest } from "@picket/shared/control-socket";
import type { ProfileIdentity } from "@picket/shared/profile";
import { z } from "zod";
import { type RefusalCode, Refused } from "../refusal.ts";
import type { AuditEntry } from "./audit.ts";
import type { Control } from "./control.ts";

export type Handler = (request: {
  method: string;
  /** With its query. */
  path: string;
  body: string;
  signal: AbortSignal;
}) => Promise<{ status: number; contentType: string; body: string }>;

/** What a route is given: the rest of its path, the query and the body. */
type Asked = { rest: string; query: URLSearchParams; body: string; signal: AbortSignal };
type Route = (asked: Asked) => Promise<unknown> | unknown;

const STATUS: Record<RefusalCode, number> = {
  invalid: 400,
  "not-found": 404,
  conflict: 409,
  "outside-cgroup": 409,
  "too-many": 429,
  "not-enrolled": 409,
  "already-enrolled": 409,
  "enrolment-refused": 403,
  "control-plane-away": 502,
  "never-known": 422,
  "not-ready": 503,
};

const WAIT_S_MAX = 60;

export function controlRoutes(control: Control, audit: (entry: Omit<AuditEntry, "at">) => void): Handler {
  /** By method and path; a path that ends in "/" takes an id after it. */
  const routes: Record<string, Route> = {
    "GET /v1/status": () => control.status(),
    "GET /v1/doctor": () => control.doctor(),

    "POST /v1/join": async ({ body }) => {
      const request = read(JoinRequest, body);
      audit({ verb: "join", subject: request.url, detail: { labels: request.labels } });
      await control.join(request);
      return control.status();
    },
    "POST /v1/leave": async () => {
      audit({ verb: "leave", subject: "node", detail: {} });
      await control.leave();
      return control.status();
    },

    "POST /v1/rotate-key": async () => {
      audit({ verb: "rotate-key", subject: "node", detail: {} });
      return { publicKey: await control.rotateKey() };
    },

    "GET /v1/workloads": () => ({ items: control.workloads.list() }),
    "PUT /v1/workloads": ({ body }) => {
      const request = read(WorkloadRequest, body);
      audit({
        verb: "workload.put",
        subject: JSON.stringify(request.selector),
        detail: { mode: request.mode },
      });
      return control.workloads.put(request);
    },
    "DELETE /v1/workloads/": ({ rest }) => {
      const id = integer(rest, -1);
      audit({ verb: "workload.delete", subject: rest, detail: {} });
      control.workloads.delete(id);
    },

    "GET /v1/verdicts": () => ({ items: control.verdicts.list() }),
    "PUT /v1/verdicts": ({ body }) => {
      const request = read(VerdictRequest, body);
      // Not the statement itself: its literals may be secrets.
      audit({
        verb: "verdict.put",
        subject: request.action,
        detail: { reason: request.reason, ttl: request.ttl },
      });
      return control.verdicts.put(request);
    },
    "DELETE /v1/verdicts/": ({ rest }) => {
      audit({ verb: "verdict.delete", subject: rest, detail: {} });
      return control.verdicts.delete(rest);
    },

    "GET /v1/profiles": () => ({ items: control.profiles.list() }),
    "GET /v1/profiles/export": ({ query }) => control.profiles.export(identityOf(query)),
    "PUT /v1/profiles": ({ body }) => {
      const exported = read(z.looseObject({ workload: z.string() }), body);
      audit({ verb: "profile.put", subject: exported.workload, detail: {} });
      control.profiles.put(exported);
    },
    "DELETE /v1/profiles": ({ query }) => {
      const identity = identityOf(query);
      const shape = query.get("shape");
      audit({ verb: "profile.delete", subject: JSON.stringify(identity), detail: { shape } });
      control.profiles.delete(identity, shape);
    },

    "GET /v1/detections": async ({ query, signal }) => {
      const after = integer(query.get("after"), 0);
      const waitS = Math.min(integer(query.get("wait"), 0), WAIT_S_MAX);
      const found = control.recent.after(after);
      if (found.items.length > 0 || waitS === 0) return found;
      await control.recent.changed(waitS * 1_000, signal);
      return control.recent.after(after);
    },
  };

  return async ({ method, path, body, signal }) => {
    const [name = "", query] = path.split("?", 2);
    const parent = name.slice(0, name.lastIndexOf("/") + 1);
    const route =
      routes[`${method} ${name}`] ?? (parent === name ? undefined : routes[`${method} ${parent}`]);
    try {
      if (!route) throw new Refused("not-found", `there is no ${method} ${name}`);
      const rest = decodeURIComponent(name.slice(parent.length));
      const answer = await route({ rest, query: new URLSearchParams(query), body, signal });
      return answer === undefined
        ? { status: 204, contentType: "application/json", body: "" }
        : { status: 200, contentType: "application/json", body: JSON.stringify(answer) };
    } catch (error) {
      const { code, message } =
        error instanceof Refused ? error : { code: "internal", message: (error as Error).message };
      const status = error instanceof Refused ? STATUS[error.code] : 500;
      return {
        status,
        contentType: "application/problem+json",
        body: JSON.stringify({ type: "about:blank", title: code, status, code, detail: message }),
      };
    }
  };
}

const identityOf = (query: URLSearchParams): ProfileIdentity => ({
  workload: query.get("workload") ?? "",
  databaseUser: query.get("user") ?? "",
  database: query.get("database") ?? "",
});

function read<T extends z.ZodType>(schema: T, text: string): z.infer<T> {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Refused("invalid", "the body is not JSON");
  }
  const parsed = schema.safeParse(content);
  if (!parsed.success) throw new Refused("invalid", z.prettifyError(parsed.error));
  return parsed.data;
}

function integer(text: string | null, otherwise: number): number {
  const number = Number(text ?? otherwise);
  if (!Number.isSafeInteger(number) || number < 0) throw new Refused("invalid", `not a number: ${text}`);
  return number;
}
