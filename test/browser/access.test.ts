/**
 * Who may do what, as the console shows it: who one is, API tokens and their end, the fleet's own policies with every
 * version, and the shipped ones; and in words what is not for the reader.
 */
import type { ApiToken } from "@picket/shared/api";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ADMIN, ask, type Fleet, type Stores } from "../../services/control-plane/test/fleet.ts";
import { type Browser, hasChromium } from "./chromium.ts";
import { type FleetConsole, openFleetConsole } from "./fleet-console.ts";
import { become, lookAt, lookAtTop } from "./look.ts";

const NIGHT = `@id("no-rollouts-at-night")
forbid (principal, action == Action::"rollouts.start", resource)
when { resource.labels.contains("env=prod") };`;

describe.skipIf(!hasChromium)("access in the console", () => {
  let stores: Stores;
  let fleet: Fleet;
  let browser: Browser;
  let page: Page;
  let close: FleetConsole["close"];

  beforeAll(async () => {
    ({ stores, fleet, browser, page, close } = await openFleetConsole({ refusals: [401, 403, 409] }));
  }, 120_000);
  afterAll(() => close?.());
  afterEach(() => expect(browser.complaints.splice(0)).toEqual([]));

  const create = async (body: object) =>
    (await fleet.admin.call<{ token: string }>("POST", "/v1/api-tokens", body)).token;
  const tokens = async () =>
    (await fleet.admin.call<{ items: ApiToken[] }>("GET", "/v1/api-tokens")).items.map(({ label }) => label);
  const row = (label: string) => page.locator(`[data-token="${label}"]`);

  test("a fresh fleet: who one is, the one token, and no policy of its own", async () => {
    await page.getByRole("link", { name: "Access" }).click();
    await page.getByText("As admin one does what every role does").waitFor();
    await row("bootstrap").getByText("the whole fleet").waitFor();
    await page.getByText("There is none: the shipped policies alone decide.").waitFor();
    await lookAt(page, "access-empty", `${fleet.url}/access`, () => row("bootstrap").waitFor());
  });

  test("a token shows its role, its reach, when it was used and when it ends; a policy shows all its versions", async () => {
    await create({ label: "shop-deploy", role: "operator", scope: { team: "shop" }, ttl: "30d" });
    await fleet.admin.call("PUT", "/v1/policies/own-night", { text: NIGHT });
    await fleet.admin.call("PUT", "/v1/policies/own-night", { text: NIGHT.replace("env=prod", "env=live") });
    await fleet.admin.call("PUT", "/v1/policies/own-old", { text: NIGHT.replace("no-rollouts", "never") });
    await fleet.admin.call("DELETE", "/v1/policies/own-old");
    await page.goto(`${fleet.url}/access`);
    for (const text of ["operator", "team=shop", "never used", "in 29 days"])
      await row("shop-deploy").getByText(text, { exact: true }).waitFor();
    const night = page.locator("[data-policy=own-night]");
    await night.getByText("in force").waitFor();
    await night.getByText("env=live").waitFor();
    expect(await night.getByText("env=prod").isVisible()).toBe(false);
    await night.getByText("1 earlier version").click();
    await night.getByText("env=prod").waitFor();
    await page.locator("[data-policy=own-old]").getByText("removed", { exact: true }).waitFor();
    await page.getByText("people.cedar").click();
    await page.getByText('@id("halt-approver")').waitFor();
    await lookAt(page, "access", `${fleet.url}/access`, () => night.waitFor());
  });

  test("a token is revoked once one has said so, and its bearer is out; the last admin's stays", async () => {
    const bearer = await create({ label: "leaver", role: "viewer" });
    await page.goto(`${fleet.url}/access`);
    await page.getByRole("button", { name: "Revoke leaver" }).click();
    const dialog = page.getByRole("dialog", { name: "Revoke leaver?" });
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    expect(await tokens()).toContain("leaver");
    await page.getByRole("button", { name: "Revoke leaver" }).click();
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await row("leaver").waitFor({ state: "detached" });
    expect(await tokens()).not.toContain("leaver");
    const answer = await fetch(`${fleet.url}/v1/me`, { headers: { authorization: `Bearer ${bearer}` } });
    expect(answer.status).toBe(401);

    await page.getByRole("button", { name: "Revoke bootstrap" }).click();
    await page.getByText("You may be signed in with it yourself").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("alert").getByText("this is the last admin token").waitFor();
    await row("bootstrap").waitFor();
  });

  test("who is no admin reads who they are and the shipped policies, and in words what is not for them", async () => {
    await become(page, await create({ label: "reader", role: "viewer", scope: { team: "shop" } }));
    await page.goto(`${fleet.url}/access`);
    await page.getByText("You may not see API tokens.").waitFor();
    await page.getByText("You may not see policies.").waitFor();
    await page.getByText("This needs the role admin.").first().waitFor();
    await page.getByText("You reach only what carries these labels").waitFor();
    await page.getByText("people.cedar").click();
    await page.getByText('@id("halt-approver")').waitFor();
    expect(await page.getByRole("button", { name: /^Revoke/ }).count()).toBe(0);
    await lookAt(page, "access-viewer", `${fleet.url}/access`, () =>
      page.getByText("You may not see policies.").waitFor(),
    );
    await become(page, ADMIN);
  });

  test("500 tokens are all there", async () => {
    await ask(
      stores,
      `insert into api_tokens (id, hash, label, role, scope, created_at, created_by, expires_at, last_used_at)
       select gen_random_uuid(), md5(n::text), 'ci-' || n, 'operator', '{"team":"shop","env":"prod"}',
         now() - n * interval '1 hour', 'bootstrap', now() + (n - 20) * interval '1 day', now() - n * interval '1 minute'
       from generate_series(1, 500) as n`,
    );
    await lookAtTop(page, "access-full", `${fleet.url}/access`, () => row("ci-500").waitFor());
    expect(await page.locator("[data-token]").count()).toBe(503);
    await row("ci-3").getByText("over").waitFor();
  });

  test("with the control plane away what was shown stays, and revoking says that nothing answers", async () => {
    await page.goto(`${fleet.url}/access`);
    await row("ci-500").waitFor();
    await fleet.close();
    await page.getByText("The control plane is away.").waitFor();
    expect(await page.locator("[data-token]").count()).toBe(503);
    await page.getByRole("button", { name: "Revoke shop-deploy" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("alert").getByText("The control plane does not answer.").first().waitFor();
  });
});
