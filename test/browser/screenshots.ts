/**
 * Writes the pictures of the console for the documents: the real control plane, five simulated nodes.
 *
 *     node --conditions=source --import tsx test/browser/screenshots.ts docs/images
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import buildConsole from "./build-console.ts";
import { openBrowser } from "./chromium.ts";
import { startControlPlane } from "./control-plane.ts";
import { detections } from "./fleet.ts";
import { enrolFleet, install, nodesOfStep, refuse, rollOutEverywhere, startRollout, until } from "./seed.ts";

const folder = process.argv[2] ?? "docs/images";
mkdirSync(folder, { recursive: true });

buildConsole();
const plane = await startControlPlane();
const browser = await openBrowser({ expected: () => true });
try {
  const fleet = await enrolFleet(plane);
  await rollOutEverywhere(plane, fleet, 2);
  await fleet.author.push(3);
  const rollout = await startRollout(plane, 3, [
    { percent: 20, soak: "5s", share: 20 },
    { percent: 60, soak: "30m" },
    { percent: 100, soak: "1h" },
  ]);
  const [canary] = nodesOfStep(rollout, 0, fleet);
  const [refusing, installing] = nodesOfStep(rollout, 1, fleet);
  if (!canary || !refusing || !installing) throw new Error("the steps take other numbers of nodes");
  await canary.take(install(canary.installed));
  await Promise.all([canary.take(install()), refusing.take(refuse(2)), installing.take(install())]);
  for (const [i, detection] of detections(Date.now()).entries()) await fleet.nodes[i % 3]?.post(detection);

  await canary.offer({
    kind: "picket-profile-1",
    workload: "shop.service",
    databaseUser: "shop",
    database: "orders",
    mode: "learn",
    locked: false,
    templates: [
      ["select id , name , price from products where category = ?", []],
      ["select id from orders where customer = ? order by placed_at limit ?", []],
      ["insert into orders ( customer , product ) values ( ? , ? )", []],
      ["select sleep ( ? ) from dual", ["time-delay"]],
    ].map(([words, rules], at) => ({
      dialect: "mysql" as const,
      words: (words as string).replaceAll(" ", "\n"),
      shapes: [String(at).repeat(64)],
      rules: rules as string[],
      count: 41_872 >> (4 * at),
      firstSeenMs: Date.now() - 3 * 86_400_000,
      lastSeenMs: Date.now(),
      processes: 3,
      values: [],
    })),
  });

  // The last node falls silent.
  const speaking = fleet.nodes.slice(0, 4);
  await until(
    "a silent node",
    async () => {
      for (const node of speaking) await node.report();
      await new Promise(resolve => setTimeout(resolve, 3_000));
      return plane.api<{ items: { online: boolean }[] }>("GET", "/v1/nodes");
    },
    ({ items }) => items.some(node => !node.online),
    150_000,
  );

  const page = await browser.context.newPage();
  await page.goto(plane.url);
  await page.getByLabel("API token").fill(plane.token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();

  const picture = async (
    name: string,
    path: string,
    {
      scheme,
      width = 1_440,
      height = 900,
      before,
    }: {
      scheme: "dark" | "light";
      width?: number;
      height?: number;
      before?: (page: Page) => Promise<void>;
    },
  ) => {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto(`${plane.url}${path}`);
    await page.locator("h1").waitFor();
    await page.waitForTimeout(1_000);
    await before?.(page);
    await page.screenshot({ path: join(folder, `${name}.png`) });
  };
  const openSevered = (each: Page) =>
    each.locator("[data-sequence] button").filter({ hasText: "stacked" }).click();

  await picture("console-dark", "/", { scheme: "dark", height: 1_060 });
  await picture("console-detections", "/detections", { scheme: "light", before: openSevered });
  await picture("console-rollout", `/rollouts/${rollout.id}`, { scheme: "dark" });
  await picture("console-node", `/nodes/${refusing.id}`, { scheme: "dark" });
  const { items } = await plane.api<{ items: { id: string }[] }>("GET", "/v1/profiles/offers");
  await picture("console-profile", `/profiles/${items[0]?.id}`, { scheme: "light" });
  await picture("console-narrow", "/", { scheme: "dark", width: 360, height: 740 });
} finally {
  await browser.close();
  await plane.stop();
}
