/** Join tokens for nodes, API tokens for people and machines. Each is shown once, when it is made. */
import { ApiToken, ApiTokenRequest, JoinToken, JoinTokenRequest, Role } from "@picket/shared/api";
import type { Command } from "commander";
import { z } from "zod";
import { collectLabel, group, leaf, pick, shortId, wholeNumber } from "../command.ts";
import type { Context } from "../context.ts";
import { CliError, usage } from "../errors.ts";
import { ago, labelsText, table } from "../output.ts";
import type { Surroundings } from "../program.ts";

type CreateOptions = {
  api?: boolean;
  role?: string;
  name?: string;
  uses?: number;
  ttl?: string;
  label?: Record<string, string>;
  scope?: Record<string, string>;
};

export function tokenCommands(program: Command, surroundings: Surroundings): void {
  const tokens = group(program, "tokens", "join tokens for nodes, API tokens for people and machines");
  leaf(tokens, surroundings, {
    name: "create",
    description: "make a join token, or with --api an API token; it is shown once",
    talks: "control-plane",
    build: command =>
      command
        .option("--uses <n>", "nodes that may join with it (default 1)", wholeNumber("--uses", 1))
        .option("--ttl <duration>", "how long it may be used (default 1h; of an API token: for ever)")
        .option("--label <key=value>", "label of nodes that join with it; may be repeated", collectLabel)
        .option("--api", "an API token instead")
        .option("--role <role>", "with --api: viewer, operator, approver, author or admin")
        .option(
          "--scope <key=value>",
          "with --api: hold it to nodes with this label; may be repeated",
          collectLabel,
        )
        .option("--name <text>", "with --api: whose it is"),
    run: (context, options: CreateOptions) =>
      options.api ? createApiToken(context, options) : createJoinToken(context, options),
  });
  leaf(tokens, surroundings, {
    name: "ls",
    description: "join tokens, or with --api the API tokens",
    talks: "control-plane",
    build: command => command.option("--api", "the API tokens"),
    async run({ client, output }, options: { api?: boolean }) {
      if (options.api) {
        const items = await client().list({ path: "/v1/api-tokens", item: ApiToken });
        output.result(items, () =>
          table(output, items, [
            { title: "ID", value: row => shortId(row.id) },
            { title: "NAME", value: row => row.label, flexible: true },
            { title: "ROLE", value: row => row.role },
            { title: "HELD TO", value: row => labelsText(row.scope) || "-", flexible: true },
            { title: "USED", value: row => (row.lastUsedAt === null ? "never" : ago(row.lastUsedAt)) },
            { title: "EXPIRES", value: row => (row.expiresAt === null ? "never" : ago(row.expiresAt)) },
            { title: "MADE", value: row => ago(row.createdAt) },
            { title: "BY", value: row => row.createdBy },
          ]),
        );
        return;
      }
      const items = await client().list({ path: "/v1/join-tokens", item: JoinToken });
      output.result(items, () =>
        items.length === 0
          ? "No join token: `picket tokens create` makes one."
          : table(output, items, [
              { title: "ID", value: row => shortId(row.id) },
              { title: "USES", value: row => `${row.uses}/${row.usesMax}`, align: "right" },
              { title: "EXPIRES", value: row => ago(row.expiresAt) },
              { title: "LABELS", value: row => labelsText(row.labels), flexible: true },
            ]),
      );
    },
  });
  leaf(tokens, surroundings, {
    name: "rm <id>",
    description: "revoke a join token, or with --api an API token",
    talks: "control-plane",
    build: command => command.option("--api", "an API token"),
    async run({ client, output }, options: { api?: boolean }, wanted: string) {
      const path = options.api ? "/v1/api-tokens" : "/v1/join-tokens";
      const items = await client().list({ path, item: z.looseObject({ id: z.string() }) });
      const { id } = pick(items, wanted, "token");
      await client().request({ method: "DELETE", path: `${path}/${id}`, answer: z.unknown() });
      output.result({ id, revoked: true }, () => `Revoked ${shortId(id)}.`);
    },
  });
}

async function createJoinToken({ client, output }: Context, options: CreateOptions): Promise<void> {
  if (options.role || options.name || options.scope)
    throw usage("--role, --name and --scope belong to API tokens", "add --api");
  const body = JoinTokenRequest.safeParse({
    ...(options.label ? { labels: options.label } : {}),
    ...(options.uses === undefined ? {} : { usesMax: options.uses }),
    ...(options.ttl ? { ttl: options.ttl } : {}),
  });
  if (!body.success) throw usage(body.error.issues[0]?.message ?? "not a valid request");
  const made = await client().request({
    method: "POST",
    path: "/v1/join-tokens",
    body: body.data,
    answer: JoinToken,
  });
  output.result(made, () =>
    [
      shown(made.token),
      "",
      `For ${made.usesMax} node${made.usesMax === 1 ? "" : "s"}, until ${made.expiresAt}. On the node, as root:`,
      `  PICKET_JOIN_TOKEN=… npx picket agent join ${client().url}`,
    ].join("\n"),
  );
}

async function createApiToken({ client, output }: Context, options: CreateOptions): Promise<void> {
  if (options.uses !== undefined || options.label)
    throw usage(
      "--uses and --label belong to join tokens",
      "leave out --api, or these; --scope holds an API token",
    );
  if (!Role.safeParse(options.role).success)
    throw usage(
      "an API token needs a role",
      "--role viewer, operator, approver, author or admin, and --name for whose it is",
    );
  const body = ApiTokenRequest.safeParse({
    label: options.name ?? options.role,
    role: options.role,
    ...(options.scope ? { scope: options.scope } : {}),
    ...(options.ttl ? { ttl: options.ttl } : {}),
  });
  if (!body.success) throw usage(body.error.issues[0]?.message ?? "not a valid request");
  const made = await client().request({
    method: "POST",
    path: "/v1/api-tokens",
    body: body.data,
    answer: ApiToken,
  });
  output.result(made, () => [shown(made.token), "", told(made)].join("\n"));
}

function told({ label, role, scope, expiresAt }: ApiToken): string {
  const held = Object.keys(scope).length === 0 ? "" : `, held to ${labelsText(scope)}`;
  return `${label}, role ${role}${held}${expiresAt === null ? "" : `, until ${expiresAt}`}.`;
}

function shown(token: string | undefined): string {
  if (token === undefined)
    throw new CliError("failed", "unexpected-answer", "the control plane made a token and did not show it");
  return token;
}
