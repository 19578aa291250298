/**
 * What the agent on this host has learned of each workload, database user and database: shown, exported for review
 * or for another node, taken in, and forgotten where it should not have been learned.
 */
import { ProfileState } from "@picket/shared/control-socket";
import { ProfileExport } from "@picket/shared/profile";
import type { Command } from "commander";
import { z } from "zod";
import { group, leaf } from "../command.ts";
import { usage } from "../errors.ts";
import { readJson } from "../files.ts";
import { table } from "../output.ts";
import type { Surroundings } from "../program.ts";
import { profileReviewCommands } from "./profile-review.ts";

type Named = { user?: string; database?: string };

export function profileCommands(program: Command, surroundings: Surroundings): void {
  const profiles = group(program, "profiles", "what workloads have been learned to send");

  leaf(profiles, surroundings, {
    name: "ls",
    description: "list the profiles of this host",
    talks: "agent",
    async run({ agent, output }) {
      const { items } = await agent().request({
        path: "/v1/profiles",
        answer: z.object({ items: z.array(ProfileState) }),
      });
      output.result(items, () =>
        items.length === 0
          ? "Nothing has been learned yet."
          : table(output, items, [
              { title: "WORKLOAD", value: row => row.workload, flexible: true },
              { title: "USER", value: row => row.databaseUser || "not known" },
              { title: "DATABASE", value: row => row.database || "not known" },
              {
                title: "PHASE",
                value: row => (row.learning ? "learning" : "learned"),
                style: row => (row.learning ? "yellow" : "green"),
              },
              { title: "TEMPLATES", value: row => String(row.templates), align: "right" },
              { title: "STATEMENTS", value: row => String(row.statements), align: "right" },
              { title: "SINCE", value: row => row.since.slice(0, 16).replace("T", " ") },
            ]),
      );
    },
  });

  named(profiles, surroundings, {
    name: "export <workload>",
    description: "print a profile: its templates hold no value of any literal",
    async run({ agent }, query) {
      const exported = await agent().request({ path: `/v1/profiles/export?${query}`, answer: ProfileExport });
      process.stdout.write(`${JSON.stringify(exported, null, 2)}\n`);
    },
  });

  leaf(profiles, surroundings, {
    name: "import <file>",
    description: "take a reviewed export in: what is in it counts as learned",
    talks: "agent",
    async run({ agent, output }, _options: object, file: string) {
      const parsed = ProfileExport.safeParse(readJson(file));
      if (!parsed.success) throw usage(`${file}: ${z.prettifyError(parsed.error)}`);
      await agent().request({
        method: "PUT",
        path: "/v1/profiles",
        body: parsed.data,
        answer: z.undefined(),
      });
      const { workload, templates } = parsed.data;
      output.result(
        { workload, templates: templates.length },
        () => `${workload}: ${templates.length} templates`,
      );
    },
  });

  named(profiles, surroundings, {
    name: "forget <workload>",
    description: "forget one template, or the whole profile: it is learned anew",
    build: command => command.option("--shape <sha256>", "only the template of this shape"),
    async run({ agent, output }, query, workload, { shape }: { shape?: string }) {
      const path = `/v1/profiles?${query}${shape ? `&shape=${encodeURIComponent(shape)}` : ""}`;
      await agent().request({ method: "DELETE", path, answer: z.undefined() });
      output.result({ workload, shape: shape ?? null }, () => `${workload}: forgotten`);
    },
  });
  profileReviewCommands(profiles, surroundings);
}

type Leaf = Parameters<typeof leaf>[2];

/** A command about one profile, which a workload's name is rarely enough to tell. */
function named<O extends object>(
  parent: Command,
  surroundings: Surroundings,
  command: {
    name: string;
    description: string;
    build?: (command: Command) => Command;
    run(context: Parameters<Leaf["run"]>[0], query: string, workload: string, options: O): Promise<void>;
  },
): void {
  leaf(parent, surroundings, {
    name: command.name,
    description: command.description,
    talks: "agent",
    build: built =>
      (command.build?.(built) ?? built)
        .option("--user <name>", "database user; none: the one that is not known")
        .option("--database <name>", "database; none: the one that is not known"),
    async run(context, options: O & Named, workload: string) {
      const query = new URLSearchParams({
        workload,
        user: options.user ?? "",
        database: options.database ?? "",
      });
      await command.run(context, query.toString(), workload, options);
    },
  });
}
