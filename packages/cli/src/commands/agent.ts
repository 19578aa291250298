/** This host's agent: into a fleet, out of it, and how it is. */
import { JoinRequest, Status } from "@picket/shared/control-socket";
import type { Command } from "commander";
import { z } from "zod";
import { collectLabel, group, leaf } from "../command.ts";
import { usage } from "../errors.ts";
import { facts, span } from "../output.ts";
import type { Surroundings } from "../program.ts";
import { readSecret } from "../secret.ts";

export function agentCommands(program: Command, surroundings: Surroundings): void {
  const agent = group(program, "agent", "this host's agent (as root)");
  leaf(agent, surroundings, {
    name: "join <url>",
    description: "enrol this host with a control plane",
    talks: "agent",
    build: command =>
      command
        .option("--token <token>", "join token; better in PICKET_JOIN_TOKEN, or on standard input with -")
        .option("--label <key=value>", "label of this node; may be repeated", collectLabel),
    async run(
      { agent, env, output },
      options: { token?: string; label?: Record<string, string> },
      url: string,
    ) {
      const token = await readSecret({
        what: "join token",
        variable: "PICKET_JOIN_TOKEN",
        argument: options.token,
        env,
      });
      const body = JoinRequest.safeParse({ url, token, labels: options.label ?? {} });
      if (!body.success) throw usage(body.error.issues[0]?.message ?? "not a valid request");
      const status = await agent().request({
        method: "POST",
        path: "/v1/join",
        body: body.data,
        answer: z.object({ enrolled: Status.shape.enrolled.optional(), node: z.string().optional() }),
      });
      const node = status.enrolled?.node ?? status.node;
      output.result({ node, url }, () => `This host is node ${node} of ${url}.`);
    },
  });
  leaf(agent, surroundings, {
    name: "leave",
    description: "leave the fleet: forget the node's key; what is installed stops enforcing",
    talks: "agent",
    async run({ agent, output }) {
      await agent().request({ method: "POST", path: "/v1/leave", body: {}, answer: z.unknown() });
      output.result({ left: true }, () => "Left. This host is in no fleet now.");
    },
  });
  leaf(agent, surroundings, {
    name: "rotate-key",
    description: "give this node a new key now; it also does so by itself (PICKET_KEY_LIFETIME)",
    talks: "agent",
    async run({ agent, output }) {
      const answer = z.object({ publicKey: z.string() });
      const made = await agent().request({ method: "POST", path: "/v1/rotate-key", body: {}, answer });
      output.result(made, () => `This node signs with ${made.publicKey} from now on.`);
    },
  });
  leaf(agent, surroundings, {
    name: "status",
    description: "what this host's agent runs and sees",
    talks: "agent",
    async run({ agent, output }) {
      const status = await agent().request({ path: "/v1/status", answer: Status });
      output.result(status, () => {
        const { report } = status;
        const installed = report.installed
          .map(one =>
            one.kind === "active"
              ? one.twin
                ? `${one.ruleSet}@${one.twin.beside ?? "none"} in slot ${one.slot}; ${one.version} judges beside it as a twin`
                : `${one.ruleSet}@${one.version} in slot ${one.slot}, ${one.share / 100} % of processes`
              : `${one.ruleSet}@${one.version ?? "none"} kept; ${one.refused} refused: ${one.because.code}`,
          )
          .join("\n");
        const guarantees = Object.entries(report.guarantees).map(([name, count]) => `${count} ${name}`);
        return facts(output, [
          ["Enrolled", status.enrolled ? `${status.enrolled.node} at ${status.enrolled.url}` : "no"],
          ["Rules from", status.rulesFrom],
          ["Installed", installed || "nothing"],
          ["Workloads", status.workloads.map(({ name, mode }) => `${name} (${mode})`).join(", ") || "none"],
          [
            "Connections",
            `${report.connectionsTotal}${guarantees.length ? `: ${guarantees.join(", ")}` : ""}`,
          ],
          ["Shapes learned", String(report.shapesLearned)],
          [
            "Events",
            `${report.events.emitted} emitted, ${report.events.lost} lost, ${report.events.uploaded} uploaded`,
          ],
          ["Memory", `${Math.round(report.agent.residentBytes / 1_048_576)} MiB`],
          ["Up", span(report.agent.uptimeSeconds * 1_000)],
          ...report.missing.map(text => ["Missing", text] as const),
        ]);
      });
    },
  });
}
