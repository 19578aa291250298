/** The gateway's two routes. They may be served apart from the API: nothing else needs a process that remembers. */
import { z } from "@hono/zod-openapi";
import { Lease } from "@picket/shared/contract";
import type { Services } from "../context.ts";
import { type App, IdParams, route } from "../http/route.ts";
import { acknowledge } from "./acknowledge.ts";
import { lease, WAIT_S_MAX } from "./lease.ts";
import type { Waiters } from "./waiters.ts";

export function gatewayRoutes(app: App, services: Services, waiters: Waiters): void {
  route(
    app,
    services,
    "agent.lease",
    {
      summary: "Long poll for the next assignment; 204 when there is none after the wait",
      query: z.object({ wait: z.coerce.number().min(0).max(WAIT_S_MAX).default(0) }),
      answer: Lease,
      unbounded: true,
    },
    async (ctx, { query }, c) => {
      const leased = await lease({
        ctx,
        input: { waitMs: query.wait * 1_000, signal: c.req.raw.signal },
        waiters,
      });
      return leased ?? c.body(null, 204);
    },
  );
  route(
    app,
    services,
    "agent.acknowledge",
    { summary: "The node has the assignment in hand", params: IdParams },
    (ctx, { params }) => acknowledge({ ctx, input: params }),
  );
}
