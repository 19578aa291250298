/**
 * What this kernel and host can do, and each database connection with its guarantee or why it is unseen. The
 * agent knows best, since it has tried; without one the command says what can be read from outside.
 */
import { Doctor, type DoctorCheck } from "@picket/shared/control-socket";
import type { Command } from "commander";
import { leaf } from "../command.ts";
import { CliError } from "../errors.ts";
import { inspectHost } from "../host.ts";
import type { Output } from "../output.ts";
import type { Surroundings } from "../program.ts";
import { connectionTable } from "./nodes.ts";

export function doctorCommand(program: Command, surroundings: Surroundings): void {
  leaf(program, surroundings, {
    name: "doctor",
    description: "what this host can do, and every database connection on it with its guarantee",
    talks: "agent",
    async run({ agent, output }) {
      const { from, why, doctor } = await examine(agent);
      output.result({ from, ...doctor }, () => report(output, from, why, doctor));
      const missing = doctor.checks.filter(({ state }) => state === "missing");
      if (missing.length > 0)
        throw new CliError(
          "failed",
          "not-able",
          `this host lacks what Picket needs: ${missing.map(({ name }) => name).join(", ")}`,
        );
    },
  });
}

async function examine(agent: () => import("../agent-client.ts").AgentClient) {
  try {
    return {
      from: "agent" as const,
      why: null,
      doctor: await agent().request({ path: "/v1/doctor", answer: Doctor }),
    };
  } catch (error) {
    if (!(error instanceof CliError) || (error.exit !== "unreachable" && error.exit !== "refused"))
      throw error;
    return { from: "host" as const, why: error, doctor: inspectHost() };
  }
}

function report(
  output: Output,
  from: "agent" | "host",
  why: CliError | null,
  { kernel, checks, connections }: Doctor,
): string {
  const mark: Record<DoctorCheck["state"], string> = {
    ok: output.paint("green", "ok      "),
    degraded: output.paint("yellow", "degraded"),
    missing: output.paint("red", "missing "),
  };
  const name = Math.max(0, ...checks.map(check => check.name.length));
  const parts = [
    [
      `Kernel ${kernel}`,
      ...(why === null
        ? []
        : [
            output.paint("yellow", `Read from outside, since ${why.message}.`),
            ...(why.hint ? [output.paint("dim", why.hint)] : []),
          ]),
    ].join("\n"),
    checks.map(check => `${mark[check.state]}  ${check.name.padEnd(name)}  ${check.detail}`).join("\n"),
  ];
  if (connections.length > 0) parts.push(connectionTable(output, connections));
  else
    parts.push(
      from === "agent"
        ? "No database connection on this host."
        : "No connection to a usual database port or socket on this host.",
    );
  return parts.join("\n\n");
}
