/**
 * What a person does about fleet immunity in the console: reads what is shared, who believes it and who does not and
 * why, takes one verdict back, and stops and releases the whole. Claims are judged again by the real control plane.
 */
import { createHash, generateKeyPairSync } from "node:crypto";
import type { ImmunityStatus, SharedVerdictRow } from "@picket/shared/api";
import { publicKeyOf } from "@picket/shared/dsse";
import type { DisbeliefCode } from "@picket/shared/immunity";
import { SHAPE_ALGORITHM } from "@picket/shared/shape";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  ADMIN,
  ask,
  type Fleet,
  ruleText,
  type SimulatedNode,
  type Stores,
  until,
} from "../../services/control-plane/test/fleet.ts";
import { type Browser, hasChromium } from "./chromium.ts";
import { type FleetConsole, openFleetConsole } from "./fleet-console.ts";
import { become, lookAt, lookAtTop } from "./look.ts";

const online = generateKeyPairSync("ed25519").privateKey;
const RULES = ruleText("shop").replace("spec:\n", "spec:\n  core: true\n");
const hostile = (column: string) =>
  `select ${column} from products where id = ? union select password from accounts /*--*/`;

describe.skipIf(!hasChromium)("immunity in the console", () => {
  let stores: Stores;
  let fleet: Fleet;
  let browser: Browser;
  let page: Page;
  let close: FleetConsole["close"];
  let nodes: SimulatedNode[];

  beforeAll(async () => {
    ({ stores, fleet, browser, page, close } = await openFleetConsole({
      refusals: [401, 403],
      settings: { sharingKey: online },
    }));
    nodes = await Promise.all([1, 2, 3, 4].map(n => fleet.join(`shop-${n}.eu.example.net`)));
  }, 120_000);
  afterAll(() => close?.());
  afterEach(() => expect(browser.complaints.splice(0)).toEqual([]));

  const listed = async () =>
    (await fleet.admin.call<{ items: SharedVerdictRow[] }>("GET", "/v1/immunity/verdicts")).items;
  const status = () => fleet.admin.call<ImmunityStatus>("GET", "/v1/immunity");
  async function claim(from: SimulatedNode, text: string, state: SharedVerdictRow["state"] = "in-force") {
    const shape = createHash("sha256").update(`${SHAPE_ALGORITHM}\nmysql\n${text}`).digest("hex");
    await from.client.call("POST", "/v1/agent/claims", {
      claims: [
        {
          shape,
          dialect: "mysql",
          text,
          rule: "union-graft",
          ruleSet: "shop",
          version: 1,
          judgedAt: new Date().toISOString(),
        },
      ],
    });
    const rows = await until(listed, all => all.some(row => row.text === text && row.state === state), text);
    return rows.find(row => row.text === text)!.id;
  }
  const answer = (from: SimulatedNode, verdict: string, because: DisbeliefCode | null) =>
    from.client.call("POST", "/v1/agent/verdicts/answers", { answers: [{ verdict, because }] });
  const row = (column: string) => page.locator("[data-verdict]").filter({ hasText: column });
  const heading = (name: string | RegExp) => page.getByRole("heading", { level: 1, name });

  test("where no rule version lets the key share, the page says so and what to do", async () => {
    await page.getByRole("link", { name: "Immunity" }).click();
    await page.getByText("Nothing is shared: no rule version lets the online key share").waitFor();
    await page.getByText("picket rules sign shop.yaml --version 2 --delegate").waitFor();
    await page.getByText("No node has claimed a hostile shape.").waitFor();
    await lookAt(page, "immunity-empty", `${fleet.url}/immunity`, () =>
      page.getByText("No node has claimed").waitFor(),
    );
  });

  test("a shared verdict shows its shape, who was first, how many believe it, and why others do not", async () => {
    await fleet.push("shop", 1, {
      ruleText: RULES,
      delegation: {
        ...publicKeyOf(online),
        expiresAt: new Date(Date.now() + 90 * 86_400_000).toISOString(),
        caps: { inForce: 200, inForcePerNode: 20, perHour: 60, ttl: "24h" },
      },
    });
    const id = await claim(nodes[0]!, hostile("price"));
    await claim(nodes[1]!, hostile("price"));
    await answer(nodes[0]!, id, null);
    await answer(nodes[1]!, id, null);
    await answer(nodes[2]!, id, "honest-here");
    await answer(nodes[3]!, id, "not-hostile-here");
    await claim(nodes[1]!, "select name from products where id = ?", "refused");
    await row("price").getByText("2 nodes believe it").waitFor();
    await row("price").getByText("2 do not: 1 honest here, 1 not hostile here").waitFor();
    await row("price").getByText("first judged by shop-1.eu.example.net").waitFor();
    await row("price").getByText("2 nodes claim it").waitFor();
    await row("price")
      .getByText(/ends in 23 h/)
      .waitFor();
    await row("name").getByText("found benign here").waitFor();
    await page.getByText("by leave of shop. 1 verdict in force.").waitFor();
    await lookAt(page, "immunity", `${fleet.url}/immunity`, () => row("price").waitFor());

    await row("price").getByRole("link").click();
    await heading("Shared verdict: union-graft").waitFor();
    await page
      .getByRole("row")
      .filter({ hasText: "shop-3" })
      .getByText("A workload of this node sends it, and it was found honest.")
      .waitFor();
    await page.getByRole("row").filter({ hasText: "shop-1" }).getByText("believed").waitFor();
    await lookAt(page, "immunity-verdict", `${fleet.url}/immunity/${id}`, () =>
      page.getByRole("row").filter({ hasText: "shop-4" }).waitFor(),
    );
  });

  test("who may not change it reads it, and reads why; who is held to labels reads that it is for others", async () => {
    const token = async (body: object) =>
      (await fleet.admin.call<{ token: string }>("POST", "/v1/api-tokens", body)).token;
    const viewer = await token({ label: "viewer", role: "viewer" });
    const team = await token({ label: "team", role: "operator", scope: { team: "shop" } });
    await become(page, viewer);
    await page.goto(`${fleet.url}/immunity`);
    await page.getByText("Your role is viewer; an operator may stop it.").waitFor();
    expect(await page.getByRole("button", { name: "Stop sharing" }).isDisabled()).toBe(true);
    await row("price").getByRole("link").click();
    await page.getByText("Your role is viewer; an operator may take it back.").waitFor();

    await become(page, team);
    await page.goto(`${fleet.url}/immunity`);
    await page.getByText("You may not see what the fleet shares.").waitFor();
    await page.getByText("This concerns the whole fleet, and you are held to team=shop.").waitFor();
    expect(await page.getByRole("button", { name: "Stop sharing" }).count()).toBe(0);
    await lookAt(page, "immunity-not-allowed", `${fleet.url}/immunity`, () =>
      page.locator("[data-forbidden]").waitFor(),
    );
    await become(page, ADMIN);
  });

  test("taking one back asks why, and the page says who did it", async () => {
    await page.goto(`${fleet.url}/immunity`);
    await row("price").getByRole("link").click();
    await page.getByRole("button", { name: "Take it back" }).click();
    const dialog = page.getByRole("dialog", { name: "Take union-graft back?" });
    const act = dialog.getByRole("button", { name: "Take it back" });
    expect(await act.isDisabled()).toBe(true);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    expect((await listed()).find(each => each.text === hostile("price"))?.state).toBe("in-force");
    await page.getByRole("button", { name: "Take it back" }).click();
    await dialog.getByLabel("Why").fill("the export sends it");
    await act.click();
    await page.getByText("the export sends it").waitFor();
    await page.getByText(/taken back by bootstrap/).waitFor();
    expect((await listed()).find(each => each.text === hostile("price"))).toMatchObject({
      state: "revoked",
      because: "the export sends it",
    });
  });

  test("what is refused meanwhile is said in words", async () => {
    await fleet.admin.call("PUT", "/v1/policies/own-nobody-stops", {
      text: `@id("nobody-stops")\nforbid (principal, action == Action::"immunity.stop", resource);`,
    });
    await page.goto(`${fleet.url}/immunity`);
    await page.getByRole("button", { name: "Stop sharing" }).click();
    await page.getByLabel("Why").fill("x");
    await page.getByRole("dialog").getByRole("button", { name: "Stop sharing" }).click();
    await page
      .getByRole("alert")
      .getByText(/nobody-stops forbids it/)
      .waitFor();
    await fleet.admin.call("DELETE", "/v1/policies/own-nobody-stops");
    expect((await status()).stopped).toBe(null);
  });

  test("one button takes everything back and says who pressed it, and one lets verdicts be shared again", async () => {
    await claim(nodes[2]!, hostile("stock"));
    await page.goto(`${fleet.url}/immunity`);
    await row("stock").waitFor();
    await page.getByRole("button", { name: "Stop sharing" }).click();
    const dialog = page.getByRole("dialog", { name: "Stop sharing verdicts?" });
    await dialog.getByText("1 verdict is taken back from every node.").waitFor();
    const act = dialog.getByRole("button", { name: "Stop sharing" });
    expect(await act.isDisabled()).toBe(true);
    await dialog.getByLabel("Why").fill("checkout is down");
    await act.click();
    await page.getByText("Sharing is stopped.").waitFor();
    await page.locator("[data-sharing=stopped]").getByText("By bootstrap").waitFor();
    await row("stock").getByText("sharing was stopped: checkout is down").waitFor();
    expect((await status()).stopped).toMatchObject({ by: "bootstrap", reason: "checkout is down" });
    await lookAt(page, "immunity-stopped", `${fleet.url}/immunity`, () =>
      page.getByText("Sharing is stopped.").waitFor(),
    );
    await page.getByRole("button", { name: "Share again" }).click();
    const release = page.getByRole("dialog", { name: "Share verdicts again?" });
    await release.getByRole("button", { name: "Share again" }).click();
    await release.waitFor({ state: "hidden" });
    await page.getByRole("button", { name: "Stop sharing" }).waitFor();
    expect((await status()).stopped).toBe(null);
  });

  test("a question that was asked stays that question when another operator was quicker", async () => {
    await fleet.admin.call("POST", "/v1/immunity/stop", { reason: "checkout is down" });
    await page.goto(`${fleet.url}/immunity`);
    await page.getByRole("button", { name: "Share again" }).click();
    const release = page.getByRole("dialog", { name: "Share verdicts again?" });
    await release.waitFor();
    await fleet.admin.call("DELETE", "/v1/immunity/stop");
    await page.getByText("Sharing is stopped.").waitFor({ state: "hidden" });
    expect(await page.getByRole("dialog").getByRole("button").allTextContents()).toEqual([
      "Leave it",
      "Share again",
    ]);
    await release.getByRole("button", { name: "Leave it" }).click();
    await page.getByRole("button", { name: "Stop sharing" }).waitFor();
  });

  test("500 rows are all there, and the page stays usable", async () => {
    await ask(
      stores,
      `insert into shared_verdicts (id, state, shape, dialect, text, rule, rule_set, version, source, judged_at, claimed_at, ended_at, ended_by, because)
       select gen_random_uuid(), 'revoked', md5(n::text) || md5(n::text), dialect,
         'select column_' || n || ' from t where id = ? union select password from accounts /*--*/',
         rule, rule_set, version, source, judged_at - n * interval '1 minute', claimed_at - n * interval '1 minute',
         claimed_at, 'bootstrap', 'a report'
       from shared_verdicts, generate_series(1, 500) as n where text = $1 limit 500`,
      [hostile("stock")],
    );
    await page.goto(`${fleet.url}/immunity`);
    await row("column_500 ").waitFor();
    expect(await page.locator("[data-verdict]").count()).toBe(503);
    await lookAtTop(page, "immunity-full", `${fleet.url}/immunity`, () => row("column_500 ").waitFor());
  });

  test("with the control plane away the page keeps what it showed and says so", async () => {
    await page.goto(`${fleet.url}/immunity`);
    await row("column_500 ").waitFor();
    await fleet.close();
    await page.getByText("The control plane is away.").waitFor();
    expect(await page.locator("[data-verdict]").count()).toBe(503);
    await page.getByRole("button", { name: "Stop sharing" }).click();
    await page.getByLabel("Why").fill("x");
    await page.getByRole("dialog").getByRole("button", { name: "Stop sharing" }).click();
    await page.getByText("The control plane does not answer.").first().waitFor();
  });
});
