import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Node, RuleSetSummary } from "@picket/shared/api";
import { printConnections } from "./connections.ts";
import type { Home } from "./home.ts";
import { sharingKey } from "./sharing-key.ts";
import { type Scene, type Story, until } from "./story.ts";

// The ordinary start: the agent watches every cgroup of the host, judges by the core rules that ship
// with Picket, and blocks nothing until somebody says `picket guard`.

const RULES = `apiVersion: picket/v1
kind: RuleSet
metadata:
  name: core
  description: The rules that ship with Picket
spec:
  core: true
`;

export function ordinaryStory(home: Home): Story {
  const sharing = sharingKey(home.dir, process.env);
  return {
    controlPlaneEnv: sharing ? { PICKET_SHARING_KEY: sharing.pem } : {},
    agent: {
      instance: "agent",
      cgroup: process.env.PICKET_CGROUP || "/",
      labels: process.env.PICKET_LABELS ?? "",
    },
    before: [],
    beforeAgent: scene => publishFirstRules(scene, sharing?.publicFile),
    after: [],
    async tell(scene) {
      const { screen, api, socket } = scene;
      if (socket !== undefined)
        await screen.step("Core rules reach the agent", () => bringRulesToNode(scene));
      screen.note("");
      screen.note(`${screen.bold("Console")}  ${api.url}`);
      screen.note(`${screen.bold("Login")}    ${api.token}`);
      screen.note(`${screen.bold("Logs")}     ${scene.home.logs}`);
      if (socket === undefined)
        screen.note(screen.dim(`For the picket command: npx picket login ${api.url} --token ${api.token}`));
      if (socket === undefined) {
        screen.warn("The agent needs root to load its programs, so none was started here: sudo npm start");
        return;
      }
      screen.note("");
      await printConnections({ socket, home: scene.home.dir, screen });
      screen.note("");
      screen.note("It observes, and blocks nothing until you say: npx picket guard <unit|cgroup|pid>");
    },
  };
}

/** Nodes pin the release keys at enrolment, so the key must be known before the first agent comes. */
export async function ensureReleaseKey({ picket, home }: Scene): Promise<string> {
  const key = join(home.dir, "release.pem");
  if (!existsSync(key)) await picket(["keys", "new", "--out", key], { quiet: true });
  await picket(["keys", "register", "--key", key], { quiet: true });
  return key;
}

/** The first rule version lets the online key share verdicts; later ones as whoever signs them says. */
async function publishFirstRules(scene: Scene, delegate: string | undefined): Promise<void> {
  const { screen, home, picket } = scene;
  await screen.step("Release key and core rules", async () => {
    const key = await ensureReleaseKey(scene);
    const sets = await picket<RuleSetSummary[]>(["rules", "ls"], { quiet: true });
    if (sets.some(set => set.name === "core")) return;
    const [rules, bundle] = [join(home.dir, "core.yaml"), join(home.dir, "core-1.bundle.json")];
    writeFileSync(rules, RULES);
    const leave = delegate === undefined ? [] : ["--delegate", delegate];
    await picket(["rules", "sign", rules, "--version", "1", "--key", key, "--out", bundle, ...leave], {
      quiet: true,
    });
    await picket(["rules", "push", bundle], { quiet: true });
  });
}

async function bringRulesToNode({ picket, signal }: Scene): Promise<void> {
  const nodes = (): Promise<Node[]> => picket<Node[]>(["nodes", "ls"], { quiet: true });
  await until(async () => (await nodes()).find(node => node.online), {
    signal,
    timeoutMs: 30_000,
    what: "The node is online",
  });
  const [set] = (await picket<RuleSetSummary[]>(["rules", "ls"], { quiet: true })).filter(
    ({ name }) => name === "core",
  );
  if (set?.stable === null)
    await picket(["rollout", "start", `core@${set.latest}`, "--steps", "100%:0s"], { quiet: true });
  await until(
    async () => (await nodes()).find(node => node.installed.some(({ kind }) => kind === "active")),
    {
      signal,
      timeoutMs: 60_000,
      what: "The core rules are installed",
    },
  );
}
