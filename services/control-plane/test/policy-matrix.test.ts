/** Each role on each route, on what carries its labels and on what carries others', over HTTP against PostgreSQL. */
import { Role } from "@picket/shared/api";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Permission, permissions, routeOf } from "../src/identity/permissions.ts";
import { Client, type Fleet, type SimulatedNode, type Stores, startFleet, startStores } from "./fleet.ts";
import { type Call, calls, expected, type Team, Things } from "./policy-matrix.ts";

const letter: Record<Role, string> = { viewer: "v", operator: "o", approver: "p", author: "u", admin: "d" };
const all = Object.keys(permissions) as Permission[];

let stores: Stores;
let fleet: Fleet;
let things: Things;
let node: SimulatedNode;
/** By role: held to team a, and held to nothing. */
const scoped = new Map<Role, Client>();
const unscoped = new Map<Role, Client>();

beforeAll(async () => {
  stores = await startStores();
  // No sweep: rows that a test made by hand are nobody's work.
  fleet = await startFleet(stores, {
    sweepMs: 3_600_000,
    // Nobody is sent there: its routes are there, that is all.
    oidc: {
      issuer: "https://id.invalid",
      clientId: "picket",
      clientSecret: undefined,
      scopes: "openid",
      redirectUri: "https://picket.invalid/v1/sso/callback",
      access: [],
    },
  });
  things = new Things(stores);
  node = await fleet.join("matrix");
  for (const role of Role.options)
    for (const [clients, scope] of [[scoped, { team: "a" }] as const, [unscoped, {}] as const]) {
      const label = `${role}-${Object.values(scope).join() || "all"}`;
      const { token } = await fleet.admin.call<{ token: string }>("POST", "/v1/api-tokens", {
        label,
        role,
        scope,
      });
      clients.set(role, new Client(fleet.url, token));
    }
  for (const team of ["a", "b"] as const) {
    await things.ruleSet(team);
    await things.ticket(team);
    await things.certificate(team);
    await things.detection(team);
    await things.delivery(team);
    await things.rollout(team);
    await things.joinToken(team);
    await things.apiToken(team);
  }
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

/** Through a proxy, so that being on this host's loopback opens nothing. */
async function statusOf(client: Client, permission: Permission, { path, body }: Call): Promise<number> {
  const response = await client.fetch(routeOf(permission).method, path, body, {
    "x-forwarded-for": "203.0.113.9",
  });
  await response.body?.cancel();
  return response.status;
}

test("every permission has an expectation and a call", () => {
  expect(Object.keys(expected).sort()).toEqual([...all].sort());
  expect(Object.keys(calls(things)).sort()).toEqual([...all].sort());
});

describe("each role, on its own labels, on others', and without a scope", () => {
  test.each(all)("%s", async permission => {
    const [roles, reach] = expected[permission].split(" ") as [string, string];
    const call = calls(things)[permission];
    const seen: Record<string, string> = {};
    const wanted: Record<string, string> = {};
    for (const role of Role.options)
      for (const [who, clients] of [["scoped", scoped] as const, ["unscoped", unscoped] as const])
        for (const team of ["a", "b"] as Team[]) {
          const may =
            reach === "open" ||
            (roles.includes(letter[role]) &&
              (who === "unscoped" || reach === "everywhere" || (reach === "within" && team === "a")));
          const status = await statusOf(clients.get(role)!, permission, await call(team));
          const name = `${role} ${who} on team ${team}`;
          wanted[name] = may ? "let in" : "403";
          // What is no permission at all is no answer either: a failure must not pass for being let in.
          seen[name] =
            status === 403
              ? "403"
              : (status === 401 && reach !== "open") || status >= 500
                ? `${status}`
                : "let in";
        }
    expect(seen).toEqual(wanted);
  });
});

test("nobody reaches a route without showing who they are, but for the open ones; a node only a node's", async () => {
  const stranger = { fetch: (method: string, path: string, body?: unknown) => anonymous(method, path, body) };
  for (const permission of all) {
    const [, reach] = expected[permission].split(" ");
    const { path, body } = await calls(things)[permission]("a");
    const { method } = routeOf(permission);
    const response = await stranger.fetch(method, path, body);
    if (reach !== "open") expect(response.status, `${permission} for nobody`).toBe(401);
    const asNode = await statusOf(node.client, permission, { path, body });
    if (reach === "node" || reach === "open") expect(asNode, `${permission} for a node`).not.toBe(403);
    else expect(asNode, `${permission} for a node`).toBe(403);
  }
});

async function anonymous(method: string, path: string, body?: unknown): Promise<Response> {
  const response = await fetch(fleet.url + path, {
    method,
    headers: { "x-forwarded-for": "203.0.113.9", "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  await response.body?.cancel();
  return response;
}

describe("a list shows what carries the caller's labels and nothing else", () => {
  const lists = all.filter(
    permission =>
      permissions[permission][2] === "own" &&
      /\.list/.test(permission) &&
      expected[permission].endsWith("everywhere"),
  );
  test.each(lists)("%s", async permission => {
    const { path } = await calls(things)[permission]("a");
    const shown = JSON.stringify(await scoped.get("admin")!.call("GET", `${path}?limit=500`));
    expect(shown).toMatch(/-of-a|"team":"a"/);
    expect(shown).not.toMatch(/-of-b|"team":"b"/);
    const everything = JSON.stringify(await unscoped.get("admin")!.call("GET", `${path}?limit=500`));
    expect(everything).toMatch(/-of-b|"team":"b"/);
  });
});

test("an alert that other teams' nodes share is shown to who may see them all", async () => {
  const [mine, theirs] = [await things.node("a"), await things.node("b")];
  const id = await things.alert("a");
  const { ask } = await import("./fleet.ts");
  await ask(stores, "update alerts set nodes = $1 where id = $2", [JSON.stringify([mine, theirs]), id]);
  expect(await scoped.get("viewer")!.refusal("GET", `/v1/alerts/${id}`)).toMatchObject({ status: 403 });
  const { items } = await scoped
    .get("viewer")!
    .call<{ items: { id: string }[] }>("GET", "/v1/alerts?limit=500");
  expect(items.map(alert => alert.id)).not.toContain(id);
  expect(await unscoped.get("viewer")!.call("GET", `/v1/alerts/${id}`)).toHaveProperty("id", id);
});

test.each([
  ["rollouts.start", "/v1/rollouts", { ruleSet: "none", version: 1, steps: [{ percent: 100, soak: "0s" }] }],
  ["nodes.create-join-token", "/v1/join-tokens", {}],
  ["identity.create-token", "/v1/api-tokens", { label: "x", role: "admin" }],
])("%s without labels asks for everything, and is refused to who is held to some", async (_, path, body) => {
  expect(await scoped.get("admin")!.refusal("POST", path, body)).toMatchObject({
    status: 403,
    detail: expect.stringContaining("must hold team=a"),
  });
});
