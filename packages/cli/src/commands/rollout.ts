/** Brings a signed version to the fleet step by step, and back. */
import { setTimeout as sleep } from "node:timers/promises";
import { Rollout, RolloutDetails, RolloutRequest, type RolloutState } from "@picket/shared/api";
import type { Command } from "commander";
import { collectLabel, group, leaf, parseVersioned, pick, shortId } from "../command.ts";
import type { Context } from "../context.ts";
import { CliError, usage } from "../errors.ts";
import { ago, facts, labelsText, type Output, type Style, table } from "../output.ts";
import type { Surroundings } from "../program.ts";

const POLL_MS = 1_000;

type StartOptions = {
  steps: string;
  share?: string;
  scope: string;
  select?: Record<string, string>;
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
          "percent of nodes, and how long to watch each step",
          "5%:10m,25%:10m,100%:10m",
        )
        .option("--share <percent>", "percent of the processes inside each node")
        .option("--scope <all|new-processes>", "which processes", "all")
        .option("--select <key=value>", "only nodes with this label; may be repeated", collectLabel)
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
      });
      if (!body.success) {
        const issue = body.error.issues[0]!;
        throw usage(`${issue.path.join(".")}: ${issue.message}`, "steps look like 5%:10m,25%:1h,100%:1h");
      }
      const started = await context.client().request({
        method: "POST",
        path: "/v1/rollouts",
        body: body.data,
        answer: Rollout,
      });
      if (options.watch) return watch(context, started.id);
      context.output.result(started, () =>
        [
          `Started ${shortId(started.id)}: ${started.ruleSet}@${started.version} to ${started.nodes.planned} nodes in ${started.steps.length} steps.`,
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
    ["abort", "stop here: nodes keep what they have"],
    ["rollback", "return every node that it reached to what was there before"],
  ] as const)
    leaf(rollout, surroundings, {
      name: `${verb} <id>`,
      description,
      talks: "control-plane",
      async run(context, _options, wanted: string) {
        const id = await rolloutId(context, wanted);
        const after = await context
          .client()
          .request({ method: "POST", path: `/v1/rollouts/${id}/${verb}`, body: {}, answer: Rollout });
        context.output.result(
          after,
          () => `${shortId(id)} is ${stateText(context.output, after.state)} now.`,
        );
      },
    });
}

export function parseSteps({
  steps,
  share,
  scope,
}: Pick<StartOptions, "steps" | "share" | "scope">): unknown[] {
  const shareGiven = share === undefined ? undefined : percent(share);
  return steps.split(",").map(text => {
    const parts = text.trim().split(":");
    if (parts.length < 2 || parts.length > 3)
      throw usage(
        `"${text}" is no step`,
        "write percent:soak, for example 20%:10m, or 20%:10m:50% for half of each node's processes",
      );
    const own = parts[2] === undefined ? shareGiven : percent(parts[2]);
    return {
      percent: percent(parts[0]!),
      soak: parts[1]!,
      scope,
      ...(own === undefined ? {} : { share: own }),
    };
  });
}

function percent(text: string): number {
  const match = /^\s*(\d{1,3}(?:\.\d{1,4})?)\s*%?\s*$/.exec(text);
  if (!match) throw usage(`"${text}" is no percentage`, "write 20%");
  return Number(match[1]);
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
      const text = detailsText(output, details);
      if (drawn > 0) process.stdout.write(`\x1b[${drawn}A\x1b[0J`);
      output.line(text);
      drawn = text.split("\n").length;
    } else {
      const line = changeLine(details);
      if (line !== told) output.line(`${new Date().toISOString()}  ${line}`);
      told = line;
    }
    switch (details.state) {
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

function changeLine({ state, step, steps, nodes, lastDecision }: RolloutDetails): string {
  const decision = lastDecision ? `  ${lastDecision.kind}: ${lastDecision.because}` : "";
  return `${state}  step ${step + 1}/${steps.length} (${steps[step]?.percent ?? "?"} %)  installed ${nodes.installed}/${nodes.planned}  refused ${nodes.refused}${decision}`;
}

function rolloutTable(output: Output, items: readonly Rollout[]): string {
  return table(output, items, [
    { title: "ID", value: row => shortId(row.id) },
    { title: "VERSION", value: row => `${row.ruleSet}@${row.version}` },
    { title: "STATE", value: row => row.state, style: row => stateStyle(row.state) },
    { title: "STEP", value: row => `${row.step + 1}/${row.steps.length}` },
    { title: "INSTALLED", value: row => `${row.nodes.installed}/${row.nodes.planned}`, align: "right" },
    { title: "STARTED", value: row => ago(row.createdAt) },
    { title: "BY", value: row => row.createdBy, flexible: true },
  ]);
}

function stateStyle(state: RolloutState): Style {
  switch (state) {
    case "running":
      return "cyan";
    case "complete":
      return "green";
    case "paused":
    case "rolling-back":
      return "yellow";
    case "aborted":
    case "rolled-back":
      return "red";
  }
}

const stateText = (output: Output, state: RolloutState): string => output.paint(stateStyle(state), state);

function detailsText(output: Output, details: RolloutDetails): string {
  const { nodes, steps, step, state } = details;
  const wide = 30;
  const full = nodes.planned === 0 ? 0 : Math.round((wide * nodes.installed) / nodes.planned);
  const bar = output.paint("green", "█".repeat(full)) + output.paint("dim", "░".repeat(wide - full));
  const parts = [
    facts(output, [
      ["Rollout", details.id],
      [
        "Version",
        `${details.ruleSet}@${details.version}${details.previous === null ? "" : `, replaces ${details.previous}`}`,
      ],
      ["State", stateText(output, state)],
      [
        "Nodes",
        `${bar} ${nodes.installed}/${nodes.planned} installed${nodes.refused ? `, ${nodes.refused} refused` : ""}`,
      ],
      ...(Object.keys(details.selector).length > 0 ? [["Only", labelsText(details.selector)] as const] : []),
      ["Started", `${ago(details.createdAt)} by ${details.createdBy}`],
      ...(details.lastDecision
        ? [["Gate", `${details.lastDecision.kind}: ${details.lastDecision.because}`] as const]
        : []),
    ]),
    table(
      output,
      steps.map((one, index) => ({ ...one, index })),
      [
        { title: "STEP", value: row => String(row.index + 1), align: "right" },
        { title: "NODES", value: row => `${row.percent} %`, align: "right" },
        { title: "SOAK", value: row => row.soak, align: "right" },
        { title: "PROCESSES", value: row => `${row.share} %${row.scope === "all" ? "" : ", new ones"}` },
        {
          title: "",
          value: row => (state === "complete" || row.index < step ? "done" : row.index === step ? state : ""),
          style: row => (state === "complete" || row.index < step ? "green" : stateStyle(state)),
        },
      ],
    ),
  ];
  if (details.nodesPlanned.length > 0 && details.nodesPlanned.length <= 40)
    parts.push(
      table(output, details.nodesPlanned, [
        { title: "NODE", value: row => shortId(row.node) },
        { title: "HOST", value: row => row.hostname },
        { title: "STEP", value: row => String(row.step + 1), align: "right" },
        {
          title: "STATE",
          value: row => row.state,
          style: row => (row.state === "installed" ? "green" : row.state === "refused" ? "red" : null),
        },
        { title: "", value: row => row.detail ?? "", flexible: true },
      ]),
    );
  return parts.join("\n\n");
}
