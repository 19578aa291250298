/** Rollouts as text: a line, a table, one in full, and why its gate decided as it did. */
import type {
  DecisionDetails,
  DomainCap,
  Rollout,
  RolloutDetails,
  RolloutState,
  SignalFinding,
  TwinFindings,
} from "@picket/shared/api";
import type { TwinDifferenceKind, TwinWord } from "@picket/shared/twin";
import { shortId } from "../command.ts";
import { ago, type Column, facts, harmless, labelsText, type Output, type Style, table } from "../output.ts";

export function changeLine({ state, step, steps, nodes, lastDecision, twin }: RolloutDetails): string {
  const found = twin ? `  twin: ${twinLine(twin)}` : "";
  const decision = lastDecision ? `  ${lastDecision.kind}: ${harmless(lastDecision.because)}` : "";
  return `${state}  step ${step + 1}/${steps.length} (${steps[step]?.percent ?? "?"} %)  installed ${nodes.installed}/${nodes.planned}  refused ${nodes.refused}${found}${decision}`;
}

export function rolloutTable(output: Output, items: readonly Rollout[]): string {
  return table(output, items, [
    { title: "ID", value: row => shortId(row.id) },
    { title: "VERSION", value: row => `${row.ruleSet}@${row.version}` },
    { title: "STATE", value: row => row.state, style: row => stateStyle(row.state) },
    { title: "STEP", value: row => `${row.step + 1}/${row.steps.length}` },
    {
      title: "INSTALLED",
      value: row => (row.nodes ? `${row.nodes.installed}/${row.nodes.planned}` : "–"),
      align: "right",
    },
    { title: "STARTED", value: row => ago(row.createdAt) },
    { title: "BY", value: row => row.createdBy, flexible: true },
  ]);
}

function stateStyle(state: RolloutState): Style {
  switch (state) {
    case "scheduled":
      return "dim";
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

export const stateText = (output: Output, state: RolloutState): string =>
  output.paint(stateStyle(state), state);

export function detailsText(output: Output, details: RolloutDetails): string {
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
      ...limits(details),
      ...(details.lastDecision
        ? [["Gate", harmless(`${details.lastDecision.kind}: ${details.lastDecision.because}`)] as const]
        : []),
      ...(details.backtest
        ? [
            [
              "Backtest",
              harmless(details.backtest.summary ?? details.backtest.error ?? details.backtest.state),
            ] as const,
          ]
        : []),
      ...(details.asks
        ? [
            [
              "Asks you",
              output.paint(
                "yellow",
                `${harmless(details.asks.because)}; \`picket rollout approve ${shortId(details.id)}\` lets step ${details.asks.step + 1} begin`,
              ),
            ] as const,
          ]
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
        { title: "APPROVAL", value: row => (row.requireApproval ? "by a person" : "") },
        {
          title: "",
          value: row => (state === "complete" || row.index < step ? "done" : row.index === step ? state : ""),
          style: row => (state === "complete" || row.index < step ? "green" : stateStyle(state)),
        },
      ],
    ),
  ];
  if (details.twin) parts.push(...twinText(output, details.twin));
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

const TWIN_SHOWN = 20;
const KINDS: Record<TwinDifferenceKind, string> = {
  "would-block": "would block",
  "would-pass": "would let pass",
  otherwise: "judges otherwise",
};

/** In a line: how much was compared, and of that what a twin would do otherwise. */
export function twinLine({
  nodes,
  statements,
  compared,
  wouldBlock,
  wouldPass,
  otherwise,
}: TwinFindings): string {
  if (nodes === 0) return "no node has told yet";
  const share = statements === 0 ? "" : ` (${number((100 * compared) / statements)} %)`;
  return `${compared} of ${statements} statements compared${share} on ${nodes} ${nodes === 1 ? "node" : "nodes"}: it would block ${wouldBlock}, let ${wouldPass} pass that are blocked, judges ${otherwise} otherwise`;
}

export function twinText(output: Output, twin: TwinFindings): string[] {
  const shown = twin.differences.slice(0, TWIN_SHOWN);
  const more = twin.differences.length - shown.length + twin.unlisted;
  const word = ({ verdict, action, rule }: TwinWord) =>
    `${verdict}, ${action}${rule === null ? "" : ` (${rule})`}`;
  return [
    facts(output, [["Twin", twinLine(twin)]]),
    ...(shown.length > 0
      ? [
          table(output, shown, [
            {
              title: "THE TWIN",
              value: row => KINDS[row.kind],
              style: row => (row.kind === "otherwise" ? "yellow" : "red"),
            },
            { title: "STATEMENTS", value: row => String(row.count), align: "right" },
            { title: "NODES", value: row => String(row.nodes), align: "right" },
            { title: "NOW", value: row => word(row.stable) },
            { title: "BY IT", value: row => word(row.candidate) },
            { title: "WORKLOAD", value: row => row.workload },
            { title: "STATEMENT", value: row => harmless(row.sql), flexible: true },
          ]),
        ]
      : []),
    ...(more > 0 ? [`${more} further differences are not listed.`] : []),
  ];
}

/**
 * For one who stays and looks: what the gate last weighed, which is what one waits for, and of the nodes only those that
 * need somebody.
 */
export function watchedText(output: Output, details: RolloutDetails): string {
  const nodesPlanned = details.nodesPlanned.filter(
    ({ state, detail }) => state === "refused" || detail !== null,
  );
  const weighed = details.decisions.findLast(
    ({ signals, step }) => signals !== null && signals.length > 0 && step === details.step,
  );
  return [
    detailsText(output, { ...details, nodesPlanned }),
    ...(weighed
      ? [
          `${output.paint("dim", `Compared ${ago(weighed.at)}: what differs, and what cannot be told yet`)}\n${findingsTable(output, weighed.signals!)}`,
        ]
      : []),
  ].join("\n\n");
}

const URGENCY: readonly SignalFinding["finding"][] = ["worse", "unread", "open", "fine"];

function findingsTable(output: Output, signals: readonly SignalFinding[]): string {
  return table(
    output,
    signals.toSorted((a, b) => URGENCY.indexOf(a.finding) - URGENCY.indexOf(b.finding)),
    [findingColumn, titleColumn, ...armColumns, { title: "", value: row => row.why, flexible: true }],
  );
}

/** What of a rollout is not as usual. */
function limits({ mode, domains, settle, gate, startAt, state }: RolloutDetails): [string, string][] {
  return [
    ...(mode === "twin"
      ? [["Mode", "twin: it judges beside what is stable, which alone enforces"] as [string, string]]
      : []),
    ...(domains.length > 0
      ? [
          [
            "At once",
            `${domains.map(capText).join(", ")}${settle === "0s" ? "" : `, each for ${settle}`}`,
          ] as [string, string],
        ]
      : []),
    [
      "Compared",
      gate.compare === "off" ? "no" : `${gate.compare}, ${100 * gate.alpha} % false alarms at most`,
    ],
    ...(state === "scheduled" && startAt !== null ? [["Begins", `${startAt}`] as [string, string]] : []),
  ];
}

const capText = (cap: DomainCap): string =>
  "nodes" in cap ? `${cap.nodes} of a ${cap.label}` : `${cap.percent} % of a ${cap.label}`;

export function explanation(output: Output, rollout: RolloutDetails, decision: DecisionDetails): string {
  const { signals, replayed } = decision;
  return [
    facts(output, [
      [
        "Rollout",
        `${shortId(rollout.id)}  ${rollout.ruleSet}@${rollout.version}, step ${decision.step + 1} of ${rollout.steps.length}`,
      ],
      ["Decision", `${decision.id}, ${decision.at}`],
      [decision.kind, harmless(decision.because)],
      [
        "Replayed",
        replayed === null
          ? "a person decided: there is nothing to replay"
          : replayed.same
            ? "the same evidence gives the same decision"
            : output.paint(
                "yellow",
                `the same evidence gives another decision now: ${replayed.kind}: ${harmless(replayed.because)}`,
              ),
      ],
    ]),
    ...(signals === null || signals.length === 0
      ? ["No signal was compared: there were no nodes on one of the sides, or comparing is off."]
      : [signalTable(output, signals)]),
    // Of now, which may be more than the decision saw.
    ...(rollout.twin ? twinText(output, rollout.twin) : []),
  ].join("\n\n");
}

const titleColumn: Column<SignalFinding> = { title: "SIGNAL", value: row => row.title };
const findingColumn: Column<SignalFinding> = {
  title: "FINDING",
  value: row => row.finding,
  style: row => (row.finding === "fine" ? "green" : row.finding === "worse" ? "red" : "yellow"),
};
const armColumns: Column<SignalFinding>[] = [
  { title: "CANARY", value: row => armText(row, "canary"), align: "right" },
  { title: "CONTROL", value: row => armText(row, "control"), align: "right" },
];

function signalTable(output: Output, signals: readonly SignalFinding[]): string {
  return table(output, signals, [
    titleColumn,
    findingColumn,
    ...armColumns,
    { title: "DIFFERENCE", value: row => valueText(row.difference, row.unit, true), align: "right" },
    { title: "BELOW", value: row => valueText(row.upper, row.unit, true), align: "right" },
    { title: "MATTERS FROM", value: row => valueText(row.margin, row.unit), align: "right" },
    {
      title: "E",
      value: row => (row.eValue === null ? "" : `${number(row.eValue)}/${number(row.threshold)}`),
      align: "right",
    },
    { title: "", value: row => row.why, flexible: true },
  ]);
}

function armText({ unit, ...row }: SignalFinding, side: "canary" | "control"): string {
  const arm = row[side];
  if (arm === null || arm.of === 0) return "";
  return unit === "nodes" ? `${arm.hits} of ${arm.of}` : valueText(arm.hits / arm.of, unit);
}

function valueText(value: number | null, unit: SignalFinding["unit"], signed = false): string {
  if (value === null) return "";
  const sign = signed && value > 0 ? "+" : "";
  switch (unit) {
    case "share":
    case "nodes":
      return `${sign}${number(100 * value)} %`;
    case "cores":
      return `${sign}${number(100 * value)} % core`;
    case "bytes":
      return `${sign}${number(value / (1 << 20))} MiB`;
  }
}

const number = (value: number): string =>
  Math.abs(value) >= 1e6 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
