/**
 * One call registers a route: its path, who may use it and what it acts on come from the permission table, its OpenAPI
 * entry from the same schemas that parse it. A route that is not in the table cannot be written.
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { Problem } from "@picket/shared/contract";
import type { Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Ctx, Services } from "../context.ts";
import type { Resource } from "../identity/engine.ts";
import { type On, type Permission, routeOf } from "../identity/permissions.ts";
import { authorise } from "../identity/policy.ts";
import { ofTheirOwn, resourceOf } from "../identity/resources.ts";
import { notFound, Refusal } from "../refusal.ts";
import { authenticate, isLoopback } from "./authenticate.ts";
import { away } from "./problems.ts";

export type App = OpenAPIHono;

const MIB = 1 << 20;
type Empty = Record<never, never>;

export interface RouteOptions<P, Q, B, A> {
  summary: string;
  params?: P;
  query?: Q;
  body?: B;
  /** Nothing at all stands for `{}`. */
  bodyOptional?: boolean;
  bodyBytesMax?: number;
  answer?: A;
  /** Default 200, or 204 when there is no answer. */
  status?: 200 | 201 | 202 | 204;
  /** Other than the usual bound on what the database may take. */
  timeoutMs?: number;
  /** Long polls and streams bound themselves. */
  unbounded?: boolean;
}

type Input<P, Q, B> = {
  params: P extends z.ZodType ? z.output<P> : Empty;
  query: Q extends z.ZodType ? z.output<Q> : Empty;
  body: B extends z.ZodType ? z.output<B> : undefined;
};

export function route<
  P extends z.ZodObject | undefined = undefined,
  Q extends z.ZodObject | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
  A extends z.ZodType | undefined = undefined,
>(
  app: App,
  services: Services,
  permission: Permission,
  options: RouteOptions<P, Q, B, A>,
  handler: (
    ctx: Ctx,
    input: Input<P, Q, B>,
    c: Context,
    /** Lets the caller in anew; throws where that is over. What lasts asks now and then. */
    again: () => Promise<Ctx>,
  ) => Promise<(A extends z.ZodType ? z.input<A> : unknown) | Response>,
): void {
  const { method, path, group, on, status } = describe(app, permission, options);
  const bytesMax = options.bodyBytesMax ?? MIB;
  const timeoutMs = options.timeoutMs ?? services.config.dependencyTimeoutMs;
  app.on(
    method,
    path.replace(/\{(\w+)\}/g, ":$1"),
    // Before the body is read, unless it says what is acted on: who may not ask learns nothing of what is valid.
    async (c, next) => {
      const admit = async (): Promise<Ctx> => {
        const actor = await authenticate(services, c, group);
        const ctx: Ctx = { ...services, actor };
        if (group === "local" && isLoopback(c)) return ctx;
        if (actor.kind === "person") await services.policies.refresh();
        return on.startsWith("body.") ? ctx : admitted(ctx, permission, on, { params: c.req.param() });
      };
      const letIn = () => inTime(admit(), services.config.dependencyTimeoutMs);
      c.set("again" as never, letIn as never);
      c.set("ctx" as never, (await letIn()) as never);
      await next();
    },
    bodyLimit({
      maxSize: bytesMax,
      onError: () => {
        throw new Refusal("too-large", `at most ${bytesMax} bytes`);
      },
    }),
    async (c: Context) => {
      let ctx = c.get("ctx" as never) as Ctx;
      const read = async () =>
        ({
          params: options.params ? valid(options.params, c.req.param()) : {},
          query: options.query ? valid(options.query, c.req.query()) : {},
          body: options.body ? valid(options.body, await readJson(c, options.bodyOptional)) : undefined,
        }) as Input<P, Q, B>;
      const input = await read().catch(error => {
        // Who could ask for nothing at all is told so, and not what the body should have been.
        if (on.startsWith("body.")) authorise(ctx, permission, ofTheirOwn(ctx, on));
        throw error;
      });
      if (on.startsWith("body."))
        ctx = await admitted(ctx, permission, on, { params: c.req.param(), body: input.body });
      const answered = handler(ctx, input, c, c.get("again" as never));
      const answer = await (options.unbounded ? answered : inTime(answered, timeoutMs));
      if (answer instanceof Response) return answer;
      return status === 204 ? c.body(null, 204) : c.json(answer as object, status);
    },
  );
}

/** Throws unless the caller may do this to what the request names. */
async function admitted(
  ctx: Ctx,
  permission: Permission,
  on: On,
  request: { params: Record<string, string>; body?: unknown },
): Promise<Ctx> {
  // Nothing is looked up for who may not even ask.
  if (ctx.actor.kind !== "person") {
    authorise(ctx, permission);
    return ctx;
  }
  const resource: Resource | null = await resourceOf(ctx, on, request);
  authorise(ctx, permission, resource ?? ofTheirOwn(ctx, on));
  if (resource === null) throw notFound(`${on.replace("-", " ")} ${request.params.id ?? ""}`);
  return { ...ctx, resource };
}

/** A route's path and what it declares, and its OpenAPI entry. */
export function describe(
  app: App,
  permission: Permission,
  options: RouteOptions<
    z.ZodObject | undefined,
    z.ZodObject | undefined,
    z.ZodType | undefined,
    z.ZodType | undefined
  >,
) {
  const { method, path, group, on } = routeOf(permission);
  const status = options.status ?? (options.answer ? 200 : 204);
  const json = (schema: z.ZodType) => ({ content: { "application/json": { schema } } });
  app.openAPIRegistry.registerPath({
    method: method.toLowerCase() as "get",
    path,
    summary: options.summary,
    operationId: permission,
    tags: [permission.split(".")[0]!],
    security: group === "open" ? [] : [group === "agent" ? { node: [] } : { token: [] }],
    request: {
      ...(options.params && { params: options.params }),
      ...(options.query && { query: options.query }),
      ...(options.body && { body: { required: !options.bodyOptional, ...json(options.body) } }),
    },
    responses: {
      [status]: {
        description: status === 204 ? "Done" : "The answer",
        ...(options.answer && json(options.answer)),
      },
      default: {
        description: "Problem details (RFC 9457)",
        content: { "application/problem+json": { schema: Problem } },
      },
    },
  });
  return { method, path, group, on, status };
}

/**
 * Parses here, and not by the framework's validator, because that one parses asynchronously: zod then leaves its
 * compiled path, which costs more than twice as much per detection.
 */
function valid<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Refusal("invalid", z.prettifyError(parsed.error).slice(0, 2_000));
}

async function readJson(c: Context, optional = false): Promise<unknown> {
  if (optional && (await c.req.text()) === "") return {};
  const type = c.req.header("content-type");
  if (type !== undefined && !/^application\/json\s*(;|$)/i.test(type))
    throw new Refusal("malformed", `the body must be application/json, not ${type}`);
  try {
    return JSON.parse(await c.req.text());
  } catch (error) {
    if (error instanceof SyntaxError) throw new Refusal("malformed", "the body is not JSON");
    throw error;
  }
}

/** A server that hangs (not one that is gone: that fails by itself) must not hang its callers. */
async function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(away("timed-out", `no answer from the database within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}

export const IdParams = z.object({ id: z.uuid() });
