/** Who is let in, and how far. */
import { generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GATEWAY_PERMISSIONS } from "../src/gateway/routes.ts";
import { app } from "../src/http/app.ts";
import { permissions, routeOf } from "../src/identity/permissions.ts";
import { CALLS_PER_WINDOW } from "../src/nodes/rate.ts";
import { openServices } from "../src/services.ts";
import {
  ask,
  Client,
  configFor,
  type Fleet,
  nodeToken,
  type SimulatedNode,
  type Stores,
  startFleet,
  startStores,
  statement,
  until,
} from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
let node: SimulatedNode;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores);
  node = await fleet.join("db-1");
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

const ID = "00000000-0000-4000-8000-000000000000";
const concrete = (path: string) =>
  path
    .replace("{digest}", "0".repeat(64))
    .replace("{name}", "shop")
    .replace("{policy}", "own-x")
    .replace("{decision}", "1")
    .replace("{version}", "1")
    .replace("{id}", ID);

/** From the running app, not from the table: a route that is missing there would show. */
async function registeredRoutes(): Promise<{ method: string; path: string }[]> {
  const services = await openServices(configFor(stores), "routes");
  const api = app(services);
  await services.close();
  const routes = api.routes
    .filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => ({ method: String(method), path: path.replace(/:(\w+)/g, "{$1}") }));
  return [...routes, ...GATEWAY_PERMISSIONS.map(routeOf)];
}

test("every registered route refuses who shows nothing, but for the few that are meant for anyone", async () => {
  const open = new Set<string>();
  const routes = await registeredRoutes();
  expect(new Set(routes.map(({ method, path }) => `${method} ${path}`))).toEqual(
    new Set(Object.values(permissions).map(([route]) => route)),
  );
  for (const { method, path } of routes) {
    // Through a proxy, so that being on loopback opens nothing.
    const response = await fetch(fleet.url + concrete(path), {
      method,
      headers: { "x-forwarded-for": "203.0.113.9" },
    });
    await response.body?.cancel();
    if (response.status !== 401) open.add(`${method} ${path}`);
  }
  expect(open).toEqual(
    new Set([
      "GET /healthz",
      "GET /readyz",
      "GET /openapi.json",
      "POST /v1/enrol",
      "POST /v1/session",
      "GET /v1/sso",
      "GET /v1/sso/login",
      "GET /v1/sso/callback",
      "POST /v1/sso/token",
    ]),
  );
});

test("a wrong credential is refused on every route that asks for one, and never taken for none", async () => {
  for (const [route, group] of Object.values(permissions)) {
    if (group === "open") continue;
    const [method, path] = route.split(" ") as [string, string];
    for (const wrong of [
      `pkt_${"x".repeat(32)}`,
      nodeToken(generateKeyPairSync("ed25519").privateKey, node.id),
      "x",
    ]) {
      const refused = await new Client(fleet.url, wrong).refusal(method, concrete(path));
      expect(refused, route).toMatchObject({ status: 401, code: "unauthenticated" });
    }
  }
});

test("metrics are for this host and for who has a token", async () => {
  expect((await fetch(`${fleet.url}/metrics`)).status).toBe(200);
  const forwarded = await fetch(`${fleet.url}/metrics`, { headers: { "x-forwarded-for": "203.0.113.9" } });
  expect(forwarded.status).toBe(401);
});

// ---- tokens and sessions

test("a token is shown once, ends when it is revoked, and takes its sessions with it", async () => {
  const made = await fleet.admin.call<{ id: string; token: string }>("POST", "/v1/api-tokens", {
    label: "ci",
    role: "viewer",
  });
  expect(made.token).toMatch(/^pkt_/);
  const listed = await fleet.admin.call<{ items: Record<string, unknown>[] }>("GET", "/v1/api-tokens");
  expect(JSON.stringify(listed)).not.toContain("pkt_");
  const cookie = await signIn(made.token);
  expect(await withCookie(cookie, "GET", "/v1/me")).toMatchObject({ status: 200 });

  await fleet.admin.call("DELETE", `/v1/api-tokens/${made.id}`);
  expect(await new Client(fleet.url, made.token).refusal("GET", "/v1/me")).toMatchObject({ status: 401 });
  expect(await withCookie(cookie, "GET", "/v1/me")).toMatchObject({ status: 401 });
});

test("the last admin token cannot be revoked", async () => {
  const { items } = await fleet.admin.call<{ items: { id: string; role: string; label: string }[] }>(
    "GET",
    "/v1/api-tokens",
  );
  for (const { id } of items.filter(({ role, label }) => role === "admin" && label !== "bootstrap"))
    await fleet.admin.call("DELETE", `/v1/api-tokens/${id}`);
  const last = items.find(({ label }) => label === "bootstrap")!;
  expect(await fleet.admin.refusal("DELETE", `/v1/api-tokens/${last.id}`)).toMatchObject({
    code: "wrong-state",
  });
});

async function signIn(token: string): Promise<string> {
  const response = await fetch(`${fleet.url}/v1/session`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  });
  expect(response.status).toBe(200);
  const cookie = response.headers.get("set-cookie")!;
  expect(cookie).toMatch(/HttpOnly/);
  expect(cookie).toMatch(/SameSite=Strict/);
  expect(cookie).not.toContain(token);
  return cookie.split(";")[0]!;
}

const withCookie = (cookie: string, method: string, path: string, headers: Record<string, string> = {}) =>
  fetch(fleet.url + path, { method, headers: { cookie, ...headers } });

test.each([
  ["the console itself", { "sec-fetch-site": "same-origin" }, 403, "forbidden"],
  ["an older browser's page of this host", { origin: "self" }, 403, "forbidden"],
  ["another site", { "sec-fetch-site": "cross-site", origin: "https://evil.example" }, 403, "cross-site"],
  ["a sibling host", { "sec-fetch-site": "same-site" }, 403, "cross-site"],
  ["another site in an older browser", { origin: "https://evil.example" }, 403, "cross-site"],
  ["a sandboxed page", { origin: "null" }, 403, "cross-site"],
  ["nobody knows who", {}, 403, "cross-site"],
])("a change by cookie from %s", async (_, headers: Record<string, string>, status, code) => {
  const { token } = await fleet.admin.call<{ token: string }>("POST", "/v1/api-tokens", {
    label: "v",
    role: "viewer",
  });
  const cookie = await signIn(token);
  const origin = headers.origin === "self" ? { origin: fleet.url } : {};
  // A viewer's: "forbidden" shows that the request was believed to be the viewer's own.
  const response = await withCookie(cookie, "POST", `/v1/rollouts/${ID}/pause`, { ...headers, ...origin });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ code });
});

test("signing out ends the session", async () => {
  const { token } = await fleet.admin.call<{ token: string }>("POST", "/v1/api-tokens", {
    label: "v",
    role: "viewer",
  });
  const cookie = await signIn(token);
  const out = await withCookie(cookie, "DELETE", "/v1/session", { "sec-fetch-site": "same-origin" });
  expect(out.status).toBe(204);
  expect((await withCookie(cookie, "GET", "/v1/me")).status).toBe(401);
});

test("guessing tokens is slowed down, and who knows one is told to wait, too", async () => {
  const other = await startFleet(stores);
  try {
    const guess = (token: string) => new Client(other.url, "none").fetch("POST", "/v1/session", { token });
    const statuses: number[] = [];
    for (let i = 0; i < 25; i++) statuses.push((await guess(`pkt_${i}`)).status);
    expect(statuses.slice(0, 20)).toEqual(Array(20).fill(401));
    expect(statuses.slice(20)).toEqual(Array(5).fill(429));
    const refused = await guess(other.admin.token);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  } finally {
    await other.close();
  }
});

// ---- nodes

async function joinToken(input: Record<string, unknown>): Promise<{ id: string; token: string }> {
  return fleet.admin.call("POST", "/v1/join-tokens", input);
}

test("two uses let in two of ten nodes that ask at once", async () => {
  const { token } = await joinToken({ usesMax: 2 });
  const answers = await Promise.allSettled(
    Array.from({ length: 10 }, (_, i) => startNode(token, `race-${i}`)),
  );
  expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
});

const startNode = (token: string, hostname: string, labels = {}) =>
  import("./fleet.ts").then(({ SimulatedNode }) => SimulatedNode.enrol(fleet.url, token, hostname, labels));

test("an expired, a revoked and an unknown join token let nobody in", async () => {
  const expired = await joinToken({ ttl: "1ms" });
  const revoked = await joinToken({});
  await fleet.admin.call("DELETE", `/v1/join-tokens/${revoked.id}`);
  for (const token of [expired.token, revoked.token, "pkj_unknown"])
    await expect(startNode(token, "nobody")).rejects.toThrow("join-token-refused");
});

test("a node keeps its join token's labels, whatever it says of itself", async () => {
  const { token } = await joinToken({ labels: { env: "prod" } });
  const joined = await startNode(token, "liar", { env: "test", zone: "a" });
  joined.labels = { env: "test", zone: "b" };
  await joined.report();
  const shown = await fleet.admin.call<{ labels: object }>("GET", `/v1/nodes/${joined.id}`);
  expect(shown.labels).toEqual({ env: "prod", zone: "b" });
});

test("a node whose answer was lost enrols again as the same node, without a second use", async () => {
  const { token } = await joinToken({ usesMax: 1 });
  const { publicKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("base64url");
  const body = { joinToken: token, publicKey: raw, hostname: "again", kernel: "6.18", agentVersion: "0.1.0" };
  const [first, second] = [
    await fleet.admin.call("POST", "/v1/enrol", body),
    await fleet.admin.call("POST", "/v1/enrol", body),
  ];
  expect(second).toEqual(first);
  const stranger = await joinToken({});
  expect(
    await fleet.admin.refusal("POST", "/v1/enrol", { ...body, joinToken: stranger.token }),
  ).toMatchObject({
    code: "key-taken",
  });
});

const nowS = () => Math.floor(Date.now() / 1_000);
test.each([
  ["expired", () => ({ iat: nowS() - 200, exp: nowS() - 140 })],
  ["from the future", () => ({ iat: nowS() + 120, exp: nowS() + 180 })],
  ["good for an hour", () => ({ exp: nowS() + 3_600 })],
  ["without an end", () => ({ exp: undefined })],
  ["without an id", () => ({ jti: undefined })],
  ["for another audience", () => ({ aud: "other" })],
  ["of another subject", () => ({ sub: ID })],
  ["of a node that is not enrolled", () => ({ iss: ID, sub: ID })],
])("a node token that is %s is refused", async (_, claims) => {
  const token = nodeToken(node.key, node.id, claims());
  expect(await new Client(fleet.url, token).refusal("GET", "/v1/agent/desired")).toMatchObject({
    status: 401,
  });
});

test("a node token is good for one call, at whichever process it comes again", async () => {
  const other = await startFleet(stores);
  try {
    const { token } = node.client;
    expect((await new Client(fleet.url, token).fetch("GET", "/v1/agent/desired")).status).toBe(200);
    for (const url of [fleet.url, other.url])
      for (const path of ["/v1/agent/desired", "/v1/agent/assignments?wait=0"])
        expect(await new Client(url, token).refusal("GET", path)).toMatchObject({
          status: 401,
          detail: expect.stringContaining("used before"),
        });
  } finally {
    await other.close();
  }
});

test("a flood from one node is refused, and holds up no other", async () => {
  const flooding = await fleet.join("flood");
  const statuses = new Map<number, number>();
  // Many at once, as a flood comes: one after the other a busy machine would not get past the bound in a window.
  for (let sent = 0; sent < 2 * CALLS_PER_WINDOW; sent += 50) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => flooding.client.fetch("GET", "/v1/agent/assignments?wait=0")),
    );
    for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  // The windows are ten seconds long: at most one ended meanwhile.
  expect(statuses.get(429)).toBeGreaterThan(0);
  expect(await node.poll(0)).toBeNull();
});

test("a token that claims to need no signature is refused", async () => {
  const [, payload] = nodeToken(node.key, node.id).split(".");
  const header = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  expect(
    await new Client(fleet.url, `${header}.${payload}.`).refusal("GET", "/v1/agent/desired"),
  ).toMatchObject({
    status: 401,
  });
});

test("a node cannot acknowledge another node's assignment or write another node's events", async () => {
  await fleet.push("own", 1);
  const other = await fleet.join("own-2", { test: "own" });
  await fleet.start("own", 1, [{ percent: 100 }], { test: "own" });
  const lease = await other.poll(5);
  await node.acknowledge(lease!.assignment.id);
  const { items } = await fleet.admin.call<{ items: { id: string }[] }>("GET", "/v1/rollouts");
  const details = await fleet.rollout(items[0]!.id);
  expect(details.nodesPlanned[0]).toMatchObject({ state: "assigned" });

  // The event id alone is no key: two nodes may draw the same one.
  const event = statement({ priority: "P3", causalKey: "own" });
  expect(await node.events([event])).toEqual({ committed: 1, duplicates: 0 });
  expect(await other.events([event])).toEqual({ committed: 1, duplicates: 0 });
});

test("a retired node is refused from then on, and the poll that it holds ends", async () => {
  const gone = await fleet.join("gone");
  const waiting = gone.poll(60);
  await until(
    async () => (await fetch(`${fleet.url}/metrics`)).text(),
    text => text.includes("picket_gateway_waiters 1"),
    "the poll waits",
  );
  await fleet.admin.call("DELETE", `/v1/nodes/${gone.id}`);
  await expect(gone.report()).rejects.toThrow("401");
  await expect(gone.poll(0)).rejects.toThrow("401");
  expect(await waiting).toBeNull();
  expect(await fleet.admin.refusal("GET", `/v1/nodes/${gone.id}`)).toMatchObject({ status: 404 });
});

test("a quarantined node is refused at every process, its poll ends, and released it speaks again", async () => {
  const other = await startFleet(stores);
  try {
    const suspect = await fleet.join("suspect");
    await suspect.report();
    const waiting = suspect.poll(60);
    await until(
      async () => (await fetch(`${fleet.url}/metrics`)).text(),
      text => text.includes("picket_gateway_waiters 1"),
      "the poll waits",
    );
    await fleet.admin.call("POST", `/v1/nodes/${suspect.id}/quarantine`, { reason: "its host was rebuilt" });
    expect(await waiting).toBeNull();
    for (const url of [fleet.url, other.url])
      for (const path of ["/v1/agent/desired", "/v1/agent/assignments?wait=0"])
        expect(await new Client(url, suspect.client.token).refusal("GET", path)).toMatchObject({
          status: 401,
        });
    expect(await fleet.admin.call("GET", `/v1/nodes/${suspect.id}`)).toHaveProperty("quarantinedAt");
    expect(
      await fleet.admin.refusal("POST", `/v1/nodes/${suspect.id}/quarantine`, { reason: "again" }),
    ).toMatchObject({ status: 404 });

    await fleet.admin.call("DELETE", `/v1/nodes/${suspect.id}/quarantine`);
    await suspect.report();
    expect(await suspect.poll(0)).toBeNull();
  } finally {
    await other.close();
  }
});

// ---- audit, description, page

test("every change is in the audit log, and one that was altered later shows", async () => {
  const { items } = await fleet.admin.call<{ items: { verb: string; actor: string; sequence: number }[] }>(
    "GET",
    "/v1/audit?limit=500",
  );
  const verbs = new Set(items.map(({ verb }) => verb));
  for (const verb of [
    "create-token",
    "revoke-token",
    "create-join-token",
    "enrol",
    "register-key",
    "push",
    "start",
    "retire",
    "sign-in",
  ])
    expect(verbs).toContain(verb);
  expect(JSON.stringify(items)).not.toMatch(/pkt_|pkj_|pks_/);
  expect(await fleet.admin.call("GET", "/v1/audit/verify")).toMatchObject({ intact: true, brokenAt: null });

  await ask(stores, "update audit_log set actor = 'somebody else' where sequence = 3");
  expect(await fleet.admin.call("GET", "/v1/audit/verify")).toMatchObject({ intact: false, brokenAt: 3 });
});

test("the API describes every route with its answer", async () => {
  const document = await fleet.admin.call<{ paths: Record<string, Record<string, unknown>> }>(
    "GET",
    "/openapi.json",
  );
  for (const [route] of Object.values(permissions)) {
    const [method, path] = route.split(" ") as [string, string];
    if (path.startsWith("/v1/agent/assignments")) continue; // Registered by the gateway, described where it runs.
    expect(document.paths[path]?.[method.toLowerCase()], route).toBeDefined();
  }
});

test("what is no route is a problem below /v1 and the console elsewhere", async () => {
  expect(await fleet.admin.refusal("GET", "/v1/nonsense")).toMatchObject({ status: 404, code: "not-found" });
  const page = await fetch(`${fleet.url}/rollouts/42`);
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(page.headers.get("content-type")).toContain("text/html");
  expect((await fetch(`${fleet.url}/..%2f..%2fpackage.json`)).headers.get("content-type")).toContain(
    "text/html",
  );
});

test("a body that is no JSON, too large or not valid is refused with what is wrong", async () => {
  const send = (body: string) =>
    fetch(`${fleet.url}/v1/join-tokens`, {
      method: "POST",
      headers: { authorization: `Bearer ${fleet.admin.token}`, "content-type": "application/json" },
      body,
    });
  expect((await send("{")).status).toBe(400);
  expect((await send(JSON.stringify({ labels: { a: "x".repeat(2 << 20) } }))).status).toBe(413);
  const invalid = await send(JSON.stringify({ usesMax: 0 }));
  expect(invalid.status).toBe(422);
  expect(await invalid.json()).toMatchObject({ detail: expect.stringContaining("usesMax") });
});
