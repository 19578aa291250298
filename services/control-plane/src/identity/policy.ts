/**
 * Who may do what, and by which route: the one table. HTTP looks a route up here (a route that is not in it
 * cannot be registered); verbs check their permission again, so that a caller that is no HTTP request is held
 * to it, too. Roles include those before them: viewer < operator < author < admin.
 */
import type { Role } from "@picket/shared/api";
import type { Actor, Ctx } from "../context.ts";
import { Refusal } from "../refusal.ts";

/** A role; a node for itself; `local`: viewer, or anyone on this host's loopback; or anyone at all. */
export type Who = Role | "node" | "local" | "anyone";

export const policy = {
  "identity.me": ["GET /v1/me", "viewer"],
  "identity.sign-in": ["POST /v1/session", "anyone"],
  "identity.sign-out": ["DELETE /v1/session", "viewer"],
  "identity.list-tokens": ["GET /v1/api-tokens", "admin"],
  "identity.create-token": ["POST /v1/api-tokens", "admin"],
  "identity.revoke-token": ["DELETE /v1/api-tokens/{id}", "admin"],
  "audit.list": ["GET /v1/audit", "admin"],
  "audit.verify": ["GET /v1/audit/verify", "admin"],

  "nodes.enrol": ["POST /v1/enrol", "anyone"],
  "nodes.list": ["GET /v1/nodes", "viewer"],
  "nodes.show": ["GET /v1/nodes/{id}", "viewer"],
  "nodes.retire": ["DELETE /v1/nodes/{id}", "operator"],
  "nodes.quarantine": ["POST /v1/nodes/{id}/quarantine", "operator"],
  "nodes.release": ["DELETE /v1/nodes/{id}/quarantine", "operator"],
  "nodes.list-join-tokens": ["GET /v1/join-tokens", "operator"],
  "nodes.create-join-token": ["POST /v1/join-tokens", "operator"],
  "nodes.revoke-join-token": ["DELETE /v1/join-tokens/{id}", "operator"],

  "agent.lease": ["GET /v1/agent/assignments", "node"],
  "agent.acknowledge": ["POST /v1/agent/assignments/{id}/ack", "node"],
  "agent.desired": ["GET /v1/agent/desired", "node"],
  "agent.bundle": ["GET /v1/agent/bundles/{digest}", "node"],
  "agent.object": ["GET /v1/agent/objects/{digest}", "node"],
  "agent.report": ["POST /v1/agent/report", "node"],
  "agent.events": ["POST /v1/agent/events", "node"],
  "agent.shapes": ["POST /v1/agent/shapes", "node"],

  "bundles.list-keys": ["GET /v1/release-keys", "viewer"],
  "bundles.register-key": ["POST /v1/release-keys", "admin"],
  "bundles.put-object": ["PUT /v1/objects/{digest}", "author"],
  "rules.list-sets": ["GET /v1/rule-sets", "viewer"],
  "rules.list-versions": ["GET /v1/rule-sets/{name}/versions", "viewer"],
  "rules.show-version": ["GET /v1/rule-sets/{name}/versions/{version}", "viewer"],
  "rules.push": ["POST /v1/rule-sets/{name}/versions", "author"],

  "backtests.start": ["POST /v1/backtests", "author"],
  "backtests.list": ["GET /v1/backtests", "viewer"],
  "backtests.show": ["GET /v1/backtests/{id}", "viewer"],

  "rollouts.list": ["GET /v1/rollouts", "viewer"],
  "rollouts.show": ["GET /v1/rollouts/{id}", "viewer"],
  "rollouts.start": ["POST /v1/rollouts", "operator"],
  "rollouts.pause": ["POST /v1/rollouts/{id}/pause", "operator"],
  "rollouts.resume": ["POST /v1/rollouts/{id}/resume", "operator"],
  "rollouts.abort": ["POST /v1/rollouts/{id}/abort", "operator"],
  "rollouts.roll-back": ["POST /v1/rollouts/{id}/rollback", "operator"],
  "rollouts.explain": ["GET /v1/rollouts/{id}/decisions/{decision}", "viewer"],
  "rollouts.approve": ["POST /v1/rollouts/{id}/approve", "operator"],
  "rollouts.promote": ["POST /v1/rollouts/{id}/promote", "operator"],
  "stops.show": ["GET /v1/emergency-stop", "viewer"],
  "stops.stop": ["POST /v1/emergency-stop", "operator"],
  "stops.release": ["DELETE /v1/emergency-stop", "operator"],
  "freezes.list": ["GET /v1/freezes", "viewer"],
  "freezes.add": ["POST /v1/freezes", "operator"],
  "freezes.remove": ["DELETE /v1/freezes/{id}", "operator"],

  "detections.list": ["GET /v1/detections", "viewer"],
  "detections.stream": ["GET /v1/detections/stream", "viewer"],
  "certificates.list": ["GET /v1/certificates", "viewer"],
  "alerts.list": ["GET /v1/alerts", "viewer"],
  "alerts.show": ["GET /v1/alerts/{id}", "viewer"],
  "alerts.acknowledge": ["POST /v1/alerts/{id}/ack", "operator"],
  "deliveries.list-webhooks": ["GET /v1/webhooks", "viewer"],
  "deliveries.create-webhook": ["POST /v1/webhooks", "admin"],
  "deliveries.delete-webhook": ["DELETE /v1/webhooks/{id}", "admin"],
  "deliveries.list": ["GET /v1/deliveries", "viewer"],
  "deliveries.send-again": ["POST /v1/deliveries/{id}/resend", "operator"],
  "tickets.list": ["GET /v1/tickets", "viewer"],

  "health.process": ["GET /healthz", "anyone"],
  "health.ready": ["GET /readyz", "anyone"],
  "health.metrics": ["GET /metrics", "local"],
  "openapi.document": ["GET /openapi.json", "anyone"],
} as const satisfies Record<string, readonly [route: string, who: Who]>;

export type Permission = keyof typeof policy;

export function routeOf(permission: Permission): {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  who: Who;
} {
  const [route, who] = policy[permission];
  const [method, path] = route.split(" ") as ["GET" | "POST" | "PUT" | "DELETE", string];
  return { method, path, who };
}

const rank: Record<Role, number> = { viewer: 0, operator: 1, author: 2, admin: 3 };

export function may(actor: Actor, who: Who): boolean {
  if (who === "anyone") return true;
  switch (actor.kind) {
    case "system":
      return true;
    case "node":
      return who === "node";
    case "person":
      return who !== "node" && rank[actor.role] >= rank[who === "local" ? "viewer" : who];
    case "anyone":
      return false;
  }
}

export function authorise(ctx: Ctx, permission: Permission): void {
  const [, who] = policy[permission];
  if (may(ctx.actor, who)) return;
  if (ctx.actor.kind === "anyone")
    throw new Refusal("unauthenticated", "sign in, or send Authorization: Bearer pkt_…");
  throw new Refusal("forbidden", `this needs the role ${who}`);
}
