/** The fleet's detections as they come in; with --local those of this host's agent, without any control plane. */
import { setTimeout as sleep } from "node:timers/promises";
import { DetectionRow } from "@picket/shared/api";
import { LocalDetections } from "@picket/shared/control-socket";
import type { Detection } from "@picket/shared/detection";
import { Duration, durationMs } from "@picket/shared/vocabulary";
import type { Command } from "commander";
import { group, leaf, wholeNumber } from "../command.ts";
import type { Context } from "../context.ts";
import { CliError, usage } from "../errors.ts";
import { harmless, type Output, priorityStyle } from "../output.ts";
import type { Surroundings } from "../program.ts";
import { nodeId } from "./nodes.ts";

type TailOptions = {
  follow?: boolean;
  since?: string;
  lines: number;
  node?: string;
  local?: boolean;
};

const RECONNECT_MS_MAX = 10_000;

export function detectionCommands(program: Command, surroundings: Surroundings): void {
  const detections = group(program, "detections", "what the nodes detected");
  leaf(detections, surroundings, {
    name: "tail",
    description: "the newest detections, and with --follow each new one",
    talks: "control-plane",
    build: command =>
      command
        .option("-f, --follow", "stay and print each new one")
        .option("-n, --lines <n>", "how many of the newest", wholeNumber("--lines", 0), 20)
        .option("--since <time>", "only later than 15m, 2h, 7d ago or an ISO time")
        .option("--node <node>", "of one node: id or host name")
        .option("--local", "of this host's agent, through its control socket (as root)")
        .option("--socket <path>", "control socket of the agent, with --local"),
    run: (context, options: TailOptions) =>
      options.local ? tailLocal(context, options) : tail(context, options),
  });
}

async function tail(context: Context, options: TailOptions): Promise<void> {
  const { client, output } = context;
  const sinceMs = sinceOf(options.since);
  const node = options.node === undefined ? undefined : await nodeId(context, options.node);
  const newest = await newestRows(context, { node, sinceMs, most: options.lines });
  const stopped = new AbortController();
  if (options.follow) process.once("SIGINT", () => stopped.abort());
  if (output.json && !options.follow) return output.result(newest, () => "");
  for (const row of newest) print(output, row, row.hostname, row.detection);
  if (!options.follow) {
    if (newest.length === 0) output.note("No detection.");
    return;
  }
  // Where the list was empty or not asked for, the stream starts with what is new.
  let last = newest.at(-1)?.sequence ?? (await newestRows(context, { most: 1 })).at(-1)?.sequence ?? 0;
  let waitMs = 500;
  while (!stopped.signal.aborted) {
    try {
      const events = client().events({
        path: "/v1/detections/stream",
        query: { since: last, node },
        lastEventId: String(last),
        signal: stopped.signal,
      });
      for await (const { data } of events) {
        waitMs = 500;
        const parsed = DetectionRow.safeParse(asJson(data));
        if (!parsed.success || parsed.data.sequence <= last) continue;
        last = parsed.data.sequence;
        if (node !== undefined && parsed.data.node !== node) continue;
        print(output, parsed.data, parsed.data.hostname, parsed.data.detection);
      }
    } catch (error) {
      if (stopped.signal.aborted) return;
      if (error instanceof CliError && error.exit !== "unreachable") throw error;
      output.note(`the stream broke (${(error as Error).message}); trying again`);
    }
    await sleep(waitMs, undefined, { signal: stopped.signal }).catch(() => {});
    waitMs = Math.min(waitMs * 2, RECONNECT_MS_MAX);
  }
}

/** Lists come newest first or oldest first: the sequence decides. */
async function newestRows(
  { client }: Context,
  { node, sinceMs, most }: { node?: string | undefined; sinceMs?: number | null; most: number },
): Promise<DetectionRow[]> {
  if (most === 0) return [];
  const rows = await client().list({ path: "/v1/detections", query: { node }, item: DetectionRow, most });
  return rows
    .filter(row => sinceMs == null || Date.parse(row.detection.at) >= sinceMs)
    .sort((a, b) => a.sequence - b.sequence);
}

async function tailLocal({ agent, output }: Context, options: TailOptions): Promise<void> {
  const sinceMs = sinceOf(options.since);
  let after = 0;
  let first = true;
  for (;;) {
    const { items, last } = await agent().request({
      path: `/v1/detections?after=${after}&wait=${first ? 0 : 25}`,
      answer: LocalDetections,
      timeoutMs: 40_000,
    });
    const wanted = items.filter(({ detection }) => sinceMs === null || Date.parse(detection.at) >= sinceMs);
    const shown = first ? wanted.slice(Math.max(wanted.length - options.lines, 0)) : wanted;
    if (output.json && !options.follow) return output.result(shown, () => "");
    for (const item of shown) print(output, item, null, item.detection);
    if (!options.follow) return;
    // An agent that restarted counts from the beginning again.
    after = last;
    first = false;
  }
}

function sinceOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (Duration.safeParse(text).success) return Date.now() - durationMs(text);
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw usage(`"${text}" is no time`, "write 15m, 2h, 7d or 2026-01-31T12:00:00Z");
  return at;
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function print(output: Output, row: unknown, hostname: string | null, detection: Detection): void {
  if (output.json) {
    output.line(JSON.stringify(row));
    return;
  }
  const { paint } = output;
  const priority = detection.priority ?? "ok";
  const head = [
    paint("dim", detection.at.replace("T", " ").replace(/\.\d+Z$|Z$/, "")),
    paint(priorityStyle(priority), priority.padEnd(2)),
    ...(hostname === null ? [] : [harmless(hostname)]),
  ].join("  ");
  output.line(`${head}  ${sentence(output, detection)}`);
}

function sentence({ paint }: Output, detection: Detection): string {
  switch (detection.kind) {
    case "statement": {
      const done =
        detection.guarantee === "prevented" && detection.action === "block"
          ? paint(["red", "bold"], "blocked")
          : detection.guarantee === "severed"
            ? paint("red", "connection severed")
            : detection.wouldBlock
              ? paint("yellow", "would have blocked")
              : paint("yellow", "observed");
      const times = detection.count > 1 ? ` ×${detection.count}` : "";
      const rules = detection.rules.length > 0 ? ` (${detection.rules.join(", ")})` : "";
      return `${done} ${detection.verdict} by ${harmless(detection.process.comm)}${rules}${times}: ${harmless(detection.sql)}`;
    }
    case "connection":
      return `connection ${detection.what}: ${harmless(detection.why)}`;
    case "handshake":
      return `TLS handshake with ${detection.host}:${detection.port} failed: ${harmless(detection.error)}`;
    case "certificate": {
      const until = detection.certificate ? `, valid until ${detection.certificate.notAfter}` : "";
      return `certificate of ${detection.host}:${detection.port}: handshake ${detection.handshake}${until}`;
    }
  }
}
