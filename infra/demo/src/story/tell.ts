import { InfraError } from "@picket/infra/process";
import { type Scene, until } from "@picket/infra/start/story";
import type { Alert, Node, Rollout, RolloutDetails, Ticket } from "@picket/shared/api";
import { shopAt } from "../attack.ts";
import type { ShopDatabases } from "../databases.ts";
import type { Traffic } from "../traffic.ts";
import type { Tracker, WebhookReceiver } from "./receivers.ts";
import { ALL, attackRound, describeJudged, isPrevented, type Judged, tally } from "./rounds.ts";

// What the demo tells, chapter by chapter. Every command is the real one, and every line says what was
// seen: a run in which something is not blocked says so.

export type Props = {
  databases?: ShopDatabases;
  traffic?: Traffic;
  scene?: Scene;
  /** The shop's. */
  address: string;
  webhook: WebhookReceiver;
  tracker: Tracker;
};

export const CGROUP = "picket-demo";
export const GUARD = ["guard", `/${CGROUP}/shop`, "--label", "app=shop"];
const SHAPES_MIN = 6;
const CANARY_SHARE_PERCENT = 20;
const CANARY_ATTEMPTS = 20;

export async function tell(scene: Scene, props: Props): Promise<void> {
  const { screen, api } = scene;
  const chapter = async (title: string, content: () => Promise<void> | void): Promise<void> => {
    screen.note("");
    screen.note(screen.bold(title));
    await content();
  };
  screen.note("");
  screen.note(`${screen.bold("Console")}  ${api.url}`);
  screen.note(`${screen.bold("Login")}    ${api.token}`);
  screen.note(`${screen.bold("Shop")}     ${props.address}`);
  await chapter("1. Picket guards the shop by version 1, which only reports", () => report(scene, props));
  await chapter(
    `2. Version 2, which blocks, goes to ${CANARY_SHARE_PERCENT} % of the shop's processes, then to all`,
    () => canary(scene, props),
  );
  await chapter("3. The same attacks again, at version 2", () => block(scene, props));
  await chapter("4. Who was told", () => whoWasTold(scene, props));
  await chapter("Try your own injection", () => {
    screen.note(`  ${screen.bold(props.address)}   and watch it at ${api.url}`);
    screen.note(screen.dim("  Ctrl-C stops everything."));
  });
}

async function report(scene: Scene, props: Props): Promise<void> {
  const { screen, picket, signal } = scene;
  await picket(GUARD);
  const { id } = await picket<Rollout>(["rollout", "start", "shop@1", "--steps", "100%:0s"]);
  await screen.step("Rollout of version 1", ({ progress }) => rolloutComplete(scene, id, progress));
  const learned = async (): Promise<number | undefined> => {
    const { shapesLearned } = await theNode(scene);
    return shapesLearned >= SHAPES_MIN ? shapesLearned : undefined;
  };
  const wait = { signal, timeoutMs: 30_000, what: "Shapes are learned" };
  const shapes = await screen.step("Learning the shop's shapes", () => until(learned, wait));
  screen.note(`  ${shapes} shapes learned from ${props.traffic!.counts().answered} honest requests`);
  show(scene, await attackRound({ shop: shopAt(props.address), socket: scene.socket! }));
}

async function canary(scene: Scene, props: Props): Promise<void> {
  const { screen, picket, signal } = scene;
  const steps = `100%:15s:${CANARY_SHARE_PERCENT}%,100%:5s`;
  const { id } = await picket<Rollout>(["rollout", "start", "shop@2", "--steps", steps]);
  const isInstalled = async (): Promise<true | undefined> =>
    (await theNode(scene)).installed.some(one => one.kind === "active" && one.version === 2) || undefined;
  const wait = { signal, timeoutMs: 30_000, what: "Version 2 is installed" };
  await screen.step("The canary share is installed", () => until(isInstalled, wait));
  const attempts = Array.from({ length: CANARY_ATTEMPTS }, () => ALL[0]!);
  const round = await attackRound({ shop: shopAt(props.address), socket: scene.socket!, attempts });
  screen.note(`  ${CANARY_ATTEMPTS} UNION grafts over the workers: ${describeTally(round)}`);
  await screen.step("Rollout to all processes", ({ progress }) => rolloutComplete(scene, id, progress));
  screen.note(screen.green("  rollout complete"));
}

async function block(scene: Scene, props: Props): Promise<void> {
  const { screen } = scene;
  const [shop, socket] = [shopAt(props.address), scene.socket!];
  const first = await attackRound({ shop, socket });
  show(scene, first);
  const passed = first.filter(one => !isPrevented(one));
  let prevented = first.length - passed.length;
  if (passed.length > 0) {
    screen.note(
      screen.dim("  A shape that was never judged passes once; judged hostile, it is blocked from then on:"),
    );
    const second = await attackRound({ shop, socket, attempts: passed });
    show(scene, second);
    prevented += tally(second).prevented;
  }
  screen.note(
    screen.bold(`  ${prevented} of ${first.length} attacks were blocked before they left this host.`),
  );
}

async function whoWasTold(
  { screen, picket, signal, api }: Scene,
  { webhook, tracker, traffic }: Props,
): Promise<void> {
  const told = (): true | undefined =>
    (webhook.received.length > 0 && tracker.issues.length > 0) || undefined;
  const wait = { signal, timeoutMs: 30_000, what: "A webhook and a ticket were received" };
  await screen.step("Webhook and ticket", () => until(told, wait));
  const titles = new Map<string, number>();
  for (const { priority, title, count } of await picket<Alert[]>(["alerts", "ls"], { quiet: true })) {
    titles.set(`${priority} ${title}`, (titles.get(`${priority} ${title}`) ?? 0) + count);
  }
  for (const [line, count] of titles) screen.note(`  alert ${line} (${count} statements)`);
  const signed = webhook.received.filter(one => one.signed).length;
  screen.note(`  webhook received: ${webhook.received.length} calls, ${signed} with a right signature`);
  const [issue] = tracker.issues;
  screen.note(`  ticket received: ${tracker.issues.length}, the first is #${issue?.number} ${issue?.title}`);
  const { items } = await api.call<{ items: Ticket[] }>("GET", "/v1/tickets");
  for (const { lastError } of items) if (lastError !== null) screen.warn(`the tracker refused: ${lastError}`);
  const { answered, refused, unreachable } = traffic!.counts();
  screen.note(`  Honest requests meanwhile: ${answered} answered, ${refused} refused, ${unreachable} lost`);
}

function show({ screen }: Scene, round: Judged[]): void {
  for (const one of round) {
    const paint = isPrevented(one)
      ? screen.green
      : one.outcome.kind === "succeeded"
        ? screen.red
        : screen.dim;
    screen.note(paint(describeJudged(one)));
  }
}

function describeTally(round: Judged[]): string {
  const { prevented, succeeded, versions } = tally(round);
  const byVersion = [...versions]
    .sort(([a], [b]) => a - b)
    .map(([version, count]) => `${count} by version ${version}`);
  return `${prevented} blocked, ${succeeded} succeeded; detections: ${byVersion.join(", ")}`;
}

async function rolloutComplete(scene: Scene, id: string, progress: (text: string) => void): Promise<void> {
  const complete = async (): Promise<true | undefined> => {
    const rollout = await scene.picket<RolloutDetails>(["rollout", "status", id], { quiet: true });
    const because = rollout.lastDecision?.because ?? rollout.state;
    progress(`step ${rollout.step + 1} of ${rollout.steps.length}: ${because}`);
    if (rollout.state === "complete") return true;
    if (rollout.state !== "running")
      throw new InfraError("rollout-ended", `The rollout is ${rollout.state}: ${because}`);
    return undefined;
  };
  await until(complete, { signal: scene.signal, timeoutMs: 120_000, what: "The rollout is complete" });
}

async function theNode({ picket }: Scene): Promise<Node> {
  const [node] = await picket<Node[]>(["nodes", "ls"], { quiet: true });
  if (node === undefined) throw new InfraError("no-node", "No node has enrolled");
  return node;
}
