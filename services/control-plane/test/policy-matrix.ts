/**
 * What the matrix expects, written by hand and not read from the policies, and for each route a call that acts on
 * something of one team. A permission without a line in each does not compile, and fails the test.
 */
import { randomBytes, randomUUID } from "node:crypto";
import type { Permission } from "../src/identity/permissions.ts";
import { ask, type Stores, sha256 } from "./fleet.ts";

export type Team = "a" | "b";
export interface Call {
  path: string;
  body?: unknown;
}

/**
 * Roles as letters: viewer, operator, approver (p), author (u), admin (d). `everywhere`: a person held to labels is
 * let in, and sees their own; `within`: only on what carries their labels; `fleet`: never.
 */
export const expected: Record<
  Permission,
  `${string} ${"everywhere" | "within" | "fleet" | "node" | "open"}`
> = {
  "identity.me": "vopud everywhere",
  "identity.sign-in": "- open",
  "identity.sign-out": "vopud everywhere",
  "identity.list-tokens": "d everywhere",
  "identity.create-token": "d within",
  "identity.revoke-token": "d within",
  "sso.show": "- open",
  "sso.begin": "- open",
  "sso.callback": "- open",
  "sso.redeem": "- open",
  "audit.list": "d fleet",
  "audit.verify": "d fleet",
  "policies.list": "d fleet",
  "policies.shipped": "vopud everywhere",
  "policies.put": "d fleet",
  "policies.remove": "d fleet",
  "nodes.enrol": "- open",
  "nodes.list": "vopud everywhere",
  "nodes.show": "vopud within",
  "nodes.retire": "oud within",
  "nodes.quarantine": "oud within",
  "nodes.release": "oud within",
  "nodes.list-join-tokens": "oud everywhere",
  "nodes.create-join-token": "oud within",
  "nodes.revoke-join-token": "oud within",
  "agent.lease": "- node",
  "agent.acknowledge": "- node",
  "agent.desired": "- node",
  "agent.bundle": "- node",
  "agent.object": "- node",
  "agent.rotate-key": "- node",
  "agent.report": "- node",
  "agent.events": "- node",
  "agent.shapes": "- node",
  "agent.twin": "- node",
  "agent.claims": "- node",
  "agent.verdicts": "- node",
  "agent.answers": "- node",
  "agent.offer-profile": "- node",
  "agent.profiles": "- node",
  "agent.profile": "- node",
  "profiles.list-offers": "vopud fleet",
  "profiles.show-offer": "vopud fleet",
  "profiles.list": "vopud fleet",
  "profiles.push": "ud fleet",
  "immunity.show": "vopud fleet",
  "immunity.list": "vopud fleet",
  "immunity.answers": "vopud fleet",
  "immunity.revoke": "oud fleet",
  "immunity.stop": "opud fleet",
  "immunity.release": "oud fleet",
  "bundles.list-keys": "vopud everywhere",
  "bundles.register-key": "d fleet",
  "bundles.show-trust": "vopud everywhere",
  "bundles.publish-trust": "d fleet",
  "agent.trust": "- node",
  "bundles.put-object": "ud everywhere",
  "rules.list-sets": "vopud everywhere",
  "rules.list-versions": "vopud everywhere",
  "rules.show-version": "vopud everywhere",
  "rules.push": "ud within",
  "backtests.start": "ud fleet",
  "backtests.list": "vopud fleet",
  "backtests.show": "vopud fleet",
  "rollouts.list": "vopud everywhere",
  "rollouts.show": "vopud within",
  "rollouts.start": "oud within",
  "rollouts.pause": "opud within",
  "rollouts.resume": "oud within",
  "rollouts.abort": "opud within",
  "rollouts.roll-back": "opud within",
  "rollouts.explain": "vopud within",
  "rollouts.approve": "opud within",
  "rollouts.promote": "opud within",
  "stops.show": "vopud everywhere",
  "stops.stop": "opud fleet",
  "stops.release": "oud fleet",
  "freezes.list": "vopud everywhere",
  "freezes.add": "oud fleet",
  "freezes.remove": "oud fleet",
  "detections.list": "vopud everywhere",
  "detections.stream": "vopud everywhere",
  "certificates.list": "vopud everywhere",
  "alerts.list": "vopud everywhere",
  "alerts.show": "vopud within",
  "alerts.acknowledge": "oud within",
  "deliveries.list-webhooks": "vopud fleet",
  "deliveries.create-webhook": "d fleet",
  "deliveries.delete-webhook": "d fleet",
  "deliveries.list": "vopud everywhere",
  "deliveries.send-again": "oud within",
  "tickets.list": "vopud everywhere",
  "health.process": "- open",
  "health.ready": "- open",
  "health.metrics": "vopud fleet",
  "openapi.document": "- open",
};

/** Rows as a team would have made them: what a call ends with does not matter, only whether it is let in. */
export class Things {
  readonly #stores: Stores;
  constructor(stores: Stores) {
    this.#stores = stores;
  }

  async #insert(table: string, row: Record<string, unknown>): Promise<void> {
    const columns = Object.keys(row);
    await ask(
      this.#stores,
      `insert into ${table} (${columns.join(", ")}) values (${columns.map((_, i) => `$${i + 1}`).join(", ")})`,
      Object.values(row).map(value =>
        typeof value === "object" && value !== null && !(value instanceof Date)
          ? JSON.stringify(value)
          : value,
      ),
    );
  }

  async node(team: Team): Promise<string> {
    const id = randomUUID();
    await this.#insert("nodes", {
      id,
      hostname: `host-of-${team}`,
      labels: { team, zone: "1" },
      labels_fixed: { team },
      public_key: randomBytes(32).toString("base64url"),
      kernel: "6.18",
      agent_version: "0.1.0",
      join_token: randomUUID(),
      enrolled_at: new Date(),
    });
    return id;
  }

  async rollout(team: Team): Promise<string> {
    const id = randomUUID();
    await this.#insert("rollouts", {
      id,
      rule_set: `set-of-${team}`,
      version: 1,
      bundle: sha256(Buffer.from(id)),
      selector: { team },
      steps: [{ percent: 100, soak: "0s", share: 100, scope: "all", requireApproval: false }],
      salt: "00",
      lowest_bucket: 0,
      lost_events_max: 0,
      state: "aborted",
      step: 0,
      step_started_at: new Date(),
      created_at: new Date(),
      created_by: `someone-of-${team}`,
    });
    return id;
  }

  async joinToken(team: Team): Promise<string> {
    const id = randomUUID();
    await this.#insert("join_tokens", {
      id,
      hash: id,
      labels: { team },
      uses_max: 1,
      created_at: new Date(),
      created_by: `someone-of-${team}`,
      expires_at: new Date(Date.now() + 3_600_000),
    });
    return id;
  }

  async apiToken(team: Team): Promise<string> {
    const id = randomUUID();
    await this.#insert("api_tokens", {
      id,
      hash: id,
      label: `someone-of-${team}`,
      role: "viewer",
      scope: { team },
      created_at: new Date(),
      created_by: `admin-of-${team}`,
    });
    return id;
  }

  async alert(team: Team): Promise<string> {
    const id = randomUUID();
    const nodes = [await this.node(team)];
    await this.#insert("alerts", {
      id,
      priority: "P3",
      state: "open",
      causal_key: `cause-of-${team}:${id}`,
      title: `seen on host-of-${team}`,
      summary: "…",
      count: 1,
      nodes,
      first_at: new Date(),
      last_at: new Date(),
      heard_at: new Date(),
      ends_quietly: false,
    });
    return id;
  }

  async delivery(team: Team): Promise<string> {
    const [id, webhook] = [randomUUID(), randomUUID()];
    await this.#insert("webhooks", {
      id: webhook,
      url: "http://127.0.0.1:1/",
      priority_min: "P3",
      secret: "whsec_",
      created_at: new Date(),
      created_by: "admin",
      deleted_at: new Date(),
    });
    await this.#insert("deliveries", {
      id,
      alert: await this.alert(team),
      webhook,
      event: "alert.opened",
      priority: "P3",
      body: "{}",
      state: "dead",
      next_attempt_at: new Date(),
      last_error: `receiver-of-${team}`,
      created_at: new Date(),
    });
    return id;
  }

  async ticket(team: Team): Promise<void> {
    await this.#insert("tickets", {
      causal_key: `cause-of-${team}:${randomUUID()}`,
      adapter: "github",
      state: "closed",
      alert: await this.alert(team),
      created_at: new Date(),
      updated_at: new Date(),
    });
  }

  async certificate(team: Team): Promise<void> {
    await this.#insert("certificates", {
      node: await this.node(team),
      host: `db-of-${team}`,
      port: 3306,
      dialect: "mysql",
      handshake: "succeeded",
      causal_key: `certificate:db-of-${team}`,
      at: new Date(),
    });
  }

  async detection(team: Team): Promise<void> {
    const id = randomUUID();
    await this.#insert("detections", {
      node: await this.node(team),
      id,
      kind: "connection",
      at: new Date(),
      received_at: new Date(),
      causal_key: `cause-of-${team}`,
      payload: { id, at: new Date().toISOString(), kind: "connection", causalKey: `cause-of-${team}` },
    });
  }

  /** A rule set that this team pushed first. */
  async ruleSet(team: Team): Promise<void> {
    await this.#insert("rule_versions", {
      rule_set: `set-of-${team}`,
      version: 1,
      bundle: sha256(Buffer.from(`set-of-${team}`)),
      envelope: {},
      rule_text: "",
      signed_by: [],
      owner: { team },
      floor: 0,
      object: "0".repeat(64),
      lost_events_max: 0,
      expires_at: new Date(0),
      pushed_at: new Date(),
      pushed_by: `someone-of-${team}`,
    });
  }
}

const NOBODY = "00000000-0000-4000-8000-000000000000";

/** What is let in and acts on the fleet as a whole sends a body that is not valid: it changes nothing. */
export const calls = (things: Things): Record<Permission, (team: Team) => Promise<Call> | Call> => {
  const plain = (path: string, body?: unknown) => () => ({ path, ...(body !== undefined && { body }) });
  const of =
    (make: (team: Team) => Promise<string>, path: (id: string) => string, body?: unknown) =>
    async (team: Team): Promise<Call> => ({
      path: path(await make(team)),
      ...(body !== undefined && { body }),
    });
  const node = (team: Team) => things.node(team);
  const rollout = (team: Team) => things.rollout(team);
  const alert = (team: Team) => things.alert(team);
  return {
    "identity.me": plain("/v1/me"),
    "identity.sign-in": plain("/v1/session", { token: "pkt_x" }),
    "identity.sign-out": plain("/v1/session"),
    "identity.list-tokens": plain("/v1/api-tokens"),
    "identity.create-token": team => ({
      path: "/v1/api-tokens",
      body: { label: `someone-of-${team}`, role: "viewer", scope: { team } },
    }),
    "identity.revoke-token": of(
      team => things.apiToken(team),
      id => `/v1/api-tokens/${id}`,
    ),
    "sso.show": plain("/v1/sso"),
    "sso.begin": plain("/v1/sso/login?port=x"),
    "sso.callback": plain("/v1/sso/callback?x=&code=1&port=7"),
    "sso.redeem": plain("/v1/sso/token", {}),
    "audit.list": plain("/v1/audit"),
    "audit.verify": plain("/v1/audit/verify"),
    "policies.list": plain("/v1/policies"),
    "policies.shipped": plain("/v1/policies/shipped"),
    "policies.put": plain("/v1/policies/own-x", {}),
    "policies.remove": plain("/v1/policies/own-x"),
    "nodes.enrol": plain("/v1/enrol", {}),
    "nodes.list": plain("/v1/nodes"),
    "nodes.show": of(node, id => `/v1/nodes/${id}`),
    "nodes.retire": of(node, id => `/v1/nodes/${id}`),
    "nodes.quarantine": of(node, id => `/v1/nodes/${id}/quarantine`, { reason: "matrix" }),
    "nodes.release": of(node, id => `/v1/nodes/${id}/quarantine`),
    "nodes.list-join-tokens": plain("/v1/join-tokens"),
    "nodes.create-join-token": team => ({ path: "/v1/join-tokens", body: { labels: { team, zone: "2" } } }),
    "nodes.revoke-join-token": of(
      team => things.joinToken(team),
      id => `/v1/join-tokens/${id}`,
    ),
    "agent.lease": plain("/v1/agent/assignments?wait=0"),
    "agent.acknowledge": plain(`/v1/agent/assignments/${NOBODY}/ack`),
    "agent.desired": plain("/v1/agent/desired"),
    "agent.bundle": plain(`/v1/agent/bundles/${"0".repeat(64)}`),
    "agent.object": plain(`/v1/agent/objects/${"0".repeat(64)}`),
    "agent.rotate-key": plain("/v1/agent/key", {}),
    "agent.report": plain("/v1/agent/report", {}),
    "agent.events": plain("/v1/agent/events", { events: [] }),
    "agent.shapes": plain("/v1/agent/shapes", {}),
    "agent.twin": plain("/v1/agent/twins", {}),
    "agent.claims": plain("/v1/agent/claims", {}),
    "agent.verdicts": plain("/v1/agent/verdicts?after=x"),
    "agent.answers": plain("/v1/agent/verdicts/answers", {}),
    "agent.offer-profile": plain("/v1/agent/profiles", {}),
    "agent.profiles": plain("/v1/agent/profiles?workloads=x"),
    "agent.profile": plain(`/v1/agent/profiles/${"0".repeat(64)}`),
    "profiles.list-offers": plain("/v1/profiles/offers"),
    "profiles.show-offer": plain(`/v1/profiles/offers/${NOBODY}`),
    "profiles.list": plain("/v1/profiles"),
    "profiles.push": plain("/v1/profiles", {}),
    "immunity.show": plain("/v1/immunity"),
    "immunity.list": plain("/v1/immunity/verdicts"),
    "immunity.answers": plain(`/v1/immunity/verdicts/${NOBODY}`),
    "immunity.revoke": plain(`/v1/immunity/verdicts/${NOBODY}`),
    "immunity.stop": plain("/v1/immunity/stop", {}),
    "immunity.release": plain("/v1/immunity/stop"),
    "bundles.list-keys": plain("/v1/release-keys"),
    "bundles.register-key": plain("/v1/release-keys", {}),
    "bundles.show-trust": plain("/v1/trust"),
    "bundles.publish-trust": plain("/v1/trust", {}),
    "agent.trust": plain("/v1/agent/trust?after=0"),
    "bundles.put-object": plain(`/v1/objects/${"0".repeat(64)}`),
    "rules.list-sets": plain("/v1/rule-sets"),
    "rules.list-versions": plain("/v1/rule-sets/shop/versions"),
    "rules.show-version": plain("/v1/rule-sets/shop/versions/1"),
    "rules.push": team => ({ path: `/v1/rule-sets/set-of-${team}/versions`, body: {} }),
    "backtests.start": plain("/v1/backtests", {}),
    "backtests.list": plain("/v1/backtests"),
    "backtests.show": plain(`/v1/backtests/${NOBODY}`),
    "rollouts.list": plain("/v1/rollouts"),
    "rollouts.show": of(rollout, id => `/v1/rollouts/${id}`),
    "rollouts.start": team => ({
      path: "/v1/rollouts",
      body: { ruleSet: "none", version: 1, selector: { team }, steps: [{ percent: 100, soak: "0s" }] },
    }),
    "rollouts.pause": of(rollout, id => `/v1/rollouts/${id}/pause`),
    "rollouts.resume": of(rollout, id => `/v1/rollouts/${id}/resume`),
    "rollouts.abort": of(rollout, id => `/v1/rollouts/${id}/abort`),
    "rollouts.roll-back": of(rollout, id => `/v1/rollouts/${id}/rollback`, { to: 0 }),
    "rollouts.explain": of(rollout, id => `/v1/rollouts/${id}/decisions/1`),
    "rollouts.approve": of(rollout, id => `/v1/rollouts/${id}/approve`),
    "rollouts.promote": of(rollout, id => `/v1/rollouts/${id}/promote`),
    "stops.show": plain("/v1/emergency-stop"),
    "stops.stop": plain("/v1/emergency-stop", {}),
    "stops.release": plain("/v1/emergency-stop"),
    "freezes.list": plain("/v1/freezes"),
    "freezes.add": plain("/v1/freezes", {}),
    "freezes.remove": plain(`/v1/freezes/${NOBODY}`),
    "detections.list": plain("/v1/detections"),
    "detections.stream": plain("/v1/detections/stream"),
    "certificates.list": plain("/v1/certificates"),
    "alerts.list": plain("/v1/alerts"),
    "alerts.show": of(alert, id => `/v1/alerts/${id}`),
    "alerts.acknowledge": of(alert, id => `/v1/alerts/${id}/ack`),
    "deliveries.list-webhooks": plain("/v1/webhooks"),
    "deliveries.create-webhook": plain("/v1/webhooks", {}),
    "deliveries.delete-webhook": plain(`/v1/webhooks/${NOBODY}`),
    "deliveries.list": plain("/v1/deliveries"),
    "deliveries.send-again": of(
      team => things.delivery(team),
      id => `/v1/deliveries/${id}/resend`,
    ),
    "tickets.list": plain("/v1/tickets"),
    "health.process": plain("/healthz"),
    "health.ready": plain("/readyz"),
    "health.metrics": plain("/metrics"),
    "openapi.document": plain("/openapi.json"),
  };
};
