/**
 * What a person does about rollouts in the console: reads why the gate rolled one back, approves a step, stops the
 * fleet with one button and releases it. The clock is the test's: nodes live through minutes in a moment.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { RolloutDetails } from "@picket/shared/api";
import type { TwinReport } from "@picket/shared/twin";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  ADMIN,
  type Fleet,
  type Stores,
  startFleet,
  startStores,
  until,
} from "../../services/control-plane/test/fleet.ts";
import { Host, usual } from "../../services/control-plane/test/host.ts";
import { type Browser, hasChromium, openBrowser } from "./chromium.ts";
import { lookAt, pictures, signedIn } from "./look.ts";

const NODES = 24;

describe.skipIf(!hasChromium)("rollouts in the console", () => {
  let stores: Stores;
  let fleet: Fleet;
  let browser: Browser;
  let page: Page;
  let aheadMs = 0;
  let rolledBack: RolloutDetails;
  const hosts: Host[] = [];

  beforeAll(async () => {
    [stores, browser] = await Promise.all([
      startStores(),
      openBrowser({ expected: text => text.includes("401") }),
    ]);
    fleet = await startFleet(stores, { sessionMs: 86_400_000 }, { clock: () => Date.now() + aheadMs });
    for (let i = 0; i < NODES; i++)
      hosts.push(new Host(await fleet.join(`web-${i + 1}`, { zone: "abc"[i % 3]! }), "shop", i));
    await fleet.push("shop", 1);
    await fleet.push("shop", 2);
    const first = await fleet.start("shop", 1, [{ percent: 100 }], {}, { gate: { compare: "off" } });
    await Promise.all(hosts.map(({ node }) => node.follow()));
    await ended(first.id);
    for (let minute = 0; minute < 12; minute++) await minutePasses(() => false);
    page = await signedIn(browser, fleet.url, ADMIN);
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await fleet?.close();
    await stores?.stop();
  });
  afterEach(() => expect(browser.complaints.splice(0)).toEqual([]));

  const ended = (id: string) =>
    until(
      () => fleet.rollout(id),
      ({ finishedAt }) => finishedAt !== null,
    );
  async function minutePasses(harmed: (host: Host) => boolean): Promise<void> {
    aheadMs += 60_000;
    await Promise.all(
      hosts.map(host => host.live(harmed(host) ? { errors: 60, slow: 700 } : usual, { aheadMs })),
    );
  }

  test("why the gate rolled a version back is on the page, signal by signal, and holds when it is asked again", async () => {
    const { id, nodesPlanned } = await fleet.start("shop", 2, [
      { percent: 33, soak: "10m" },
      { percent: 100, soak: "10m" },
    ]);
    const canaries = new Set(
      hosts.filter(({ node }) => nodesPlanned.some(each => each.node === node.id && each.step === 0)),
    );
    await Promise.all([...canaries].map(({ node }) => node.follow()));
    await until(
      async () => {
        await minutePasses(host => canaries.has(host));
        await new Promise(resolve => setTimeout(resolve, 500));
        return fleet.rollout(id);
      },
      ({ state }) => state !== "running",
    );
    await Promise.all([...canaries].map(({ node }) => node.follow()));
    rolledBack = await ended(id);
    await lookAt(page, "gate", `${fleet.url}/rollouts/${id}`, async () => {
      const summary = page.getByText(/^Canary against control: .* worse/).first();
      await summary.click();
      await page.getByText("database errors per response").first().waitFor();
      await page
        .getByText("Asked again with the same evidence, the gate decides the same.")
        .first()
        .waitFor();
    });
    expect(rolledBack.state).toBe("rolled-back");
  });

  test("what a twin would judge otherwise is on its page, with how much was compared", async () => {
    const twin = await fleet.start("shop", 2, [{ percent: 100, soak: "1h" }], {}, { mode: "twin" });
    await lookAt(page, "twin-empty", `${fleet.url}/rollouts/${twin.id}`, () =>
      page.getByText("No node has told yet.").waitFor(),
    );
    const { nodesPlanned } = await fleet.rollout(twin.id);
    const { node } = hosts.find(each => each.node.id === nodesPlanned[0]!.node)!;
    const [assignment] = await node.desired();
    const { id, rollout, ruleSet, version } = assignment!;
    const stable = { verdict: "benign", action: "observe", rule: null } as const;
    const candidate = { verdict: "attack", action: "block", rule: "boolean-tautology" } as const;
    const sql =
      "SELECT o.id, o.total, c.name FROM orders o JOIN customers c ON c.id = o.customer WHERE o.state = ? AND ? = ?";
    const report: TwinReport = {
      assignment: id,
      rollout,
      ruleSet,
      version,
      epoch: randomUUID(),
      statements: 48_211,
      compared: 47_904,
      wouldBlock: 212,
      wouldPass: 3,
      otherwise: 1,
      differences: [
        {
          kind: "would-block",
          shape: null,
          dialect: "pg",
          sql,
          workload: "shop.service",
          stable,
          candidate,
          count: 212,
        },
        {
          kind: "would-pass",
          shape: null,
          dialect: "mysql",
          sql: "SELECT ? FROM users UNION SELECT secret FROM vault",
          workload: "reports.slice",
          stable: candidate,
          candidate: stable,
          count: 3,
        },
      ],
      unlisted: 1,
    };
    await node.client.call("POST", "/v1/agent/twins", report);
    await lookAt(page, "twin", `${fleet.url}/rollouts/${twin.id}`, () =>
      page.getByText("47,904 of 48,211 statements").waitFor(),
    );
    await page.getByText("would let pass").first().waitFor();
    await fleet.admin.call("POST", `/v1/rollouts/${twin.id}/abort`, {});
  });

  test("a step that waits for a person is approved on its page", async () => {
    const started = await fleet.start(
      "shop",
      2,
      [{ percent: 33 }, { percent: 100, soak: "1h", requireApproval: true }],
      {},
      { gate: { compare: "off" }, domains: [{ label: "zone", percent: 25 }] },
    );
    await until(
      async () => {
        const { nodesPlanned } = await fleet.rollout(started.id);
        const told = hosts.filter(({ node }) =>
          nodesPlanned.some(each => each.node === node.id && each.state === "assigned"),
        );
        await Promise.all(told.map(({ node }) => node.follow(1)));
        return fleet.rollout(started.id);
      },
      ({ asks }) => asks !== null,
    );
    await lookAt(page, "approval", `${fleet.url}/rollouts/${started.id}`, () =>
      page.getByText("Waits for a person.").waitFor(),
    );
    await page.getByRole("button", { name: "Approve" }).click();
    await page.getByRole("dialog").getByText("You are asked because").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Approve" }).click();
    await page.getByText("step 2 approved by bootstrap").waitFor();
    expect(await fleet.rollout(started.id)).toMatchObject({ step: 1, asks: null });
  });

  test("one button stops the fleet, every page says so, and one releases it", async () => {
    await page.goto(`${fleet.url}/rollouts`);
    await page.getByRole("button", { name: "Emergency stop" }).click();
    const stop = page.getByRole("button", { name: "Stop the fleet" });
    expect(await stop.isDisabled()).toBe(true);
    await page.getByLabel("Why").fill("checkout is down");
    if (pictures) await page.screenshot({ path: join(pictures, "stop-dialog.png") });
    await stop.click();
    await page.getByRole("alert").getByText("The fleet is stopped.").waitFor();
    await lookAt(page, "stopped", `${fleet.url}/rollouts`, () =>
      page.getByRole("alert").getByText("checkout is down").waitFor(),
    );
    await page.goto(`${fleet.url}/nodes`);
    await page.getByRole("alert").getByText("checkout is down").waitFor();
    await page.goto(`${fleet.url}/rollouts`);
    await page.getByRole("button", { name: "Release the stop" }).click();
    await page.getByRole("button", { name: "Release", exact: true }).click();
    await page.getByRole("button", { name: "Emergency stop" }).waitFor();
    expect(await page.getByText("The fleet is stopped.").count()).toBe(0);
  });

  test("a question that was asked stays that question when another operator was quicker", async () => {
    await fleet.admin.call("POST", "/v1/emergency-stop", { reason: "checkout is down", rollBack: false });
    await page.goto(`${fleet.url}/rollouts`);
    await page.getByRole("button", { name: "Release the stop" }).click();
    const release = page.getByRole("dialog", { name: "Let rollouts go on?" });
    await release.waitFor();
    await fleet.admin.call("DELETE", "/v1/emergency-stop");
    await page.getByText("The fleet is stopped.").waitFor({ state: "hidden" });
    expect(await page.getByRole("dialog").getByRole("button").allTextContents()).toEqual([
      "Leave it",
      "Release",
    ]);
    await release.getByRole("button", { name: "Leave it" }).click();
    await page.getByRole("button", { name: "Emergency stop" }).waitFor();
  });
});
