/** Rows that lie within the caller's scope: what carries every label of it. For lists, whose route is `own`. */
import type { Labels } from "@picket/shared/vocabulary";
import { type SQL, sql } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";
import type { Actor, Ctx } from "../context.ts";
import { alerts, nodes } from "../db/schema.ts";

/** Empty: everything. */
export const scopeOf = (actor: Actor): Labels => (actor.kind === "person" ? actor.scope : {});

/** Undefined: no bound. */
export function inScope(ctx: Pick<Ctx, "actor">, labels: AnyPgColumn): SQL | undefined {
  const scope = scopeOf(ctx.actor);
  return Object.keys(scope).length === 0 ? undefined : sql`${labels} @> ${JSON.stringify(scope)}::jsonb`;
}

/** An alert tells of all its nodes: it is shown to who may see each of them. One of no node is the fleet's. */
export function alertInScope(ctx: Pick<Ctx, "actor">): SQL | undefined {
  const scope = scopeOf(ctx.actor);
  if (Object.keys(scope).length === 0) return undefined;
  return sql`(jsonb_array_length(${alerts.nodes}) > 0 and not exists (
    select 1 from jsonb_array_elements_text(${alerts.nodes}) seen (id)
    left join ${nodes} on ${nodes.id} = seen.id::uuid
    where ${nodes.labels} @> ${JSON.stringify(scope)}::jsonb is not true))`;
}

export const labelsText = (labels: Labels): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
