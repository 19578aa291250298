/** The most urgent case: a verdict by hand, straight into this host's kernel map, until it expires. */
import { VerdictResponse } from "@picket/shared/control-socket";
import { Dialect, Duration } from "@picket/shared/vocabulary";
import type { Command } from "commander";
import { z } from "zod";
import { group, leaf } from "../command.ts";
import { usage } from "../errors.ts";
import { ago, table } from "../output.ts";
import type { Surroundings } from "../program.ts";

const actions = ["allow", "observe", "alert", "block"] as const;
const verdictList = z.union([
  z.array(VerdictResponse),
  z.object({ items: z.array(VerdictResponse) }).transform(({ items }) => items),
]);

export function verdictCommands(program: Command, surroundings: Surroundings): void {
  const verdict = group(program, "verdict", "verdicts by hand on this host's agent (as root)");
  leaf(verdict, surroundings, {
    name: "put <action> <sql>",
    description: "judge every statement of this one's shape by hand: allow, observe, alert or block",
    talks: "agent",
    build: command =>
      command
        .requiredOption("--dialect <mysql|pg>", "how to read the statement")
        .requiredOption("--reason <text>", "why; it is audited and reported up")
        .option("--ttl <duration>", "how long it holds", "1h"),
    async run(
      { agent, output },
      options: { dialect: string; reason: string; ttl: string },
      action: string,
      sql: string,
    ) {
      const wanted = z.enum(actions).safeParse(action);
      if (!wanted.success) throw usage(`"${action}" is not one of ${actions.join(", ")}`);
      const dialect = Dialect.safeParse(options.dialect);
      if (!dialect.success) throw usage(`"${options.dialect}" is not a dialect`, "write mysql or pg");
      if (!Duration.safeParse(options.ttl).success)
        throw usage(`"${options.ttl}" is not a duration`, "write 30s, 10m, 2h or 7d");
      const made = await agent().request({
        method: "PUT",
        path: "/v1/verdicts",
        body: { dialect: dialect.data, sql, action: wanted.data, reason: options.reason, ttl: options.ttl },
        answer: VerdictResponse,
      });
      output.result(made, () => `${made.action} until ${made.expiresAt} (id ${made.id}): ${made.shape}`);
    },
  });
  leaf(verdict, surroundings, {
    name: "ls",
    description: "verdicts by hand that still hold",
    talks: "agent",
    async run({ agent, output }) {
      const verdicts = await agent().request({ path: "/v1/verdicts", answer: verdictList });
      output.result(verdicts, () =>
        verdicts.length === 0
          ? "No verdict by hand."
          : table(output, verdicts, [
              { title: "ID", value: row => row.id },
              {
                title: "ACTION",
                value: row => row.action,
                style: row => (row.action === "block" ? "red" : null),
              },
              { title: "EXPIRES", value: row => ago(row.expiresAt) },
              { title: "SHAPE", value: row => row.shape, flexible: true },
              { title: "REASON", value: row => row.reason },
            ]),
      );
    },
  });
  leaf(verdict, surroundings, {
    name: "rm <id>",
    description: "end a verdict by hand before it expires",
    talks: "agent",
    async run({ agent, output }, _options, id: string) {
      await agent().request({
        method: "DELETE",
        path: `/v1/verdicts/${encodeURIComponent(id)}`,
        answer: z.unknown(),
      });
      output.result({ id, removed: true }, () => `Removed ${id}.`);
    },
  });
}
