/** Single sign-on against a real provider over HTTP: authorization code, PKCE, state, nonce, refresh, claims to roles. */

import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "@picket/infra/ports";
import { SsoToken } from "@picket/shared/api";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { AccessRule } from "../src/identity/sso/access.ts";
import { ask, Client, type Fleet, type Stores, startFleet, startStores, until } from "./fleet.ts";
import { Browser, type IdentityProvider, startIdentityProvider } from "./identity-provider.ts";

const access: AccessRule[] = [
  { claim: "groups", value: "picket-admins", role: "admin", scope: {} },
  { claim: "groups", value: "shop", role: "operator", scope: { team: "shop" } },
];

let stores: Stores;
let idp: IdentityProvider;
let fleet: Fleet;
let aheadMs = 0;
beforeAll(async () => {
  stores = await startStores();
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const redirectUri = `${publicUrl}/v1/sso/callback`;
  idp = await startIdentityProvider(redirectUri);
  idp.accounts.set("anna", {
    claims: { email: "anna@example.com", email_verified: true, groups: ["shop", "everybody"] },
  });
  idp.accounts.set("nobody", {
    claims: { email: "n@example.com", email_verified: true, groups: ["everybody"] },
  });
  idp.accounts.set("shy", { claims: {}, refuses: true });
  const { issuer, clientId, clientSecret } = idp;
  fleet = await startFleet(
    stores,
    {
      listen: { host: "127.0.0.1", port },
      publicUrl,
      secretKey: randomBytes(32),
      oidc: {
        issuer,
        clientId,
        clientSecret,
        redirectUri,
        scopes: "openid profile email offline_access",
        access,
      },
    },
    { clock: () => Date.now() + aheadMs },
  );
});
afterAll(async () => {
  await fleet?.close();
  await idp?.close();
  await stores?.stop();
});
beforeEach(async () => {
  aheadMs = 0;
  idp.away(false);
  idp.person = "anna";
  await ask(stores, "delete from sessions");
});

const login = () => `${fleet.url}/v1/sso/login`;
const backHome = (url: string) => url.startsWith(`${fleet.url}/`) && !url.includes("/v1/sso/");
/** To the provider and back, up to the page of the console. */
const signIn = (browser: Browser, query = "") => browser.follow(login() + query, backHome);
const me = (browser: Browser) => browser.get(`${fleet.url}/v1/me`);

test("a person signs in at the provider and is who their groups say, with a cookie that no script reads", async () => {
  const browser = new Browser();
  const { url, response } = await signIn(browser, "?return=/rollouts/7");
  expect(url).toBe(`${fleet.url}/rollouts/7`);
  const session = response.headers.getSetCookie().find(cookie => cookie.startsWith("picket_session="))!;
  expect(session).toMatch(/HttpOnly/);
  expect(session).toMatch(/SameSite=Strict/);
  expect(await (await me(browser)).json()).toEqual({
    name: "sso:anna@example.com",
    role: "operator",
    scope: { team: "shop" },
  });
  const asked = new URL(browser.seen.find(seen => seen.startsWith(`${idp.issuer}/auth`))!).searchParams;
  expect(asked.get("code_challenge_method")).toBe("S256");
  expect([asked.get("state")!.length, asked.get("nonce")!.length]).toEqual([43, 43]);

  // Held to their team like anybody else.
  const cookie = `picket_session=${browser.cookie(fleet.url, "picket_session")}`;
  const stopped = await fetch(`${fleet.url}/v1/emergency-stop`, {
    method: "POST",
    headers: { cookie, "sec-fetch-site": "same-origin", "content-type": "application/json" },
    body: JSON.stringify({ reason: "x" }),
  });
  expect(stopped.status).toBe(403);
  const { items } = await fleet.admin.call<{ items: { actor: string; verb: string }[] }>("GET", "/v1/audit");
  expect(items[0]).toMatchObject({ verb: "sign-in", actor: "sso:anna@example.com" });
});

test("what lies in the database is no session and no token that could be used", async () => {
  const browser = new Browser();
  await signIn(browser);
  const rows = await ask<{ row: object }>(stores, "select to_jsonb(sessions) as row from sessions");
  const text = JSON.stringify(rows);
  expect(text).toContain("anna@example.com");
  expect(text).not.toContain(browser.cookie(fleet.url, "picket_session"));
  expect(rows[0]!.row).toMatchObject({ refresh_token: expect.stringMatching(/^v1\./) });
});

test.each([
  ["?return=https://evil.example/", "/"],
  ["?return=//evil.example/", "/"],
  ["?return=/\\evil.example", "/"],
  ["?return=/alerts", "/alerts"],
])("after signing in with %s one is on this console's %s", async (query, path) => {
  const { url } = await signIn(new Browser(), query);
  expect(url).toBe(fleet.url + path);
});

test("a link with another's code signs nobody in: state and browser must be those that began", async () => {
  const mallory = new Browser();
  const { url: back } = await mallory.follow(login(), url => url.includes("/v1/sso/callback"));
  const victim = new Browser();
  const { url } = await victim.follow(back, backHome);
  expect(url).toBe(`${fleet.url}/?sso=expired`);
  expect((await me(victim)).status).toBe(401);

  // The victim's own attempt, with Mallory's code spliced into it.
  const { url: own } = await victim.follow(login(), at => at.includes("/v1/sso/callback"));
  const spliced = new URL(own);
  const { url: other } = await mallory.follow(login(), at => at.includes("/v1/sso/callback"));
  spliced.searchParams.set("code", new URL(other).searchParams.get("code")!);
  expect((await victim.follow(spliced.href, backHome)).url).toBe(`${fleet.url}/?sso=denied`);
  expect((await me(victim)).status).toBe(401);
});

test("an answer is taken once, and not after ten minutes", async () => {
  const browser = new Browser();
  const { url: back } = await browser.follow(login(), url => url.includes("/v1/sso/callback"));
  const cookie = browser.cookie(fleet.url, "picket_sso")!;
  await browser.follow(back, backHome);
  const again = await fetch(back, { redirect: "manual", headers: { cookie: `picket_sso=${cookie}` } });
  expect(again.headers.get("location")).toBe("/?sso=expired");
  const client = await ask<{ n: string }>(stores, "select count(*) as n from sessions");
  expect(client[0]!.n).toBe("1");
});

test.each([
  ["nobody", "no-access"],
  ["shy", "denied"],
])("%s is not let in: %s", async (person, because) => {
  idp.person = person;
  const browser = new Browser();
  expect((await signIn(browser)).url).toBe(`${fleet.url}/?sso=${because}`);
  expect((await me(browser)).status).toBe(401);
});

test("a quarter of an hour later the provider is asked, once: who left the group is out, who changed it is changed", async () => {
  const browser = new Browser();
  await signIn(browser);
  idp.accounts.get("anna")!.claims.groups = ["picket-admins"];
  expect(await (await me(browser)).json()).toMatchObject({ role: "operator" });
  aheadMs = 16 * 60_000;
  // Several at once: a refresh token that is used twice would end the grant.
  const answers = await Promise.all(Array.from({ length: 8 }, () => me(browser)));
  for (const answer of answers) expect(await answer.json()).toMatchObject({ role: "admin", scope: {} });

  idp.accounts.get("anna")!.claims.groups = [];
  expect((await me(browser)).status).toBe(200);
  aheadMs = 32 * 60_000;
  expect((await me(browser)).status).toBe(401);
  expect(await ask(stores, "select 1 from sessions")).toEqual([]);
  idp.accounts.get("anna")!.claims.groups = ["shop", "everybody"];
});

test.each(["gone", "silent", "failing"] as const)(
  "a provider that is %s lets nobody in, ends nobody's session and holds up nobody else",
  async how => {
    const browser = new Browser();
    await signIn(browser);
    aheadMs = 16 * 60_000;
    idp.away(how);
    // More than there are connections to the database.
    const waiting = Promise.all(Array.from({ length: 20 }, () => me(browser)));
    expect(await fleet.admin.call("GET", "/v1/me")).toMatchObject({ role: "admin" });
    for (const answer of await waiting)
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([
        503,
        how === "silent" ? "timed-out" : "sso-away",
      ]);
    idp.away(false);
    await until(
      () => me(browser),
      ({ status }) => status === 200,
    );
  },
);

test.each([
  ["503", 503, "server_error", 503],
  ["429", 429, "slow_down", 503],
  ["400 temporarily_unavailable", 400, "temporarily_unavailable", 503],
  ["401 of a client that is set up wrongly", 401, "invalid_client", 503],
  ["200 without a token", 200, "none", 503],
  ["400 invalid_grant", 400, "invalid_grant", 401],
])(
  "a provider that says %s: only a grant that is gone ends a session",
  async (_what, status, error, meets) => {
    const browser = new Browser();
    await signIn(browser);
    aheadMs = 16 * 60_000;
    idp.says = { status, body: JSON.stringify({ error }) };
    try {
      expect((await me(browser)).status).toBe(meets);
    } finally {
      idp.says = null;
    }
    expect((await me(browser)).status).toBe(meets === 401 ? 401 : 200);
  },
);

test("while another process asks, a request waits for what it hears", async () => {
  const browser = new Browser();
  await signIn(browser);
  await ask(
    stores,
    "update sessions set check_at = now() - interval '1 s', asked_until = now() + interval '20 s'",
  );
  const waiting = me(browser);
  const heard = { name: "sso:anna@example.com", subject: "anna", role: "viewer", scope: {} };
  await ask(
    stores,
    "update sessions set check_at = now() + interval '15 min', asked_until = null, person = $1",
    [heard],
  );
  expect(await (await waiting).json()).toMatchObject({ role: "viewer" });
});

test("a session ends after twelve hours, and by signing out, of which the provider hears", async () => {
  const browser = new Browser();
  await signIn(browser);
  const cookie = `picket_session=${browser.cookie(fleet.url, "picket_session")}`;
  const before = idp.revoked.length;
  const out = await fetch(`${fleet.url}/v1/session`, {
    method: "DELETE",
    headers: { cookie, "sec-fetch-site": "same-origin" },
  });
  expect(out.status).toBe(204);
  expect((await fetch(`${fleet.url}/v1/me`, { headers: { cookie } })).status).toBe(401);
  expect(idp.revoked.length).toBeGreaterThan(before);

  const other = new Browser();
  await signIn(other);
  aheadMs = 12 * 3_600_000 + 1_000;
  expect((await me(other)).status).toBe(401);
});

// ---- the command line

const cli = () => {
  const verifier = randomBytes(32).toString("base64url");
  const challenge = createHash("sha256").update(verifier).digest("base64url");
  const state = randomBytes(16).toString("base64url");
  return { verifier, state, query: `?${new URLSearchParams({ port: "40001", state, challenge })}` };
};
const toLoopback = (url: string) => url.startsWith("http://127.0.0.1:40001/");
const redeem = (code: string, verifier: string) =>
  new Client(fleet.url, "none").fetch("POST", "/v1/sso/token", { code, verifier });

test("a command line gets a token by its own verifier, once; it expires, is listed and can be revoked", async () => {
  const { verifier, state, query } = cli();
  const { url } = await new Browser().follow(login() + query, toLoopback);
  const back = new URL(url).searchParams;
  expect(back.get("state")).toBe(state);
  const code = back.get("code")!;
  expect((await redeem(code, randomBytes(32).toString("base64url"))).status).toBe(401);
  const answer = await redeem(code, verifier);
  expect(answer.status).toBe(201);
  const { token, me: who } = SsoToken.parse(await answer.json());
  expect(who).toMatchObject({ name: "sso:anna@example.com", role: "operator", scope: { team: "shop" } });
  expect((await redeem(code, verifier)).status).toBe(401);

  const client = new Client(fleet.url, token);
  expect(await client.call("GET", "/v1/me")).toEqual(who);
  const { items } = await fleet.admin.call<{ items: { id: string; label: string }[] }>(
    "GET",
    "/v1/api-tokens",
  );
  const listed = items.find(({ label }) => label === who.name)!;
  await fleet.admin.call("DELETE", `/v1/api-tokens/${listed.id}`);
  expect(await client.refusal("GET", "/v1/me")).toMatchObject({ status: 401 });
});

test("a code is of no use after a minute", async () => {
  const { verifier, query } = cli();
  const { url } = await new Browser().follow(login() + query, toLoopback);
  aheadMs = 61_000;
  expect((await redeem(new URL(url).searchParams.get("code")!, verifier)).status).toBe(401);
});

test("a command line reads in plain words why nobody was let in", async () => {
  idp.person = "nobody";
  const { url } = await new Browser().follow(login() + cli().query, toLoopback);
  expect(new URL(url).searchParams.get("error")).toMatch(/nothing in the configuration gives you a role/);
  expect(new URL(url).searchParams.get("code")).toBeNull();
});

test("nobody can be given a name of the provider's", async () => {
  expect(
    await fleet.admin.refusal("POST", "/v1/api-tokens", { label: "sso:anna@example.com", role: "viewer" }),
  ).toMatchObject({ status: 422, detail: expect.stringContaining("identity provider") });
});

const PICKET = fileURLToPath(new URL("../../../packages/cli/bin/picket.mjs", import.meta.url));

/** The real command; `browse` is given what it tells to open. */
async function picket(home: string, args: string[], browse?: (address: string) => Promise<unknown>) {
  const child = spawn(process.execPath, [PICKET, ...args], {
    env: { PATH: process.env.PATH, HOME: home, XDG_CONFIG_HOME: home, PICKET_CLI_SOURCE: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  let browsing: Promise<unknown> | undefined;
  child.stdout.on("data", chunk => (said.stdout += chunk));
  child.stderr.on("data", chunk => {
    said.stderr += chunk;
    const address = /(http:\S+)\n/.exec(said.stderr)?.[1];
    if (address !== undefined) browsing ??= browse?.(address);
  });
  const code = await new Promise(resolve => child.once("close", resolve));
  await browsing;
  return { code, ...said };
}

test("picket login --sso signs in by the browser, and says why not", async () => {
  const home = mkdtempSync(join(tmpdir(), "picket-sso-"));
  try {
    const made = await picket(home, ["login", fleet.url, "--sso"], address => new Browser().follow(address));
    expect(made).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("as sso:anna@example.com (operator)"),
    });
    expect(made.stdout + made.stderr).not.toMatch(/pkt_/);
    const who = await picket(home, ["whoami", "--json"]);
    expect(JSON.parse(who.stdout)).toMatchObject({ role: "operator", scope: { team: "shop" } });

    idp.person = "nobody";
    const refused = await picket(home, ["login", fleet.url, "--sso"], address =>
      new Browser().follow(address),
    );
    expect(refused).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("nothing in the configuration gives you a role"),
    });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
