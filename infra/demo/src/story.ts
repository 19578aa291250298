import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cgroup2Mount, makeCgroup, removeCgroup } from "@picket/infra/cgroup";
import { freePort, isFree } from "@picket/infra/ports";
import { type Home, logFile } from "@picket/infra/start/home";
import { ensureReleaseKey } from "@picket/infra/start/ordinary";
import { node } from "@picket/infra/start/services";
import type { Scene, Story } from "@picket/infra/start/story";
import type { Service } from "@picket/infra/supervisor";
import type { Webhook } from "@picket/shared/api";
import { startShopDatabases } from "./databases.ts";
import { startTracker, startWebhookReceiver } from "./story/receivers.ts";
import { versionThatBlocks, versionThatReports } from "./story/rules.ts";
import { CGROUP, GUARD, type Props, tell } from "./story/tell.ts";
import { startTraffic } from "./traffic.ts";

// `npm start -- --demo`: two databases, a shop with 20 workers, honest traffic; version 1 reports the
// attacks, version 2 is rolled out to a fifth of the processes and then to all, and blocks them. All of
// it lives in a cgroup of its own, so nothing else on the host is touched.

const SHOP_PORT = 7480;
const WORKERS = 20;
const TRAFFIC_PER_S = 40;

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
