/** Policies of the fleet's own, in Cedar, beside the shipped ones. */
import { basename } from "node:path";
import { Policy } from "@picket/shared/api";
import type { Command } from "commander";
import { z } from "zod";
import { group, leaf } from "../command.ts";
import { CliError } from "../errors.ts";
import { readText } from "../files.ts";
import { ago, table } from "../output.ts";
import type { Surroundings } from "../program.ts";

export function policyCommands(program: Command, surroundings: Surroundings): void {
  const policies = group(program, "policy", "who may do what: the fleet's own policies, in Cedar");
  leaf(policies, surroundings, {
    name: "ls",
    description: "the policies in force",
    talks: "control-plane",
    build: command => command.option("--history", "every version, removed ones too"),
    async run({ client, output }, options: { history?: boolean }) {
      const query = options.history ? { history: "true" } : {};
      const items = await client().list({ path: "/v1/policies", query, item: Policy });
      output.result(items, () =>
        items.length === 0
          ? "None of your own: the shipped ones alone decide (docs/access.md)."
          : table(output, items, [
              { title: "NAME", value: row => row.name, flexible: true },
              { title: "VERSION", value: row => `${row.version}${row.text === null ? " (removed)" : ""}` },
              { title: "MADE", value: row => ago(row.createdAt) },
              { title: "BY", value: row => row.createdBy },
            ]),
      );
    },
  });
  leaf(policies, surroundings, {
    name: "show <name>",
    description: "a policy's text",
    talks: "control-plane",
    async run({ client, output }, _options: object, name: string) {
      const items = await client().list({ path: "/v1/policies", item: Policy });
      const found = items.find(item => item.name === name);
      if (!found) throw new CliError("not-found", "not-found", `there is no policy "${name}"`);
      output.result(found, () => found.text ?? "");
    },
  });
  leaf(policies, surroundings, {
    name: "put <file>",
    description: "check and store a policy; it holds at once",
    talks: "control-plane",
    build: command => command.option("--name <name>", "own-… (default: the file's name)"),
    async run({ client, output }, options: { name?: string }, file: string) {
      const name = options.name ?? nameOf(file);
      const made = await client().request({
        method: "PUT",
        path: `/v1/policies/${encodeURIComponent(name)}`,
        body: { text: readText(file) },
        answer: Policy,
      });
      output.result(made, () => `${made.name} version ${made.version} is in force.`);
    },
  });
  leaf(policies, surroundings, {
    name: "rm <name>",
    description: "remove a policy; its versions stay in the history",
    talks: "control-plane",
    async run({ client, output }, _options: object, name: string) {
      const path = `/v1/policies/${encodeURIComponent(name)}`;
      await client().request({ method: "DELETE", path, answer: z.unknown() });
      output.result({ name, removed: true }, () => `Removed ${name}.`);
    },
  });
}

const nameOf = (file: string): string => {
  const name = basename(file).replace(/\.cedar$/, "");
  return name.startsWith("own-") ? name : `own-${name}`;
};
