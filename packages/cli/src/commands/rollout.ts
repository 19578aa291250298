/** Brings a signed version to the fleet step by step, and back. */
import { setTimeout as sleep } from "node:timers/promises";
import { DecisionDetails, Rollout, RolloutDetails, RolloutRequest } from "@picket/shared/api";
import type { Command } from "commander";
import { collectLabel, group, leaf, parseVersioned, pick, shortId, wholeNumber } from "../command.ts";
import type { Context } from "../context.ts";
import { CliError, usage } from "../errors.ts";
import { rowsOf } from "../output.ts";
import type { Surroundings } from "../program.ts";
import { collectCap, parseSteps } from "./rollout-steps.ts";
import {
  changeLine,
  detailsText,
  explanation,
  rolloutTable,
  stateText,
  watchedText,
} from "./rollout-text.ts";

const POLL_MS = 1_000;

type StartOptions = {
  steps: string;
  share?: string;
  scope: string;
  select?: Record<string, string>;
  cap?: unknown[];
  settle: string;
  compare?: string;
  alpha: string;
  askAfter: string;
  at?: string;
  queue?: boolean;
  twin?: boolean;
  watch?: boolean;
};

export function rolloutCommands(program: Command, surroundings: Surroundings): void {
  const rollout = group(program, "rollout", "bring a version to the fleet, step by step");
  leaf(rollout, surroundings, {
    name: "start <version>",
    description: "start, for example: picket rollout start shop@2 --steps 20%:10m,100%:10m",
    talks: "control-plane",
    build: command =>
      command
        .option(
          "--steps <list>",
          "percent of nodes, how long to watch each step; :approve for one that a person lets begin",
          "5%:10m,25%:10m,100%:10m",
        )
        .option("--share <percent>", "percent of the processes inside each node")
        .option("--scope <all|new-processes>", "which processes", "all")
        .option("--select <key=value>", "only nodes with this label; may be repeated", collectLabel)
        .option(
          "--cap <label:most>",
          "nodes with the same label that change at once, such as zone:2 or zone:10%; may be repeated",
          collectCap,
        )
        .option("--settle <duration>", "how long a node that changed counts as changing, for --cap", "0s")
        .option(
          "--compare <required|available|off>",
          "canary against the rest (default: required from 20 nodes on)",
        )
        .option("--alpha <probability>", "of rolling back a version that changes nothing", "0.01")
        .option("--ask-after <duration>", "ask a person when the comparison cannot tell for so long", "1h")
        .option("--at <time>", "not before, such as 2026-12-01T06:00:00+01:00")
        .option("--queue", "wait for the rule set's active rollout")
        .option("--twin", "judge beside the stable version and enforce nothing")
        .option("--watch", "stay and watch it"),
    async run(context, options: StartOptions, versioned: string) {
      const { name, version } = parseVersioned(versioned);
      if (version === null)
        throw usage("which version?", `write ${name}@1; \`picket rules ls ${name}\` lists them`);
      const body = RolloutRequest.safeParse({
        ruleSet: name,
        version,
        selector: options.select ?? {},
        steps: parseSteps(options),
        settle: options.settle,
        domains: options.cap ?? [],
        ...(options.compare !== undefined && {
          gate: { compare: options.compare, alpha: Number(options.alpha), askAfter: options.askAfter },
        }),
        ...(options.at !== undefined && { startAt: options.at }),
        queue: options.queue ?? false,
        mode: options.twin ? "twin" : "enforce",
      });
      if (!body.success) {
        const issue = body.error.issues[0]!;
        throw usage(`${issue.path.join(".")}: ${issue.message}`, "steps look like 5%:10m,25%:1h,100%:1h");
      }
      const started = await context.client().request({
        method: "POST",
        path: "/v1/rollouts",
        body: body.data,
        answer: RolloutDetails,
      });
      if (options.watch) return watch(context, started.id);
      context.output.result(started, () =>
        [
          `${started.state === "scheduled" ? "Scheduled" : "Started"} ${shortId(started.id)}: ${started.ruleSet}@${started.version} to ${started.nodes.planned} nodes in ${started.steps.length} steps${started.state === "scheduled" ? `; it ${started.lastDecision?.because ?? "waits"}` : ""}.`,
          `Follow it with \`picket rollout watch ${shortId(started.id)}\`.`,
        ].join("\n"),
      );
    },
  });
  leaf(rollout, surroundings, {
    name: "status [id]",
    description: "one rollout with its plan and decisions; without an id the latest ones",
    talks: "control-plane",
    async run(context, _options, wanted?: string) {
      const { client, output } = context;
      if (wanted === undefined) {
        const items = await client().list({ path: "/v1/rollouts", item: Rollout, most: 20 });
        output.result(items, () => (items.length === 0 ? "No rollout yet." : rolloutTable(output, items)));
        return;
      }
      const details = await fetchRollout(context, await rolloutId(context, wanted));
      output.result(details, () => detailsText(output, details));
    },
  });
  leaf(rollout, surroundings, {
    name: "watch [id]",
    description: "follow a rollout until it ends; without an id the latest one",
    talks: "control-plane",
    run: async (context, _options, wanted?: string) =>
      watch(context, await rolloutId(context, wanted ?? "latest")),
  });
  for (const [verb, description] of [
    ["pause", "stay at the step it has reached"],
    ["resume", "go on after a pause"],
    ["approve", "let the step begin that waits for a person"],
    ["promote", "on to the next step, without the rest of the soak"],
    ["abort", "stop here: nodes keep what they have"],
  ] as const)
    leaf(rollout, surroundings, {
      name: `${verb} <id>`,
      description,
      talks: "control-plane",
      run: (context, _options, wanted: string) => ask(context, wanted, verb, {}),
    });
  leaf(rollout, surroundings, {
    name: "rollback <id>",
    description: "return every node that it reached to what was there before",
    talks: "control-plane",
    build: command =>
      command.option(
        "--to <version>",
        "to this version, which was rolled out to the end before",
        wholeNumber("--to", 1),
      ),
    run: (context, { to }: { to?: number }, wanted: string) =>
      ask(context, wanted, "rollback", to === undefined ? {} : { to }),
  });
  leaf(rollout, surroundings, {
    name: "explain [id]",
    description:
      "why the gate decided as it did: each signal, canary and control; the evidence is judged anew",
    talks: "control-plane",
    build: command =>
      command.option("--decision <n>", "not the last one that compared", wholeNumber("--decision", 1)),
    async run(context, { decision }: { decision?: number }, wanted?: string) {
      const details = await fetchRollout(context, await rolloutId(context, wanted ?? "latest"));
      const chosen =
        decision ??
        (details.decisions.findLast(({ signals }) => signals !== null) ?? details.lastDecision)?.id;
      if (chosen === undefined)
        throw new CliError("not-found", "not-found", "its gate has decided nothing yet");
      const explained = await context.client().request({
        path: `/v1/rollouts/${details.id}/decisions/${chosen}`,
        answer: DecisionDetails,
      });
      context.output.result(explained, () => explanation(context.output, details, explained));
    },
  });
}

async function ask(context: Context, wanted: string, verb: string, body: object): Promise<void> {
  const id = await rolloutId(context, wanted);
  const after = await context
    .client()
    .request({ method: "POST", path: `/v1/rollouts/${id}/${verb}`, body, answer: Rollout });
  context.output.result(after, () => `${shortId(id)} is ${stateText(context.output, after.state)} now.`);
}

async function rolloutId({ client }: Context, wanted: string): Promise<string> {
  const items = await client().list({ path: "/v1/rollouts", item: Rollout, most: 500 });
  if (wanted !== "latest") return pick(items, wanted, "rollout").id;
  const latest = items.toSorted((a, b) => b.createdAt.localeCompare(a.createdAt))[0];
  if (!latest) throw new CliError("not-found", "not-found", "there is no rollout yet");
  return latest.id;
}

const fetchRollout = ({ client }: Context, id: string): Promise<RolloutDetails> =>
  client().request({ path: `/v1/rollouts/${id}`, answer: RolloutDetails });

/** In a terminal redrawn in place; else a line for each change. Ends with the rollout. */
async function watch(context: Context, id: string): Promise<void> {
  const { output } = context;
  let drawn = 0;
  let told = "";
  let failures = 0;
  for (;;) {
    let details: RolloutDetails;
    try {
      details = await fetchRollout(context, id);
      failures = 0;
    } catch (error) {
      // A control plane that restarts is no reason to stop watching; one that stays away is.
      if (!(error instanceof CliError) || error.exit !== "unreachable" || ++failures > 30) throw error;
      await sleep(POLL_MS * Math.min(failures, 5));
      continue;
    }
    const { nodesPlanned: _nodes, decisions: _decisions, ...summary } = details;
    if (output.json) {
      const line = JSON.stringify(summary);
      if (line !== told) output.line(line);
      told = line;
    } else if (output.live) {
      const text = watchedText(output, details);
      if (drawn > 0) process.stdout.write(`\x1b[${drawn}A\x1b[0J`);
      output.line(text);
      drawn = rowsOf(output, text);
    } else {
      const line = changeLine(details);
      if (line !== told) output.line(`${new Date().toISOString()}  ${line}`);
      told = line;
    }
    switch (details.state) {
      case "scheduled":
      case "running":
      case "paused":
      case "rolling-back":
        await sleep(POLL_MS);
        break;
      case "complete":
        return;
      case "aborted":
      case "rolled-back":
        throw new CliError(
          "failed",
          `rollout-${details.state}`,
          `the rollout of ${details.ruleSet}@${details.version} is ${details.state}${details.lastDecision ? `: ${details.lastDecision.because}` : ""}`,
        );
    }
  }
}
