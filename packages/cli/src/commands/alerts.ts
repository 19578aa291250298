/** What wants a person: one alert for each cause. */
import { Alert } from "@picket/shared/api";
import type { Command } from "commander";
import { group, leaf, pick, shortId } from "../command.ts";
import { usage } from "../errors.ts";
import { ago, priorityStyle, table } from "../output.ts";
import type { Surroundings } from "../program.ts";

const states = ["open", "acknowledged", "resolved"];

export function alertCommands(program: Command, surroundings: Surroundings): void {
  const alerts = group(program, "alerts", "what wants a person");
  leaf(alerts, surroundings, {
    name: "ls",
    description: "alerts, most urgent first; those not resolved unless --state or --all is given",
    talks: "control-plane",
    build: command =>
      command
        .option("--state <state>", "open, acknowledged or resolved")
        .option("--all", "resolved ones, too"),
    async run({ client, output }, options: { state?: string; all?: boolean }) {
      if (options.state && !states.includes(options.state))
        throw usage(`"${options.state}" is not one of ${states.join(", ")}`);
      const found = await client().list({
        path: "/v1/alerts",
        query: { state: options.state },
        item: Alert,
        most: 1_000,
      });
      const items = found
        .filter(({ state }) => options.all || options.state !== undefined || state !== "resolved")
        .sort((a, b) => a.priority.localeCompare(b.priority) || b.lastAt.localeCompare(a.lastAt));
      output.result(items, () =>
        items.length === 0
          ? "No alert."
          : table(output, items, [
              { title: "ID", value: row => shortId(row.id) },
              { title: "PRIORITY", value: row => row.priority, style: row => priorityStyle(row.priority) },
              {
                title: "STATE",
                value: row => row.state,
                style: row => (row.state === "open" ? "yellow" : row.state === "resolved" ? "green" : null),
              },
              { title: "TITLE", value: row => row.title, flexible: true },
              { title: "COUNT", value: row => String(row.count), align: "right" },
              { title: "NODES", value: row => String(row.nodes.length), align: "right" },
              { title: "LAST", value: row => ago(row.lastAt) },
              { title: "TICKET", value: row => row.ticketUrl ?? "" },
            ]),
      );
    },
  });
  leaf(alerts, surroundings, {
    name: "ack <id>",
    description: "say that somebody is at it",
    talks: "control-plane",
    async run({ client, output }, _options, wanted: string) {
      const { id } = pick(
        await client().list({ path: "/v1/alerts", item: Alert, most: 1_000 }),
        wanted,
        "alert",
      );
      const alert = await client().request({ method: "POST", path: `/v1/alerts/${id}/ack`, answer: Alert });
      output.result(alert, () => `Acknowledged ${alert.priority} ${alert.title}`);
    },
  });
}
