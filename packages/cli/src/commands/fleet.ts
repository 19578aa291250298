/** What holds every rollout: the emergency stop and freeze windows. */
import { EmergencyStopState, Freeze, FreezeRequest } from "@picket/shared/api";
import type { Command } from "commander";
import { z } from "zod";
import { group, leaf, pick, shortId } from "../command.ts";
import { usage } from "../errors.ts";
import { ago, harmless, type Output, table } from "../output.ts";
import type { Surroundings } from "../program.ts";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

type FreezeOptions = { reason: string; from: string; to: string; days?: string; zone: string };

export function fleetCommands(program: Command, surroundings: Surroundings): void {
  const fleet = group(program, "fleet", "stop all rollouts, and when none may go on");
  leaf(fleet, surroundings, {
    name: "stop <reason>",
    description: "emergency stop: no rollout starts, reaches a node or goes on until it is released",
    talks: "control-plane",
    build: command =>
      command.option(
        "--rollback",
        "and every node that an unfinished rollout reached returns to what is stable",
      ),
    async run({ client, output }, options: { rollback?: boolean }, reason: string) {
      const state = await client().request({
        method: "POST",
        path: "/v1/emergency-stop",
        body: { reason, rollBack: options.rollback ?? false },
        answer: EmergencyStopState,
      });
      output.result(state, () => stopText(output, state));
    },
  });
  leaf(fleet, surroundings, {
    name: "release",
    description: "end the emergency stop: rollouts go on, their soak begins anew",
    talks: "control-plane",
    async run({ client, output }) {
      const state = await client().request({
        method: "DELETE",
        path: "/v1/emergency-stop",
        answer: EmergencyStopState,
      });
      output.result(state, () => stopText(output, state));
    },
  });
  leaf(fleet, surroundings, {
    name: "status",
    description: "whether the fleet is stopped or frozen",
    talks: "control-plane",
    async run({ client, output }) {
      const state = await client().request({ path: "/v1/emergency-stop", answer: EmergencyStopState });
      const freezes = await client().list({ path: "/v1/freezes", item: Freeze });
      const frozen = freezes.filter(({ frozenUntil }) => frozenUntil !== null);
      output.result({ ...state, frozen }, () =>
        [
          stopText(output, state),
          frozen.length === 0
            ? "Not frozen."
            : frozen.map(each => `Frozen until ${each.frozenUntil}: ${harmless(each.reason)}.`).join("\n"),
        ].join("\n"),
      );
    },
  });
  freezeCommands(fleet, surroundings);
}

function freezeCommands(fleet: Command, surroundings: Surroundings): void {
  const freeze = group(fleet, "freeze", "windows in which no step begins");
  leaf(freeze, surroundings, {
    name: "add",
    description:
      "for example --days fri --from 16:00 --to 08:00 --zone Europe/Berlin, or --from and --to as two moments",
    talks: "control-plane",
    build: command =>
      command
        .requiredOption("--reason <text>", "shown to whoever waits")
        .requiredOption("--from <time>", "a time of day, or a moment such as 2026-12-20T00:00:00Z")
        .requiredOption("--to <time>", "at or before --from: of the next day")
        .option("--days <list>", "days on which it begins: mon,tue or weekdays, weekends, daily")
        .option("--zone <name>", "time zone of the times of day", "UTC"),
    async run({ client, output }, options: FreezeOptions) {
      const body = FreezeRequest.safeParse({ reason: options.reason, window: windowOf(options) });
      if (!body.success) {
        const issue = body.error.issues[0]!;
        throw usage(
          `${issue.path.join(".")}: ${issue.message}`,
          "with --days, --from and --to are times of day such as 16:00; without, moments such as 2026-12-20T00:00:00Z",
        );
      }
      const made = await client().request({
        method: "POST",
        path: "/v1/freezes",
        body: body.data,
        answer: Freeze,
      });
      output.result(made, () => `${shortId(made.id)}: no step begins ${windowText(made)}.`);
    },
  });
  leaf(freeze, surroundings, {
    name: "ls",
    description: "all windows",
    talks: "control-plane",
    async run({ client, output }) {
      const items = await client().list({ path: "/v1/freezes", item: Freeze });
      output.result(items, () =>
        items.length === 0
          ? "No freeze window."
          : table(output, items, [
              { title: "ID", value: row => shortId(row.id) },
              { title: "WHEN", value: windowText },
              {
                title: "NOW",
                value: row => (row.frozenUntil === null ? "" : `until ${row.frozenUntil}`),
                style: () => "yellow",
              },
              { title: "BY", value: row => row.createdBy },
              { title: "REASON", value: row => row.reason, flexible: true },
            ]),
      );
    },
  });
  leaf(freeze, surroundings, {
    name: "rm <id>",
    description: "remove a window",
    talks: "control-plane",
    async run({ client, output }, _options, wanted: string) {
      const { id } = pick(
        await client().list({ path: "/v1/freezes", item: Freeze }),
        wanted,
        "freeze window",
      );
      await client().request({ method: "DELETE", path: `/v1/freezes/${id}`, answer: z.unknown() });
      output.result({ id }, () => `Removed ${shortId(id)}.`);
    },
  });
}

function windowOf({ days, from, to, zone }: FreezeOptions): unknown {
  if (days === undefined) return { kind: "once", from, to };
  const named: Record<string, string[]> = {
    daily: DAYS,
    weekdays: DAYS.slice(0, 5),
    weekends: DAYS.slice(5),
  };
  const list = named[days] ?? days.split(",").map(day => day.trim().toLowerCase());
  return { kind: "weekly", days: list, from, to, timeZone: zone };
}

function windowText({ window }: Freeze): string {
  return window.kind === "once"
    ? `from ${window.from} to ${window.to}`
    : `${window.days.join(",")} from ${window.from} to ${window.to} ${window.timeZone}`;
}

function stopText(output: Output, { stop }: EmergencyStopState): string {
  if (stop === null) return "Not stopped.";
  const what = `by ${stop.by}, ${ago(stop.at)}: ${harmless(stop.reason)}`;
  return stop.releasedAt === null
    ? `${output.paint("red", "STOPPED")} ${what}.${stop.rollBack ? " Unfinished rollouts are rolled back." : ""} \`picket fleet release\` ends it.`
    : `Not stopped. The last stop was ${what}; ${stop.releasedBy ?? "somebody"} released it ${ago(stop.releasedAt)}.`;
}
