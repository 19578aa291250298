/**
 * The one table of who may do what: each permission is a route, the group of actions it belongs to (the policies in
 * policies/*.cedar speak of groups) and what it acts on, which says where the labels come from that a caller's scope
 * must hold. A route that is not in it cannot be registered (http/route.ts).
 *
 * To add a route: a line here, its builder in `test/policy-matrix.ts` (the matrix fails without), and for a list whose
 * `on` is `own`, `inScope` (identity/scope.ts) in its query.
 */

/**
 * - `view` … `administer`: for people, by role; `halt` is stopping, which never needs a second person
 * - `agent`: for a node, of what is its own
 * - `open`: for anybody; `local`: for anybody on this host's loopback, and as `view` for others
 */
export type Group =
  | "view"
  | "operate"
  | "halt"
  | "approve"
  | "author"
  | "administer"
  | "agent"
  | "open"
  | "local";

/**
 * - `catalogue`: the same for everybody who may look
 * - `fleet`: the fleet as a whole; only for who has no scope
 * - `own`: what lies within the caller's scope, whatever it is: the verb filters
 * - `node` … `rule-set`: the one that the path names
 * - `body.…`: these labels of the request must lie within the caller's scope
 */
export type On =
  | "catalogue"
  | "fleet"
  | "own"
  | "node"
  | "rollout"
  | "join-token"
  | "api-token"
  | "alert"
  | "delivery"
  | "rule-set"
  | "body.selector"
  | "body.labels"
  | "body.scope";

export const permissions = {
  "identity.me": ["GET /v1/me", "view", "own"],
  "identity.sign-in": ["POST /v1/session", "open", "catalogue"],
  "identity.sign-out": ["DELETE /v1/session", "view", "own"],
  "identity.list-tokens": ["GET /v1/api-tokens", "administer", "own"],
  "identity.create-token": ["POST /v1/api-tokens", "administer", "body.scope"],
  "identity.revoke-token": ["DELETE /v1/api-tokens/{id}", "administer", "api-token"],
  "sso.show": ["GET /v1/sso", "open", "catalogue"],
  "sso.begin": ["GET /v1/sso/login", "open", "catalogue"],
  "sso.callback": ["GET /v1/sso/callback", "open", "catalogue"],
  "sso.redeem": ["POST /v1/sso/token", "open", "catalogue"],
  "audit.list": ["GET /v1/audit", "administer", "fleet"],
  "audit.verify": ["GET /v1/audit/verify", "administer", "fleet"],

  "nodes.enrol": ["POST /v1/enrol", "open", "catalogue"],
  "nodes.list": ["GET /v1/nodes", "view", "own"],
  "nodes.show": ["GET /v1/nodes/{id}", "view", "node"],
  "nodes.retire": ["DELETE /v1/nodes/{id}", "operate", "node"],
  "nodes.quarantine": ["POST /v1/nodes/{id}/quarantine", "operate", "node"],
  "nodes.release": ["DELETE /v1/nodes/{id}/quarantine", "operate", "node"],
  "nodes.list-join-tokens": ["GET /v1/join-tokens", "operate", "own"],
  "nodes.create-join-token": ["POST /v1/join-tokens", "operate", "body.labels"],
  "nodes.revoke-join-token": ["DELETE /v1/join-tokens/{id}", "operate", "join-token"],

  "agent.lease": ["GET /v1/agent/assignments", "agent", "own"],
  "agent.acknowledge": ["POST /v1/agent/assignments/{id}/ack", "agent", "own"],
  "agent.desired": ["GET /v1/agent/desired", "agent", "own"],
  "agent.bundle": ["GET /v1/agent/bundles/{digest}", "agent", "own"],
  "agent.object": ["GET /v1/agent/objects/{digest}", "agent", "own"],
  "agent.trust": ["GET /v1/agent/trust", "agent", "own"],
  "agent.rotate-key": ["POST /v1/agent/key", "agent", "own"],
  "agent.report": ["POST /v1/agent/report", "agent", "own"],
  "agent.events": ["POST /v1/agent/events", "agent", "own"],
  "agent.shapes": ["POST /v1/agent/shapes", "agent", "own"],
  "agent.twin": ["POST /v1/agent/twins", "agent", "own"],
  "agent.claims": ["POST /v1/agent/claims", "agent", "own"],
  "agent.verdicts": ["GET /v1/agent/verdicts", "agent", "own"],
  "agent.answers": ["POST /v1/agent/verdicts/answers", "agent", "own"],
  "agent.offer-profile": ["POST /v1/agent/profiles", "agent", "own"],
  "agent.profiles": ["GET /v1/agent/profiles", "agent", "own"],
  "agent.profile": ["GET /v1/agent/profiles/{digest}", "agent", "own"],

  "bundles.list-keys": ["GET /v1/release-keys", "view", "catalogue"],
  "bundles.register-key": ["POST /v1/release-keys", "administer", "fleet"],
  "bundles.show-trust": ["GET /v1/trust", "view", "catalogue"],
  "bundles.publish-trust": ["POST /v1/trust", "administer", "fleet"],
  "bundles.put-object": ["PUT /v1/objects/{digest}", "author", "catalogue"],
  "rules.list-sets": ["GET /v1/rule-sets", "view", "catalogue"],
  "rules.list-versions": ["GET /v1/rule-sets/{name}/versions", "view", "catalogue"],
  "rules.show-version": ["GET /v1/rule-sets/{name}/versions/{version}", "view", "catalogue"],
  "rules.push": ["POST /v1/rule-sets/{name}/versions", "author", "rule-set"],

  // What is shared concerns every node.
  "immunity.show": ["GET /v1/immunity", "view", "fleet"],
  "immunity.list": ["GET /v1/immunity/verdicts", "view", "fleet"],
  "immunity.answers": ["GET /v1/immunity/verdicts/{id}", "view", "fleet"],
  "immunity.revoke": ["DELETE /v1/immunity/verdicts/{id}", "operate", "fleet"],
  "immunity.stop": ["POST /v1/immunity/stop", "halt", "fleet"],
  "immunity.release": ["DELETE /v1/immunity/stop", "operate", "fleet"],

  // A workload may run on any node.
  "profiles.list-offers": ["GET /v1/profiles/offers", "view", "fleet"],
  "profiles.show-offer": ["GET /v1/profiles/offers/{id}", "view", "fleet"],
  "profiles.list": ["GET /v1/profiles", "view", "fleet"],
  "profiles.push": ["POST /v1/profiles", "author", "fleet"],

  // A replay reads what every node of the fleet has sent.
  "backtests.start": ["POST /v1/backtests", "author", "fleet"],
  "backtests.list": ["GET /v1/backtests", "view", "fleet"],
  "backtests.show": ["GET /v1/backtests/{id}", "view", "fleet"],

  "rollouts.list": ["GET /v1/rollouts", "view", "own"],
  "rollouts.show": ["GET /v1/rollouts/{id}", "view", "rollout"],
  "rollouts.start": ["POST /v1/rollouts", "operate", "body.selector"],
  "rollouts.pause": ["POST /v1/rollouts/{id}/pause", "halt", "rollout"],
  "rollouts.resume": ["POST /v1/rollouts/{id}/resume", "operate", "rollout"],
  "rollouts.abort": ["POST /v1/rollouts/{id}/abort", "halt", "rollout"],
  "rollouts.roll-back": ["POST /v1/rollouts/{id}/rollback", "halt", "rollout"],
  "rollouts.explain": ["GET /v1/rollouts/{id}/decisions/{decision}", "view", "rollout"],
  "rollouts.approve": ["POST /v1/rollouts/{id}/approve", "approve", "rollout"],
  "rollouts.promote": ["POST /v1/rollouts/{id}/promote", "approve", "rollout"],
  "stops.show": ["GET /v1/emergency-stop", "view", "catalogue"],
  "stops.stop": ["POST /v1/emergency-stop", "halt", "fleet"],
  "stops.release": ["DELETE /v1/emergency-stop", "operate", "fleet"],
  "freezes.list": ["GET /v1/freezes", "view", "catalogue"],
  "freezes.add": ["POST /v1/freezes", "operate", "fleet"],
  "freezes.remove": ["DELETE /v1/freezes/{id}", "operate", "fleet"],

  "detections.list": ["GET /v1/detections", "view", "own"],
  "detections.stream": ["GET /v1/detections/stream", "view", "own"],
  "certificates.list": ["GET /v1/certificates", "view", "own"],
  "alerts.list": ["GET /v1/alerts", "view", "own"],
  "alerts.show": ["GET /v1/alerts/{id}", "view", "alert"],
  "alerts.acknowledge": ["POST /v1/alerts/{id}/ack", "operate", "alert"],
  "deliveries.list-webhooks": ["GET /v1/webhooks", "view", "fleet"],
  "deliveries.create-webhook": ["POST /v1/webhooks", "administer", "fleet"],
  "deliveries.delete-webhook": ["DELETE /v1/webhooks/{id}", "administer", "fleet"],
  "deliveries.list": ["GET /v1/deliveries", "view", "own"],
  "deliveries.send-again": ["POST /v1/deliveries/{id}/resend", "operate", "delivery"],
  "tickets.list": ["GET /v1/tickets", "view", "own"],

  "policies.list": ["GET /v1/policies", "administer", "fleet"],
  "policies.shipped": ["GET /v1/policies/shipped", "view", "catalogue"],
  "policies.put": ["PUT /v1/policies/{policy}", "administer", "fleet"],
  "policies.remove": ["DELETE /v1/policies/{policy}", "administer", "fleet"],

  "health.process": ["GET /healthz", "open", "catalogue"],
  "health.ready": ["GET /readyz", "open", "catalogue"],
  "health.metrics": ["GET /metrics", "local", "fleet"],
  "openapi.document": ["GET /openapi.json", "open", "catalogue"],
} as const satisfies Record<string, readonly [route: string, group: Group, on: On]>;

export type Permission = keyof typeof permissions;

type Method = "GET" | "POST" | "PUT" | "DELETE";

export function routeOf(permission: Permission): { method: Method; path: string; group: Group; on: On } {
  const [route, group, on] = permissions[permission];
  const [method, path] = route.split(" ") as [Method, string];
  return { method, path, group, on };
}
