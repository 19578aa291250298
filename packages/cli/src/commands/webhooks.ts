/** Where alerts are delivered (Standard Webhooks). */
import { Webhook, WebhookRequest } from "@picket/shared/api";
import type { Command } from "commander";
import { z } from "zod";
import { group, leaf, pick, shortId } from "../command.ts";
import { usage } from "../errors.ts";
import { table } from "../output.ts";
import type { Surroundings } from "../program.ts";

export function webhookCommands(program: Command, surroundings: Surroundings): void {
  const webhooks = group(program, "webhooks", "where alerts are delivered");
  leaf(webhooks, surroundings, {
    name: "add <url>",
    description: "deliver alerts there, signed; the secret is shown once",
    talks: "control-plane",
    build: command => command.option("--min <priority>", "least urgent priority to deliver: P0 to P3", "P3"),
    async run({ client, output }, options: { min: string }, url: string) {
      const body = WebhookRequest.safeParse({ url, priorityMin: options.min });
      if (!body.success) {
        const wrong =
          body.error.issues[0]?.path[0] === "url"
            ? `"${url}" is not an address`
            : `"${options.min}" is not a priority`;
        throw usage(wrong, "for example: picket webhooks add https://example.com/hook --min P1");
      }
      const made = await client().request({
        method: "POST",
        path: "/v1/webhooks",
        body: body.data,
        answer: Webhook,
      });
      output.result(made, () =>
        [
          `${made.url} receives alerts of ${made.priorityMin} and more urgent ones (id ${shortId(made.id)}).`,
          ...(made.secret ? [`Secret, to check signatures with, shown once: ${made.secret}`] : []),
        ].join("\n"),
      );
    },
  });
  leaf(webhooks, surroundings, {
    name: "ls",
    description: "the webhooks",
    talks: "control-plane",
    async run({ client, output }) {
      const items = await client().list({ path: "/v1/webhooks", item: Webhook });
      output.result(items, () =>
        items.length === 0
          ? "No webhook: `picket webhooks add <url>`."
          : table(output, items, [
              { title: "ID", value: row => shortId(row.id) },
              { title: "FROM", value: row => row.priorityMin },
              {
                title: "STATE",
                value: row => (row.disabledAt === null ? "on" : `off since ${row.disabledAt}`),
                style: row => (row.disabledAt === null ? "green" : "red"),
              },
              { title: "URL", value: row => row.url, flexible: true },
            ]),
      );
    },
  });
  leaf(webhooks, surroundings, {
    name: "rm <id>",
    description: "deliver there no more",
    talks: "control-plane",
    async run({ client, output }, _options, wanted: string) {
      const { id } = pick(await client().list({ path: "/v1/webhooks", item: Webhook }), wanted, "webhook");
      await client().request({ method: "DELETE", path: `/v1/webhooks/${id}`, answer: z.unknown() });
      output.result({ id, removed: true }, () => `Removed ${shortId(id)}.`);
    },
  });
}
