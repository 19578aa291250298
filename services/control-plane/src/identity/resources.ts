/**
 * What a request acts on, as policies see it: the labels of the row that its path names, or those that it asks for.
 * Null: there is no such row.
 */
import type { NodeId, RolloutId, RuleSetName } from "@picket/shared/ids";
import { Labels } from "@picket/shared/vocabulary";
import { and, desc, eq, inArray, isNull } from "drizzle-orm";
import { z } from "zod";
import type { Ctx } from "../context.ts";
import { alerts, apiTokens, deliveries, joinTokens, nodes, rollouts, ruleVersions } from "../db/schema.ts";
import { type Resource, resourceType } from "./engine.ts";
import type { On } from "./permissions.ts";
import { scopeOf } from "./scope.ts";

const Uuid = z.uuid();

/** Something of this kind that lies exactly within the caller's scope: whether they may at all. */
export const ofTheirOwn = (ctx: Pick<Ctx, "actor">, on: On): Resource => ({
  type: resourceType(on),
  id: on,
  labels: on === "fleet" || on === "catalogue" ? {} : scopeOf(ctx.actor),
});

export async function resourceOf(
  ctx: Ctx,
  on: On,
  { params, body }: { params: Record<string, string>; body?: unknown },
): Promise<Resource | null> {
  const made = (id: string, labels: Labels | null): Resource | null =>
    labels && { type: resourceType(on), id, labels };
  switch (on) {
    case "catalogue":
    case "fleet":
    case "own":
      return ofTheirOwn(ctx, on);
    case "body.selector":
    case "body.labels":
    case "body.scope":
      return made(on, asked(body, on));
    case "rule-set": {
      const name = params.name ?? "";
      const [row] = await ctx.db
        .select({ owner: ruleVersions.owner })
        .from(ruleVersions)
        .where(eq(ruleVersions.ruleSet, name as RuleSetName))
        .orderBy(desc(ruleVersions.version))
        .limit(1);
      // Nobody's yet: whoever pushes first owns it.
      return made(name, row ? row.owner : scopeOf(ctx.actor));
    }
    case "node":
    case "rollout":
    case "join-token":
    case "api-token":
    case "alert":
    case "delivery": {
      const id = params.id ?? "";
      return Uuid.safeParse(id).success ? made(id, await labelsOf(ctx, on, id)) : null;
    }
  }
}

function asked(body: unknown, on: "body.selector" | "body.labels" | "body.scope"): Labels {
  const labels = (body as Record<string, unknown>)[on.slice("body.".length)];
  return Labels.parse(labels ?? {});
}

async function labelsOf(
  ctx: Ctx,
  on: "node" | "rollout" | "join-token" | "api-token" | "alert" | "delivery",
  id: string,
): Promise<Labels | null> {
  const { db } = ctx;
  switch (on) {
    case "node": {
      const [row] = await db
        .select({ labels: nodes.labels })
        .from(nodes)
        .where(and(eq(nodes.id, id as NodeId), isNull(nodes.retiredAt)));
      return row?.labels ?? null;
    }
    case "rollout": {
      const [row] = await db
        .select({ labels: rollouts.selector })
        .from(rollouts)
        .where(eq(rollouts.id, id as RolloutId));
      return row?.labels ?? null;
    }
    case "join-token": {
      const [row] = await db
        .select({ labels: joinTokens.labels })
        .from(joinTokens)
        .where(eq(joinTokens.id, id));
      return row?.labels ?? null;
    }
    case "api-token": {
      const [row] = await db.select({ labels: apiTokens.scope }).from(apiTokens).where(eq(apiTokens.id, id));
      return row?.labels ?? null;
    }
    case "alert": {
      const [row] = await db.select({ nodes: alerts.nodes }).from(alerts).where(eq(alerts.id, id));
      return row ? commonLabels(ctx, row.nodes) : null;
    }
    case "delivery": {
      const [row] = await db
        .select({ nodes: alerts.nodes })
        .from(deliveries)
        .innerJoin(alerts, eq(deliveries.alert, alerts.id))
        .where(eq(deliveries.id, id));
      return row ? commonLabels(ctx, row.nodes) : null;
    }
  }
}

/** What all of them carry: it holds a scope just when each of them does. */
async function commonLabels(ctx: Ctx, ids: readonly NodeId[]): Promise<Labels> {
  if (ids.length === 0) return {};
  const rows = await ctx.db
    .select({ labels: nodes.labels })
    .from(nodes)
    .where(inArray(nodes.id, [...ids]));
  if (rows.length < new Set(ids).size) return {};
  const [first, ...others] = rows;
  return Object.fromEntries(
    Object.entries(first?.labels ?? {}).filter(([key, value]) =>
      others.every(({ labels }) => labels[key] === value),
    ),
  );
}
