/**
 * What a reviewer does in the console: sees what nodes have learned, reads an offer beside the signed profile in force,
 * chooses what is left out, and copies the commands that sign it. The signing itself needs the offline key.
 */
import type { TemplateExport } from "@picket/shared/profile";
import { signProfile } from "@picket/shared/signed-profile";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ADMIN, type Fleet, type SimulatedNode } from "../../services/control-plane/test/fleet.ts";
import { type Browser, hasChromium } from "./chromium.ts";
import { type FleetConsole, openFleetConsole } from "./fleet-console.ts";
import { become, lookAt, lookAtTop } from "./look.ts";

const shapeOf = (n: number) => n.toString(16).padStart(4, "0").repeat(16);
const template = (words: string, n: number, over: Partial<TemplateExport> = {}): TemplateExport => ({
  dialect: "mysql",
  words: words.replaceAll(" ", "\n"),
  shapes: [shapeOf(n)],
  rules: [],
  count: 4_000 - n,
  firstSeenMs: Date.now() - 86_400_000,
  lastSeenMs: Date.now(),
  processes: 3,
  values: [],
  ...over,
});
const profile = (workload: string, templates: TemplateExport[]) => ({
  kind: "picket-profile-1" as const,
  workload,
  databaseUser: "shop",
  database: "orders",
  mode: "learn" as const,
  locked: false,
  templates,
});
const known = template("select id , name from products where category = ?", 1);
const gone = template("select 1 from health", 2);
const added = template("select id from orders where customer = ? order by placed_at limit ?", 3);
const odd = template("select sleep ( ? ) from dual", 4, { rules: ["time-delay"] });

describe.skipIf(!hasChromium)("profiles in the console", () => {
  let fleet: Fleet;
  let browser: Browser;
  let page: Page;
  let close: FleetConsole["close"];
  let node: SimulatedNode;

  beforeAll(async () => {
    ({ fleet, browser, page, close } = await openFleetConsole({ refusals: [401, 403] }));
    node = await fleet.join("shop-1.eu.example.net");
    await browser.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: fleet.url });
  }, 120_000);
  afterAll(() => close?.());
  afterEach(() => expect(browser.complaints.splice(0)).toEqual([]));

  const offer = (workload: string, templates: TemplateExport[], learning = true) =>
    node.client.call("POST", "/v1/agent/profiles", { learning, profile: profile(workload, templates) });
  const sign = (workload: string, version: number, templates: TemplateExport[]) =>
    fleet.admin.call(
      "POST",
      "/v1/profiles",
      signProfile(
        {
          format: 1,
          version,
          profile: profile(workload, templates),
          removed: [],
          createdAt: "2026-01-01T00:00:00.000Z",
          expiresAt: new Date(Date.now() + 90 * 86_400_000).toISOString(),
        },
        fleet.releaseKey,
      ),
    );
  const templates = (state: string) => page.locator(`[data-template="${state}"]`);

  test("where nothing was learned the page says how it comes to be", async () => {
    await page.getByRole("link", { name: "Profiles" }).click();
    await page.getByText("No node has offered a profile.").waitFor();
    await lookAt(page, "profiles-empty", `${fleet.url}/profiles`, () =>
      page.getByText("No node has offered a profile.").waitFor(),
    );
  });

  test("an offer is listed with its workload, user, database and node, and what is signed for it", async () => {
    await sign("shop.service", 1, [known, gone]);
    await offer("shop.service", [known, added, odd]);
    await offer("ledger.service", [known], false);
    await page.goto(`${fleet.url}/profiles`);
    const row = page.locator("[data-offer='shop.service']");
    for (const text of ["shop", "orders", "shop-1.eu.example.net", "learning", "v1"])
      await row.getByText(text, { exact: true }).waitFor();
    await page.locator("[data-offer='ledger.service']").getByText("none").waitFor();
    await page
      .getByRole("region", { name: "Signed profiles" })
      .getByRole("row")
      .filter({ hasText: "by bootstrap" })
      .getByText("newest")
      .waitFor();
    await lookAt(page, "profiles", `${fleet.url}/profiles`, () => row.waitFor());
  });

  test("a review says what is new, what is gone, and which rules its signer would vouch against", async () => {
    await page.getByRole("link", { name: "shop.service" }).click();
    await page.getByText("2 templates more than the signed version 1, and lacks 1 that it holds.").waitFor();
    expect(await templates("new").count()).toBe(2);
    await templates("new").first().getByText("matched by time-delay").waitFor();
    await templates("missing").getByText("only in the signed one").waitFor();
    await templates("in-force").getByText("signed", { exact: true }).waitFor();
    await page.getByText("Who signs says that statements which time-delay matched are honest").waitFor();
    await lookAt(page, "profile", page.url(), () => templates("new").first().waitFor());
  });

  test("what is left out is in the command that is copied, and signing stays with the offline key", async () => {
    await templates("new").first().getByRole("checkbox").check();
    await page.getByText("Without 1 template, which nodes then forget:").waitFor();
    await page.getByRole("button", { name: /^Copy: picket profiles review/ }).click();
    await page.getByText("Copied", { exact: true }).first().waitFor();
    const id = new URL(page.url()).pathname.split("/").at(-1);
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(
      `picket profiles review ${id} --remove ${shapeOf(4).slice(0, 16)} --out shop.service.json`,
    );
    await page.getByText("picket profiles sign shop.service.json --version 2").waitFor();
    await page.getByText("picket profiles push shop.service.signed.json").waitFor();
    await templates("new").first().getByRole("checkbox").uncheck();
    await page.getByText("All templates that are offered:").waitFor();
  });

  test("who is held to labels reads that profiles are the whole fleet's", async () => {
    const { token } = await fleet.admin.call<{ token: string }>("POST", "/v1/api-tokens", {
      label: "team",
      role: "author",
      scope: { team: "shop" },
    });
    await become(page, token);
    await page.goto(`${fleet.url}/profiles`);
    await page.getByText("You may not see profiles.").waitFor();
    await page.getByText("This concerns the whole fleet, and you are held to team=shop.").waitFor();
    await become(page, ADMIN);
  });

  test("500 offers, and 500 templates in one, stay readable", async () => {
    const many = Array.from({ length: 500 }, (_, n) => template(`select c${n} from t where id = ?`, n + 10));
    const others = await Promise.all(
      Array.from({ length: 9 }, (_, n) => fleet.join(`shop-${n + 2}.eu.example.net`)),
    );
    for (const [i, from] of others.entries())
      for (let n = 0; n < 55; n++)
        await from.client.call("POST", "/v1/agent/profiles", {
          learning: false,
          profile: profile(`unit-${i}-${n}.service`, [known]),
        });
    await offer("many.service", many);
    await lookAtTop(page, "profiles-full", `${fleet.url}/profiles`, () =>
      page.getByText("498 offers, the newest word of each node.").waitFor(),
    );
    expect(await page.locator("[data-offer]").count()).toBe(498);
    await page.getByRole("link", { name: "many.service" }).click();
    await page.getByText("200 of 500 are shown.").waitFor();
    await page.getByRole("button", { name: "Show more" }).click();
    expect(await templates("new").count()).toBe(400);
    await lookAtTop(page, "profile-full", page.url(), () => templates("new").first().waitFor());
  });

  test("with the control plane away what was opened stays, and what was not says so", async () => {
    await page.goto(`${fleet.url}/profiles`);
    await page.locator("[data-offer='shop.service']").waitFor();
    await fleet.close();
    await page.getByText("The control plane is away.").waitFor();
    expect(await page.locator("[data-offer]").count()).toBe(498);
    await page.getByRole("link", { name: "shop.service" }).click();
    await page.getByRole("alert").getByText("The control plane does not answer.").waitFor();
  });
});
