import { z } from "@hono/zod-openapi";
import { Policy, PolicyName, PolicyRequest, page, ShippedPolicy } from "@picket/shared/api";
import type { Services } from "../../context.ts";
import { listPolicies, listShipped, putPolicy, removePolicy } from "../../identity/policies.ts";
import { whole } from "../../page.ts";
import { type App, route } from "../route.ts";

const PolicyParams = z.object({ policy: PolicyName });

export function policyRoutes(app: App, services: Services): void {
  route(
    app,
    services,
    "policies.list",
    {
      summary: "The fleet's own policies; with `history` every version of them, newest first",
      query: z.object({ history: z.stringbool().default(false) }),
      answer: page(Policy),
    },
    async (ctx, { query }) => whole(await listPolicies({ ctx, input: query })),
  );
  route(
    app,
    services,
    "policies.shipped",
    { summary: "The policies that this version ships, always in force", answer: page(ShippedPolicy) },
    async ctx => whole(listShipped({ ctx })),
  );
  route(
    app,
    services,
    "policies.put",
    {
      summary: "Store a policy, checked against the schema; it holds from the next request on",
      params: PolicyParams,
      body: PolicyRequest,
      answer: Policy,
    },
    (ctx, { params, body }) => putPolicy({ ctx, input: { name: params.policy, ...body } }),
  );
  route(
    app,
    services,
    "policies.remove",
    { summary: "Remove a policy; its versions stay", params: PolicyParams },
    (ctx, { params }) => removePolicy({ ctx, input: { name: params.policy } }),
  );
}
