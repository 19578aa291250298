/** The fleet's hosts: what runs on each and what is guarded there. */
import { Node, NodeDetails } from "@picket/shared/api";
import type { ConnectionState, Installed } from "@picket/shared/contract";
import type { Command } from "commander";
import { z } from "zod";
import { group, leaf, pick, shortId } from "../command.ts";
import type { Context } from "../context.ts";
import { usage } from "../errors.ts";
import { ago, facts, harmless, labelsText, type Output, type Style, table } from "../output.ts";
import type { Surroundings } from "../program.ts";

export function nodeCommands(program: Command, surroundings: Surroundings): void {
  const nodes = group(program, "nodes", "the fleet's hosts");
  leaf(nodes, surroundings, {
    name: "ls",
    description: "every node with its versions, guarantees and losses",
    talks: "control-plane",
    async run({ client, output }) {
      const items = await client().list({ path: "/v1/nodes", item: Node });
      output.result(items, () =>
        items.length === 0
          ? "No node yet: `picket tokens create`, then `picket agent join` on a host."
          : table(output, items, [
              { title: "ID", value: row => shortId(row.id) },
              { title: "HOST", value: row => row.hostname },
              {
                title: "STATE",
                value: row => (row.online ? "online" : `seen ${ago(row.lastSeenAt)}`),
                style: row => (row.online ? "green" : "yellow"),
              },
              { title: "RUNS", value: row => row.installed.map(installedText).join(", ") || "nothing" },
              { title: "CONNECTIONS", value: guarantees },
              {
                title: "LOST",
                value: row => String(row.eventsLost),
                align: "right",
                style: row => (row.eventsLost > 0 ? "red" : null),
              },
              { title: "LABELS", value: row => labelsText(row.labels), flexible: true },
            ]),
      );
    },
  });
  leaf(nodes, surroundings, {
    name: "show <node>",
    description: "one node in full: by id, its beginning, or host name",
    talks: "control-plane",
    async run(context, _options, wanted: string) {
      const id = await nodeId(context, wanted);
      const node = await context.client().request({ path: `/v1/nodes/${id}`, answer: NodeDetails });
      context.output.result(node, () => details(context.output, node));
    },
  });
  leaf(nodes, surroundings, {
    name: "rm <node>",
    description: "retire a node: its key is refused from now on",
    talks: "control-plane",
    async run(context, _options, wanted: string) {
      const id = await nodeId(context, wanted);
      await context.client().request({ method: "DELETE", path: `/v1/nodes/${id}`, answer: z.unknown() });
      context.output.result({ id, retired: true }, () => `Retired ${shortId(id)}.`);
    },
  });
  leaf(nodes, surroundings, {
    name: "quarantine <node> <reason...>",
    description: "refuse a node's key until it is released; what it runs goes on enforcing",
    talks: "control-plane",
    async run(context, _options, wanted: string, reason: string[]) {
      const id = await nodeId(context, wanted);
      await context.client().request({
        method: "POST",
        path: `/v1/nodes/${id}/quarantine`,
        body: { reason: reason.join(" ") },
        answer: z.unknown(),
      });
      context.output.result({ id, quarantined: true }, () => `Quarantined ${shortId(id)}.`);
    },
  });
  leaf(nodes, surroundings, {
    name: "release <node>",
    description: "let a quarantined node speak again",
    talks: "control-plane",
    async run(context, _options, wanted: string) {
      const id = await nodeId(context, wanted);
      await context
        .client()
        .request({ method: "DELETE", path: `/v1/nodes/${id}/quarantine`, answer: z.unknown() });
      context.output.result({ id, quarantined: false }, () => `Released ${shortId(id)}.`);
    },
  });
}

export async function nodeId({ client }: Context, wanted: string): Promise<string> {
  if (z.uuid().safeParse(wanted).success) return wanted;
  const items = await client().list({ path: "/v1/nodes", item: Node });
  const byHost = items.filter(({ hostname }) => hostname === wanted);
  if (byHost.length === 1) return byHost[0]!.id;
  if (byHost.length > 1) throw usage(`${byHost.length} nodes are called "${wanted}"`, "give the node's id");
  return pick(items, wanted, "node").id;
}

function installedText(one: Installed): string {
  switch (one.kind) {
    case "active":
      if (one.twin) return `${one.ruleSet}@${one.twin.beside ?? "none"} (twin ${one.version})`;
      return `${one.ruleSet}@${one.version}${one.share < 10_000 ? ` (${one.share / 100} %)` : ""}`;
    case "kept-last-good":
      return `${one.ruleSet}@${one.version ?? "none"} (refused ${one.refused}: ${one.because.code})`;
  }
}

/** The words are the node's: the verifier's, where that refused. */
export function refusalsText(installed: readonly Installed[]): string {
  return installed
    .flatMap(one => {
      if (one.kind !== "kept-last-good") return [];
      const goesOn = one.version === null ? "nothing of it enforces" : `version ${one.version} goes on`;
      const words = one.because.detail.split("\n").map(line => `  ${harmless(line)}`);
      return [`${one.ruleSet}@${one.refused} is refused (${one.because.code}); ${goesOn}`, ...words];
    })
    .join("\n");
}

function guarantees({ guarantees, connectionsTotal }: Node): string {
  const parts = Object.entries(guarantees).map(([name, count]) => `${count} ${name}`);
  return parts.length > 0 ? parts.join(", ") : String(connectionsTotal);
}

function details(output: Output, node: NodeDetails): string {
  const losses = Object.entries(node.losses).map(([name, count]) => `${count} ${name}`);
  const parts = [
    facts(output, [
      ["Node", node.id],
      ["Host", node.hostname],
      [
        "State",
        node.online
          ? output.paint("green", "online")
          : output.paint("yellow", `last seen ${ago(node.lastSeenAt)}`),
      ],
      ["Labels", labelsText(node.labels) || "none"],
      ["Kernel", node.kernel],
      ["Key since", ago(node.keySince)],
      ["Release keys", node.trust === 0 ? "as it enrolled" : `of root ${node.trust}`],
      [
        "Agent",
        node.agentVersion + (node.residentBytes ? `, ${Math.round(node.residentBytes / 1_048_576)} MiB` : ""),
      ],
      ["Runs", node.installed.map(installedText).join("\n") || "nothing"],
      ["Shapes learned", String(node.shapesLearned)],
      ["Events lost", node.eventsLost === 0 ? "none" : output.paint("red", String(node.eventsLost))],
      ...(losses.length > 0 ? [["Losses", losses.join(", ")] as const] : []),
      ...node.missing.map(text => ["Missing", text] as const),
    ]),
  ];
  const refusals = refusalsText(node.installed);
  if (refusals) parts.push(refusals);
  if (node.counters.length > 0)
    parts.push(
      table(output, node.counters, [
        { title: "VERSION", value: row => `${row.ruleSet}@${row.version}` },
        { title: "STATEMENTS", value: row => String(row.statements), align: "right" },
        { title: "KNOWN", value: row => String(row.known), align: "right" },
        { title: "UNKNOWN", value: row => String(row.unknown), align: "right" },
        {
          title: "BLOCKED",
          value: row => String(row.blocked),
          align: "right",
          style: row => (row.blocked ? "red" : null),
        },
        { title: "SEVERED", value: row => String(row.severed), align: "right" },
        { title: "WOULD BLOCK", value: row => String(row.wouldBlock), align: "right" },
      ]),
    );
  if (node.connections.length > 0) parts.push(connectionTable(output, node.connections));
  if (node.overrides.length > 0)
    parts.push(
      table(output, node.overrides, [
        { title: "LOCAL OVERRIDE", value: row => row.action },
        { title: "EXPIRES", value: row => ago(row.expiresAt) },
        { title: "SHAPE", value: row => row.shape, flexible: true },
        { title: "REASON", value: row => row.reason },
      ]),
    );
  return parts.join("\n\n");
}

type ConnectionGroup = { sample: ConnectionState; pids: Set<number>; count: number };

/** A pool's connections are alike: one row for each kind, with how many there are. */
export function connectionTable(output: Output, connections: readonly ConnectionState[]): string {
  const groups = new Map<string, ConnectionGroup>();
  for (const connection of connections) {
    const { process, dialect, guarantee, mode, why } = connection;
    const key = JSON.stringify([process.comm, dialect, addressOf(connection), guarantee, mode, why]);
    const group = groups.get(key) ?? { sample: connection, pids: new Set(), count: 0 };
    group.pids.add(process.pid);
    group.count += 1;
    groups.set(key, group);
  }
  return table(
    output,
    [...groups.values()],
    [
      { title: "PROCESS", value: processText },
      { title: "COUNT", value: ({ count }) => String(count), align: "right" },
      { title: "DATABASE", value: ({ sample }) => databaseName(sample.dialect) },
      { title: "AT", value: ({ sample }) => addressOf(sample) },
      {
        title: "GUARANTEE",
        value: ({ sample }) => sample.guarantee,
        style: ({ sample }) => guaranteeStyle(sample.guarantee),
      },
      { title: "WHY", value: ({ sample }) => sample.why, flexible: true },
    ],
  );
}

function processText({ sample, pids }: ConnectionGroup): string {
  const [first] = pids;
  return `${sample.process.comm} (${first}${pids.size > 1 ? ` and ${pids.size - 1} more` : ""})`;
}

function databaseName(dialect: ConnectionState["dialect"]): string {
  switch (dialect) {
    case "pg":
      return "PostgreSQL";
    case "mysql":
      return "MySQL";
    case null:
      return "?";
  }
}

function guaranteeStyle(guarantee: ConnectionState["guarantee"]): Style {
  switch (guarantee) {
    case "prevented":
      return "green";
    case "severed":
    case "observed":
      return "yellow";
    case "unseen":
      return "red";
  }
}

const addressOf = ({ endpoints, path }: ConnectionState): string =>
  endpoints ? `${endpoints.remoteAddress}:${endpoints.remotePort}` : (path ?? "?");
