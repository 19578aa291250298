/**
 * The routes of packages/shared/src/control-socket.ts on Hono. Every change is audited before it takes effect; what
 * is refused says why and what to do.
 */
import {
  JoinRequest,
  type VerdictRequest,
  VerdictRequest as VerdictRequestSchema,
  type WorkloadRequest,
  WorkloadRequest as WorkloadRequestSchema,
} from "@picket/shared/control-socket";
import { Hono } from "hono";
import { z } from "zod";
import { type RefusalCode, Refused } from "../refusal.ts";
import type { AuditEntry } from "./audit.ts";
import type { Control } from "./control.ts";

export type Handler = (request: {
  method: string;
  path: string;
  body: string;
  signal: AbortSignal;
}) => Promise<{
  status: number;
  contentType: string;
  body: string;
}>;

const STATUS: Record<RefusalCode, 400 | 403 | 404 | 409 | 422 | 429 | 502 | 503> = {
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
  const app = new Hono();

  app.get("/v1/status", async c => c.json(await control.status()));
  app.get("/v1/doctor", async c => c.json(await control.doctor()));

  app.post("/v1/join", async c => {
    const request = read(JoinRequest, await c.req.text());
    audit({ verb: "join", subject: request.url, detail: { labels: request.labels } });
    await control.join(request);
    return c.json(await control.status());
  });
  app.post("/v1/leave", async c => {
    audit({ verb: "leave", subject: "node", detail: {} });
    await control.leave();
    return c.json(await control.status());
  });

  app.get("/v1/workloads", c => c.json({ items: control.workloads.list() }));
  app.put("/v1/workloads", async c => {
    const request: WorkloadRequest = read(WorkloadRequestSchema, await c.req.text());
    audit({
      verb: "workload.put",
      subject: JSON.stringify(request.selector),
      detail: { mode: request.mode },
    });
    return c.json(control.workloads.put(request));
  });
  app.delete("/v1/workloads/:id", c => {
    const id = Number(c.req.param("id"));
    if (!Number.isSafeInteger(id)) throw new Refused("invalid", "a workload's id is a number");
    audit({ verb: "workload.delete", subject: String(id), detail: {} });
    control.workloads.delete(id);
    return c.body(null, 204);
  });

  app.get("/v1/verdicts", c => c.json({ items: control.verdicts.list() }));
  app.put("/v1/verdicts", async c => {
    const request: VerdictRequest = read(VerdictRequestSchema, await c.req.text());
    // The statement itself may hold secrets: its digest is in the verdict that follows.
    audit({
      verb: "verdict.put",
      subject: request.action,
      detail: { reason: request.reason, ttl: request.ttl },
    });
    return c.json(await control.verdicts.put(request));
  });
  app.delete("/v1/verdicts/:id", async c => {
    audit({ verb: "verdict.delete", subject: c.req.param("id"), detail: {} });
    await control.verdicts.delete(c.req.param("id"));
    return c.body(null, 204);
  });

  app.get("/v1/detections", async c => {
    const after = integer(c.req.query("after"), 0);
    const waitS = Math.min(integer(c.req.query("wait"), 0), WAIT_S_MAX);
    const found = control.recent.after(after);
    if (found.items.length > 0 || waitS === 0) return c.json(found);
    await control.recent.changed(waitS * 1_000, c.req.raw.signal);
    return c.json(control.recent.after(after));
  });

  app.notFound(c => c.json(problem(404, "not-found", `there is no ${c.req.method} ${c.req.path}`), 404));
  app.onError((error, c) => {
    if (error instanceof Refused)
      return c.json(problem(STATUS[error.code], error.code, error.message), STATUS[error.code]);
    return c.json(problem(500, "internal", error.message), 500);
  });

  return async ({ method, path, body, signal }) => {
    const request = new Request(`http://agent${path}`, {
      method,
      signal,
      ...(body === "" ? {} : { body }),
    });
    const response = await app.fetch(request);
    return {
      status: response.status,
      contentType: response.headers.get("content-type") ?? "application/json",
      body: await response.text(),
    };
  };
}

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

function integer(text: string | undefined, otherwise: number): number {
  const number = Number(text ?? otherwise);
  if (!Number.isSafeInteger(number) || number < 0) throw new Refused("invalid", `not a number: ${text}`);
  return number;
}

const problem = (status: number, code: string, detail: string) => ({
  type: "about:blank",
  title: code,
  status,
  code,
  detail,
});
