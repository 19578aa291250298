import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cgroup2Mount, makeCgroup, removeCgroup } from "@picket/infra/cgroup";
import { freePort, isFree } from "@picket/infra/ports";
import { type Home, logFile } from "@picket/infra/start/home";
import { ensureReleaseKey } from "@picket/infra/start/ordinary";
import { node } from "@picket/infra/start/services";
import { type Scene, type Story, until } from "@picket/infra/start/story";
import type { Service } from "@picket/infra/supervisor";
import type { Alert, Node, Rollout, RolloutDetails, Ticket, Webhook } from "@picket/shared/api";
import { ATTACKS, shopAt } from "./attack.ts";
import { type ShopDatabases, startShopDatabases } from "./databases.ts";
import { startTracker, startWebhookReceiver, type Tracker, type WebhookReceiver } from "./story/receivers.ts";
import { attackRound, describeJudged, type Judged, tally } from "./story/rounds.ts";
import { versionThatBlocks, versionThatReports } from "./story/rules.ts";
import { startTraffic, type Traffic } from "./traffic.ts";

// `npm start -- --demo`: two databases, a shop with 20 workers, honest traffic; version 1 reports the
// attacks, version 2 is rolled out to a fifth of the processes and then to all, and blocks them. All of
// it lives in a cgroup of its own, so nothing else on the host is touched.

const CGROUP = "picket-demo";
const SHOP_PORT = 7480;
const GUARD = ["guard", `/${CGROUP}/shop`, "--label", "app=shop"];
const WORKERS = 20;
const TRAFFIC_PER_S = 40;
const CANARY_SHARE_PERCENT = 20;

type Props = {
  databases?: ShopDatabases;
  address: string;
  traffic?: Traffic;
  webhook: WebhookReceiver;
  tracker: Tracker;
  scene?: Scene;
};

export async function demoStory(home: Home): Promise<Story> {
  const port = (await isFree(SHOP_PORT)) ? SHOP_PORT : await freePort();
  const props: Props = {
    address: `http://127.0.0.1:${port}`,
    webhook: await startWebhookReceiver(),
    tracker: await startTracker(),
  };
  return {
    controlPlaneEnv: {
      PICKET_ALLOW_PRIVATE_WEBHOOKS: "127.0.0.0/8",
      PICKET_GITHUB_API: props.tracker.url,
      PICKET_GITHUB_REPO: "demo/shop",
      PICKET_GITHUB_TOKEN: "demo",
    },
    agent: { instance: "demo", cgroup: `/${CGROUP}`, labels: "app=shop" },
    before: [outsideService(props), cgroupService(), databasesService(props, home)],
    beforeAgent: scene => publishVersions(scene, props),
    after: [
      guardService(props),
      shopService(props, { home, port, statusPort: await freePort() }),
      trafficService(props),
    ],
    tell: scene => tell(scene, props),
  };
}

function outsideService({ webhook, tracker }: Props): Service {
  return {
    name: "Webhook receiver and issue tracker (stand-ins)",
    start: async () => ({ stop: () => Promise.all([webhook.stop(), tracker.stop()]) }),
  };
}

function cgroupService(): Service {
  return {
    name: "cgroup",
    async start() {
      await removeCgroup(join(cgroup2Mount(), CGROUP)); // Of a start that was killed.
      const cgroup = makeCgroup(CGROUP);
      makeCgroup(`${CGROUP}/shop`);
      return { stop: () => cgroup.remove() };
    },
  };
}

function databasesService(props: Props, home: Home): Service {
  return {
    name: "MariaDB and PostgreSQL for the shop",
    async start() {
      props.databases = await startShopDatabases({ dir: join(home.dir, "databases") });
      return props.databases;
    },
  };
}

/** Before the shop starts, so that its first connection is guarded, too. */
function guardService(props: Props): Service {
  return {
    name: "The shop's cgroup is guarded",
    async start() {
      await props.scene!.picket(GUARD, { quiet: true });
      return { stop: async () => undefined };
    },
  };
}

function shopService(
  props: Props,
  { home, port, statusPort }: { home: Home; port: number; statusPort: number },
): Service {
  return node({
    name: `Shop with ${WORKERS} worker processes`,
    program: join(import.meta.dirname, "shop.js"),
    log: logFile(home, "shop"),
    ready: `http://127.0.0.1:${statusPort}/healthz`,
    cgroup: join(cgroup2Mount(), CGROUP, "shop"),
    env: () => ({
      ...props.databases!.env,
      SHOP_PORT: String(port),
      SHOP_STATUS_PORT: String(statusPort),
      SHOP_WORKERS: String(WORKERS),
    }),
  });
}

function trafficService(props: Props): Service {
  return {
    name: `Honest traffic, ${TRAFFIC_PER_S} requests/s`,
    async start() {
      const traffic = startTraffic({ address: props.address, ratePerS: TRAFFIC_PER_S });
      props.traffic = traffic;
      return { stop: () => traffic.stop() };
    },
  };
}

async function publishVersions(scene: Scene, props: Props): Promise<void> {
  const { screen, picket, home } = scene;
  await screen.step("Release key, two signed versions of the rules", async () => {
    props.scene = scene;
    const key = await ensureReleaseKey(scene);
    const core = await picket<{ id: string; action: string }[]>(["rules", "show", "core"], { quiet: true });
    const held = await picket<{ version: number }[]>(["rules", "ls", "shop"], { quiet: true }).catch(
      () => [],
    );
    for (const [version, text] of [versionThatReports(core), versionThatBlocks(core)].entries()) {
      if (held.some(one => one.version === version + 1)) continue;
      const [rules, bundle] = [
        join(home.dir, `shop-${version + 1}.yaml`),
        join(home.dir, `shop-${version + 1}.bundle.json`),
      ];
      writeFileSync(rules, text);
      await picket(
        ["rules", "sign", rules, "--version", String(version + 1), "--key", key, "--out", bundle],
        { quiet: true },
      );
      await picket(["rules", "push", bundle], { quiet: true });
    }
    const secret = (await picket<Webhook>(["webhooks", "add", props.webhook.url], { quiet: true })).secret;
    props.webhook.expect(secret ?? "");
  });
}

async function tell(scene: Scene, props: Props): Promise<void> {
  const { screen, picket, api, signal } = scene;
  const socket = scene.socket!;
  const shop = shopAt(props.address);
  const chapter = (text: string): void => {
    screen.note("");
    screen.note(screen.bold(text));
  };
  const show = (round: Judged[]): void => {
    for (const one of round) {
      const paint =
        one.detection?.guarantee === "prevented"
          ? screen.green
          : one.outcome.kind === "succeeded"
            ? screen.red
            : screen.dim;
      screen.note(paint(describeJudged(one)));
    }
  };

  screen.note("");
  screen.note(`${screen.bold("Console")}  ${api.url}`);
  screen.note(`${screen.bold("Login")}    ${api.token}`);
  screen.note(`${screen.bold("Shop")}     ${props.address}`);

  chapter("1. Picket guards the shop by version 1, which only reports");
  await picket(GUARD);
  await rollOut(scene, "shop@1", ["--steps", "100%:0s"]);
  const learned = await screen.step("Learning the shop's shapes", () =>
    until(
      async () =>
        (await theNode(scene)).shapesLearned >= 6 ? (await theNode(scene)).shapesLearned : undefined,
      {
        signal,
        timeoutMs: 30_000,
        what: "Shapes are learned",
      },
    ),
  );
  screen.note(`  ${learned} shapes learned from ${props.traffic!.counts().answered} honest requests`);
  show(await attackRound({ shop, socket }));

  chapter(
    `2. Version 2, which blocks, goes to ${CANARY_SHARE_PERCENT} % of the shop's processes, then to all`,
  );
  const rollout = await picket<Rollout>([
    "rollout",
    "start",
    "shop@2",
    "--steps",
    `100%:15s:${CANARY_SHARE_PERCENT}%,100%:5s`,
  ]);
  await screen.step("The canary share is installed", () => versionInstalled(scene, 2));
  const canary = await attackRound({
    shop,
    socket,
    attacks: repeat(ATTACKS.slice(0, 1), 20),
    databases: ["mariadb"],
  });
  screen.note(`  20 UNION grafts, each at another worker: ${describeTally(canary)}`);
  await screen.step("Rollout to all processes", ({ progress }) =>
    rolloutComplete(scene, rollout.id, progress),
  );
  screen.note(screen.green("  rollout complete"));

  chapter("3. The same attacks again, at version 2");
  screen.note(
    screen.dim(
      "  The first use of a shape that no rule set has judged is observed; from then on the kernel blocks it.",
    ),
  );
  show(await attackRound({ shop, socket }));
  const last = await attackRound({ shop, socket });
  screen.note("");
  show(last);
  screen.note(
    screen.bold(
      `  ${tally(last).prevented} of ${last.length} attempts were blocked before they left this host.`,
    ),
  );

  chapter("4. Who was told");
  await tellWhoWasTold(scene, props);
  const traffic = props.traffic!.counts();
  screen.note(`  Honest requests meanwhile: ${traffic.answered} answered, ${traffic.refused} refused`);

  chapter("Try your own injection");
  screen.note(`  ${screen.bold(props.address)}   and watch it at ${api.url}`);
  screen.note(screen.dim("  Ctrl-C stops everything."));
}

const repeat = <T>(items: T[], times: number): T[] => Array.from({ length: times }, () => items).flat();

function describeTally(round: Judged[]): string {
  const { prevented, succeeded, versions } = tally(round);
  const byVersion = [...versions]
    .sort(([a], [b]) => a - b)
    .map(([version, count]) => `${count} judged by version ${version}`);
  return [...byVersion, `${prevented} blocked`, `${succeeded} succeeded`].join(", ");
}

async function rollOut(scene: Scene, version: string, options: string[]): Promise<void> {
  const rollout = await scene.picket<Rollout>(["rollout", "start", version, ...options]);
  await scene.screen.step(`Rollout of ${version}`, ({ progress }) =>
    rolloutComplete(scene, rollout.id, progress),
  );
}

async function rolloutComplete(
  { picket, signal }: Scene,
  id: string,
  progress: (text: string) => void,
): Promise<void> {
  await until(
    async () => {
      const { state, step, steps, lastDecision } = await picket<RolloutDetails>(["rollout", "status", id], {
        quiet: true,
      });
      progress(`step ${step + 1} of ${steps.length}: ${lastDecision?.because ?? state}`);
      if (state === "complete") return true;
      if (state !== "running")
        throw new Error(`The rollout is ${state}: ${lastDecision?.because ?? "no decision"}`);
      return undefined;
    },
    { signal, timeoutMs: 120_000, what: "The rollout is complete" },
  );
}

async function theNode({ picket }: Scene): Promise<Node> {
  const [node] = await picket<Node[]>(["nodes", "ls"], { quiet: true });
  if (node === undefined) throw new Error("No node has enrolled");
  return node;
}

async function versionInstalled(scene: Scene, version: number): Promise<void> {
  const isInstalled = async (): Promise<true | undefined> =>
    (await theNode(scene)).installed.some(one => one.kind === "active" && one.version === version) ||
    undefined;
  await until(isInstalled, {
    signal: scene.signal,
    timeoutMs: 30_000,
    what: `Version ${version} is installed`,
  });
}

async function tellWhoWasTold(
  { screen, picket, signal, api }: Scene,
  { webhook, tracker }: Props,
): Promise<void> {
  await screen.step("Webhook and ticket", () =>
    until(() => (webhook.received.length > 0 && tracker.issues.length > 0 ? true : undefined), {
      signal,
      timeoutMs: 30_000,
      what: "A webhook and a ticket were received",
    }),
  );
  const alerts = await picket<Alert[]>(["alerts", "ls"], { quiet: true });
  for (const { priority, title, count, state } of alerts.slice(0, 5))
    screen.note(`  alert ${priority} ${title} (× ${count}, ${state})`);
  const { length: hooks } = webhook.received;
  const signed = webhook.received.filter(one => one.signed).length;
  screen.note(`  webhook received: ${hooks} at ${webhook.url}, ${signed} with a right signature`);
  const tickets = await api.call<{ items: Ticket[] }>("GET", "/v1/tickets");
  screen.note(
    `  ticket received: ${tracker.issues
      .map(({ number, title }) => `#${number} ${title}`)
      .slice(0, 3)
      .join("; ")}`,
  );
  for (const { lastError } of tickets.items)
    if (lastError !== null) screen.warn(`the tracker refused: ${lastError}`);
}
