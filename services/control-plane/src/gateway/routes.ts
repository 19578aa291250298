/**
 * The gateway's two routes, straight on node:http: a poll that waits holds a socket, a response and one waiter. Through
 * the framework it would hold a Request, a Response, an AbortController and their closures as well, half as much
 * again, a hundred thousand times. Path, role and problems come from the same tables as every other route's.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "@hono/zod-openapi";
import { Polled } from "@picket/shared/contract";
import type { Ctx, Services } from "../context.ts";
import { authenticateBearer } from "../http/authenticate.ts";
import { problemAnswer } from "../http/problems.ts";
import { type App, describe, IdParams } from "../http/route.ts";
import { routeOf } from "../identity/permissions.ts";
import { Refusal } from "../refusal.ts";
import { acknowledgements } from "./acknowledge.ts";
import { lease, WAIT_S_MAX } from "./lease.ts";
import type { Waiters } from "./waiters.ts";

/** What it serves is served; false: not the gateway's path. */
export type Front = (request: IncomingMessage, response: ServerResponse) => boolean;

export const GATEWAY_PERMISSIONS = ["agent.lease", "agent.acknowledge"] as const;

const POLL = routeOf("agent.lease");
const ACKNOWLEDGE = routeOf("agent.acknowledge");
const ACKNOWLEDGE_PATH = new RegExp(`^${ACKNOWLEDGE.path.replace("{id}", "([^/]{1,100})")}$`);
const BODY_BYTES_MAX = 1_024;

const Wait = z.object({
  wait: z.coerce.number().min(0).max(WAIT_S_MAX).default(0),
  /** How far the node has read shared verdicts. */
  verdicts: z.coerce.number().int().min(0).optional(),
});

export function describeGateway(app: App): void {
  describe(app, "agent.lease", {
    summary:
      "Long poll for the next assignment, shared verdicts or a wish for a report; 204 when there is none",
    query: Wait,
    answer: Polled,
  });
  describe(app, "agent.acknowledge", {
    summary: "The node has the assignment in hand",
    params: IdParams,
  });
}

export function gatewayFront(services: Services, waiters: Waiters): Front {
  const acknowledge = acknowledgements(services);
  return (request, response) => {
    const url = request.url!;
    const mark = url.indexOf("?");
    const path = mark < 0 ? url : url.slice(0, mark);
    if (request.method === POLL.method && path === POLL.path) {
      const query = mark < 0 ? "" : url.slice(mark + 1);
      void answer(services, request, response, path, ctx => poll(ctx, query, response, waiters));
      return true;
    }
    const id = request.method === ACKNOWLEDGE.method ? ACKNOWLEDGE_PATH.exec(path)?.[1] : undefined;
    if (id === undefined) return false;
    const end = services.metrics.requests.startTimer({ route: `${ACKNOWLEDGE.method} ${ACKNOWLEDGE.path}` });
    void answer(services, request, response, path, ctx => {
      const parsed = IdParams.safeParse({ id });
      if (!parsed.success) throw new Refusal("invalid", z.prettifyError(parsed.error));
      return acknowledge({ ctx, input: parsed.data });
    }).then(() => end({ status: String(response.statusCode) }));
    return true;
  };
}

async function answer(
  services: Services,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  work: (ctx: Ctx) => Promise<object | null | undefined>,
): Promise<void> {
  try {
    if (
      Number(request.headers["content-length"] ?? 0) > BODY_BYTES_MAX ||
      request.headers["transfer-encoding"]
    )
      throw new Refusal("too-large", `at most ${BODY_BYTES_MAX} bytes`);
    request.resume();
    const { authorization } = request.headers;
    if (authorization === undefined) throw new Refusal("unauthenticated", "a node's token is wanted");
    const actor = await authenticateBearer(services, authorization, request.socket);
    // A poll that waits for minutes need not remember with what it was let in.
    request.headers = {};
    request.rawHeaders.length = 0;
    const answered = await work({ ...services, actor });
    if (response.destroyed) return;
    if (answered) {
      const body = JSON.stringify(answered);
      response.writeHead(200, {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      });
      response.end(body);
    } else response.writeHead(204).end();
  } catch (error) {
    if (response.destroyed) return;
    const { status, headers, body } = problemAnswer(path, error, services.log);
    const closes = status === 413 ? { connection: "close" } : {};
    response.writeHead(status, { ...headers, ...closes, "content-length": Buffer.byteLength(body) });
    response.end(body);
  }
}

function poll(ctx: Ctx, query: string, response: ServerResponse, waiters: Waiters): Promise<Polled | null> {
  const parsed = Wait.safeParse(Object.fromEntries(new URLSearchParams(query)));
  if (!parsed.success) throw new Refusal("invalid", z.prettifyError(parsed.error));
  const { wait, verdicts = null } = parsed.data;
  return lease({ ctx, input: { waitMs: wait * 1_000, readTo: verdicts, poll: response }, waiters });
}
