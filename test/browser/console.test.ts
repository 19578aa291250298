/**
 * The console as people meet it: in a browser, served by the real control plane, with nodes that speak the
 * contract. The tests go on from each other: an empty fleet first, then nodes, a rollout, detections.
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Alert, RolloutDetails } from "@picket/shared/api";
import type { Detection } from "@picket/shared/detection";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Browser, hasChromium, openBrowser } from "./chromium.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { blockedUnion, detections, VERIFIER_LINES } from "./fleet.ts";
import { faintTexts, focused, overflow, runningAnimations, structure, unnamedControls } from "./in-page.ts";
import {
  enrolFleet,
  type Fleet,
  install,
  nodesOfStep,
  refuse,
  rollOutEverywhere,
  startRollout,
  until,
} from "./seed.ts";

if (!hasChromium)
  console.error("SKIPPED: no /usr/bin/chromium, the console was not tested (apt-get install chromium)");

/** Chromium writes each answer of 4xx or 5xx, and each call that fails, to the console: the tests bring them about. */
const expected = (text: string) =>
  /^Failed to load resource: (the server responded with a status of (401|503)|net::ERR_)/.test(text);

describe.skipIf(!hasChromium)("the console", () => {
  let plane: ControlPlane;
  let browser: Browser;
  let page: Page;
  let fleet: Fleet;
  let rollout: RolloutDetails;

  beforeAll(async () => {
    [plane, browser] = await Promise.all([startControlPlane(), openBrowser({ expected })]);
    page = await browser.context.newPage();
    page.setDefaultTimeout(20_000);
  });
  afterAll(async () => {
    await browser?.close();
    await plane?.stop();
  });
  afterEach(() => expect(browser.complaints.splice(0)).toEqual([]));

  const go = (path: string) => page.goto(`${plane.url}${path}`);
  const heading = (name: string | RegExp) => page.getByRole("heading", { level: 1, name });
  const see = (text: string | RegExp) => page.getByText(text).first().waitFor();
  const signIn = async (token: string) => {
    await page.getByLabel("API token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
  };
  const signedIn = () => page.getByRole("button", { name: "Sign out" }).waitFor();

  test("a wrong token is refused in words, and signing in leads to the page that was asked for", async () => {
    await go("/nodes");
    await signIn("pkt_this-token-was-never-made");
    await page.getByRole("alert").getByText("not known").waitFor();
    await page.getByLabel("API token").evaluate((input: { matches(s: string): boolean }) => {
      if (!input.matches(":focus")) throw new Error("the field has not the focus");
    });
    await signIn(plane.token);
    await heading("Nodes").waitFor();
    expect(new URL(page.url()).pathname).toBe("/nodes");
  });

  test("neither the session nor the token can be read by a script", async () => {
    expect(await page.evaluate("document.cookie + JSON.stringify(localStorage)")).toBe("{}");
  });

  test("an empty fleet says what to do, and claims nothing", async () => {
    await see("No node is enrolled yet.");
    await see(`sudo picket agent join ${plane.url}`);
    await go("/");
    await heading("No host is guarded yet.").waitFor();
    await go("/rollouts");
    await see("No rollout yet.");
    await go("/detections");
    await see("No node is enrolled, so nothing is watched.");
    await go("/alerts");
    await see("No alert was ever raised.");
  });

  test("nodes show their version, their guarantees and what was lost", async () => {
    fleet = await enrolFleet(plane);
    await rollOutEverywhere(plane, fleet, 2);
    await go("/nodes");
    const row = page.getByRole("row").filter({ hasText: "shop-3.us.example.net" });
    await row.getByText("v2").waitFor();
    await row.getByText("58 prevented").waitFor();
    await row.getByText("2 unseen").waitFor();
    await row.getByRole("cell", { name: "12", exact: true }).waitFor();
    await see("All 5 nodes report.");
  });

  test("the overview adds up what the nodes report, and says whose word it is", async () => {
    await go("/");
    await heading("What the rules block is stopped on 106 of 141 database connections.").waitFor();
    await see("5 can only be cut once a statement is under way, 20 are watched only and 10 cannot be seen.");
    await see("As all 5 nodes report.");
    await page.locator("[data-figure=prevented]").getByText("75 % of 141").waitFor();
  });

  test("a connection shows its guarantee, or why it is unseen; the list says how much of all it is", async () => {
    await go("/nodes");
    await page.getByRole("link", { name: "shop-3.us.example.net" }).click();
    await heading("shop-3.us.example.net").waitFor();
    await see("25 of 65 are listed.");
    await see("UNIX socket: the kernel hook sees TCP only");
    await see("bpf_sock_destroy (6.5): a TLS connection can be observed, not cut");
    await page.getByRole("row", { name: "ring full" }).getByText("12").waitFor();
  });

  test("a rollout's canary is shown by itself, with its share of processes", async () => {
    await fleet.author.push(3);
    await go("/rollouts");
    rollout = await startRollout(plane, 3, [
      // It soaks from its start: long enough for the page to show the installed canary first.
      { percent: 20, soak: "9s", share: 20 },
      { percent: 60, soak: "1h" },
      { percent: 100, soak: "1h" },
    ]);
    await page.getByRole("link", { name: "shop v3" }).click();
    await see("Step 1 of 3: 20 % of the selected nodes.");
    await see("0 of 1 nodes");
    const [canary] = nodesOfStep(rollout, 0, fleet);
    if (!canary) throw new Error("the first step takes no node");
    await canary.take(install(canary.installed));
    await see("1 of 1 nodes");
    await until(
      "step 2",
      () => canary.report().then(() => page.locator("[data-step=now]").innerText()),
      text => text.includes("60 %"),
    );
    await see("Step 2 of 3: 60 % of the selected nodes.");
    const steps = await page
      .locator("[data-step]")
      .evaluateAll(all => all.map(each => each.getAttribute("data-step")));
    expect(steps).toEqual(["done", "now", "planned"]);
    await see(/soaked; 1 node installed/);

    await go(`/nodes/${canary.id}`);
    await see("20 % of processes");
    await see("80 % of processes");
    // The next step gives it all processes.
    await canary.take(install());
    await page.getByText("20 % of processes").waitFor({ state: "detached" });
  });

  test("a refused bundle shows its reason and the verifier's lines, and what goes on enforcing", async () => {
    const [refusing, installing] = nodesOfStep(rollout, 1, fleet);
    if (!refusing || !installing) throw new Error("the second step takes two nodes");
    await Promise.all([refusing.take(refuse(2)), installing.take(install())]);
    await go(`/nodes/${refusing.id}`);
    const box = page.locator("[data-refused=verifier-refused]");
    await box.getByText("v2 goes on enforcing.").waitFor();
    expect(await box.locator("pre").innerText()).toBe(VERIFIER_LINES);
    await go(`/rollouts/${rollout.id}`);
    await page.getByText("1 of 2 nodes, 1 refused").waitFor();
    await see(/refused: verifier-refused/);
  });

  test("pausing asks first, says what follows, and pauses; resuming goes on", async () => {
    const dialog = page.getByRole("dialog", { name: "Pause shop v3?" });
    await page.getByRole("button", { name: "Pause" }).click();
    await dialog.getByText("no further node is told").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    expect((await plane.api<RolloutDetails>("GET", `/v1/rollouts/${rollout.id}`)).state).toBe("running");

    await page.getByRole("button", { name: "Pause" }).click();
    await dialog.getByRole("button", { name: "Pause" }).click();
    await see(/Paused at step 2 of 3/);
    expect((await plane.api<RolloutDetails>("GET", `/v1/rollouts/${rollout.id}`)).state).toBe("paused");

    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Resume" }).click();
    await see("Step 2 of 3: 60 % of the selected nodes.");
  });

  test("a detection that a node posts appears without a reload, with what is true of it", async () => {
    await go("/detections");
    await see("Nothing was detected.");
    await page.evaluate("window.sameDocument = true");
    await fleet.nodes[0]?.post(blockedUnion(Date.now()));
    const row = page.locator("[data-sequence]").first();
    await row.getByText("UNION", { exact: true }).waitFor();
    await row.locator("[data-guarantee=prevented]").waitFor();
    await row.getByText("union-select").waitFor();
    expect(await page.evaluate("window.sameDocument")).toBe(true);

    await row.getByRole("button").click();
    await see("Stopped before it left the host.");
    await see("Literals were taken out on the node.");
  });

  test("each kind of detection is told, and none claims more than happened", async () => {
    await fleet.nodes[1]?.post(...detections(Date.now()));
    const row = (text: string) => page.locator("[data-sequence]").filter({ hasText: text });
    await row("time-delay").getByText("would have blocked").waitFor();
    await row("time-delay").locator("[data-guarantee=observed]").waitFor();
    await row("DROP").locator("[data-guarantee=severed]").waitFor();
    await row("ends ").getByText("its handshake failed").waitFor();
    await row("without a hook").getByText("Connection unseen").waitFor();

    const alertOnly = { ...blockedUnion(Date.now()), action: "alert", rules: ["alert-only"] } as Detection;
    await fleet.nodes[1]?.post(alertOnly);
    await row("alert-only").locator("[data-guarantee=observed]").waitFor();
    expect(await row("alert-only").locator("[data-guarantee=prevented]").count()).toBe(0);
  });

  test("text that an attacker chose stays text, and hides nothing", async () => {
    const sql = "SELECT '<img src=x onerror=alert(1)>' \u202e tac";
    await fleet.nodes[1]?.post({ ...blockedUnion(Date.now()), sql, causalKey: "x" } as Detection);
    const row = page.locator("[data-sequence]").filter({ hasText: "onerror" });
    await row.getByText("U+202E").waitFor();
    expect(await page.locator("main img").count()).toBe(0);
  });

  test("the list can be narrowed by the address, and held while it grows", async () => {
    await page.getByText("Would have blocked", { exact: true }).click();
    await until(
      "one row",
      () => page.locator("[data-sequence]").count(),
      count => count === 1,
    );
    expect(page.url()).toContain("view=would-block");
    await page.getByText("All", { exact: true }).click();
    await page.getByRole("button", { name: "Hold the list" }).click();
    const before = await page.locator("[data-sequence]").count();
    await fleet.nodes[0]?.post({ ...blockedUnion(Date.now()), id: randomUUID() as Detection["id"] });
    await page.getByRole("button", { name: "Go on, 1 new" }).waitFor();
    expect(await page.locator("[data-sequence]").count()).toBe(before);
    await page.getByRole("button", { name: "Go on, 1 new" }).click();
    await until(
      "the new row",
      () => page.locator("[data-sequence]").count(),
      count => count === before + 1,
    );
  });

  test("an alert can be acknowledged, and says by whom", async () => {
    await go("/alerts");
    const row = page.locator("[data-alert=open]").filter({ hasText: "refused shop version 3" });
    await row.getByRole("button", { name: /^Acknowledge/ }).click();
    await page.locator("[data-alert=acknowledged]").getByText("acknowledged by bootstrap").waitFor();
    const { items } = await plane.api<{ items: Alert[] }>("GET", "/v1/alerts?state=acknowledged");
    expect(items).toHaveLength(1);
  });

  const pages = (): [name: string, path: string][] => [
    ["overview", "/"],
    ["nodes", "/nodes"],
    ["a node", `/nodes/${nodesOfStep(rollout, 1, fleet)[0]?.id}`],
    ["rollouts", "/rollouts"],
    ["a rollout", `/rollouts/${rollout.id}`],
    ["detections", "/detections"],
    ["alerts", "/alerts"],
    ["no such page", "/nowhere"],
  ];

  test("on every page: names, one heading, sound structure; at 360 px nothing scrolls sideways", async () => {
    for (const width of [1_440, 360]) {
      await page.setViewportSize({ width, height: 800 });
      for (const [name, path] of pages()) {
        await go(path);
        await page.locator("h1").waitFor();
        if (name === "detections") await page.locator("[data-sequence] button").first().click();
        await page.waitForLoadState("networkidle").catch(() => undefined);
        expect({ name, width, wrong: await page.evaluate(structure) }).toEqual({ name, width, wrong: [] });
        expect({ name, width, unnamed: await page.evaluate(unnamedControls) }).toEqual({
          name,
          width,
          unnamed: [],
        });
        expect({ name, width, overflow: await page.evaluate(overflow) }).toEqual({
          name,
          width,
          overflow: 0,
        });
      }
    }
    await page.setViewportSize({ width: 1_440, height: 900 });
  }, 120_000);

  test("every text on every page has the contrast of AA, dark and light", async () => {
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      for (const [name, path] of pages()) {
        await go(path);
        await page.locator("h1").waitFor();
        if (name === "detections") await page.locator("[data-sequence] button").nth(3).click();
        expect({ name, colorScheme, faint: await page.evaluate(faintTexts) }).toEqual({
          name,
          colorScheme,
          faint: [],
        });
      }
    }
    await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  }, 120_000);

  test("with the keyboard alone one gets everywhere, and sees where one is", async () => {
    await go(`/rollouts/${rollout.id}`);
    await page.getByRole("button", { name: "Pause" }).waitFor();
    const met: string[] = [];
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press("Tab");
      const { name, visible } = await page.evaluate(focused);
      if (name === "") break;
      expect({ name, visible }).toEqual({ name, visible: true });
      met.push(name);
    }
    expect(met[0]).toBe("Skip to the page");
    for (const name of ["Overview", "Sign out", "Pause", "Abort", "Roll back"])
      expect(met.some(each => each.startsWith(name))).toBe(true);
  });

  test("where motion is to be reduced nothing moves", async () => {
    await page.emulateMedia({ reducedMotion: "reduce" });
    await go("/detections");
    await page.locator("[data-sequence]").first().waitFor();
    await fleet.nodes[0]?.post({ ...blockedUnion(Date.now()), id: randomUUID() as Detection["id"] });
    await page.locator("[data-sequence].arrived").first().waitFor();
    expect(await page.evaluate(runningAnimations)).toBe(0);
    await page.emulateMedia({ reducedMotion: null });
  });

  test("the theme that was chosen is kept and there before the first paint", async () => {
    const ground = () => page.evaluate("getComputedStyle(document.documentElement).backgroundColor");
    await page.emulateMedia({ colorScheme: "light" });
    await go("/");
    const light = await ground();
    await page.getByTitle("Dark").click();
    const dark = await ground();
    expect(dark).not.toBe(light);
    await page.goto(`${plane.url}/`, { waitUntil: "commit" });
    await page.waitForSelector("html[data-theme=dark]", { state: "attached" });
    expect(await ground()).toBe(dark);
    await page.getByTitle("As the system").click();
    expect(await ground()).toBe(light);
    await page.emulateMedia({ colorScheme: null });
  });

  test("a viewer sees everything; what a viewer may not do is disabled and says why", async () => {
    const { token } = await plane.api<{ token: string }>("POST", "/v1/api-tokens", {
      label: "viewer",
      role: "viewer",
    });
    await page.getByRole("button", { name: "Sign out" }).click();
    await signIn(token);
    await signedIn();
    await go(`/rollouts/${rollout.id}`);
    await see("Your role is viewer; an operator may change rollouts.");
    for (const name of ["Pause", "Abort", "Roll back"])
      expect(await page.getByRole("button", { name }).isDisabled()).toBe(true);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("API token").waitFor();
    await signIn(plane.token);
    await signedIn();
  });

  test("while the control plane is away the page says so, keeps what it showed, and recovers by itself", async () => {
    await go("/detections");
    await page.locator("[data-sequence]").first().waitFor();
    const shown = await page.locator("[data-sequence]").count();
    const { resume } = await plane.interrupt();
    await see("The control plane is away.");
    await see("Not live");
    expect(await page.locator("[data-sequence]").count()).toBe(shown);
    await resume();
    await page.getByText("The control plane is away.").waitFor({ state: "hidden" });
    await page.getByText("Live", { exact: true }).waitFor();
    await fleet.nodes[0]?.post({ ...blockedUnion(Date.now()), id: randomUUID() as Detection["id"] });
    await until(
      "the new row",
      () => page.locator("[data-sequence]").count(),
      count => count === shown + 1,
    );
  });

  test("a roll back takes the reached nodes home", async () => {
    await go(`/rollouts/${rollout.id}`);
    await page.getByRole("button", { name: "Roll back" }).click();
    await page.getByRole("dialog").getByText("are told to return to v2").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
    await see("Nodes are told to return to v2.");
    const reached = [...nodesOfStep(rollout, 0, fleet), ...nodesOfStep(rollout, 1, fleet)];
    await Promise.all(reached.map(node => node.take(install())));
    await see("Nodes returned to v2.");
  });

  test("everything that the page loads is under 200 kB, compressed", () => {
    const dist = fileURLToPath(new URL("../../services/control-plane/console/dist/", import.meta.url));
    const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter(file => file.isFile());
    const bytes = files.reduce(
      (sum, file) => sum + gzipSync(readFileSync(`${file.parentPath}/${file.name}`)).length,
      0,
    );
    expect(bytes).toBeLessThan(200_000);
  });
});
