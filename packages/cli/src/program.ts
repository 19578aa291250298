/** The command's table of contents: each file of commands/ adds its own, in the order an operator meets them. */
import { Command, Option } from "commander";
import { agentCommands } from "./commands/agent.ts";
import { alertCommands } from "./commands/alerts.ts";
import { detectionCommands } from "./commands/detections.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { fleetCommands } from "./commands/fleet.ts";
import { guardCommand } from "./commands/guard.ts";
import { immunityCommands } from "./commands/immunity.ts";
import { judgeCommand } from "./commands/judge.ts";
import { keyCommands } from "./commands/keys.ts";
import { loginCommands } from "./commands/login.ts";
import { nodeCommands } from "./commands/nodes.ts";
import { policyCommands } from "./commands/policies.ts";
import { profileCommands } from "./commands/profiles.ts";
import { rolloutCommands } from "./commands/rollout.ts";
import { ruleCommands } from "./commands/rules.ts";
import { tokenCommands } from "./commands/tokens.ts";
import { upCommand } from "./commands/up.ts";
import { verdictCommands } from "./commands/verdict.ts";
import { webhookCommands } from "./commands/webhooks.ts";

export type Surroundings = { env: NodeJS.ProcessEnv; json: boolean };

const AFTER = `
Exit codes
  0  done, or the answer is yes      3  control plane or agent cannot be reached
  1  failed, or the answer is no     4  refused: not logged in, not allowed, not root
  2  wrong use                       5  there is no such thing
                                     6  conflicts with what is there

With --json the result is JSON on standard output (streams: one value a line)
and an error is {"error": {code, message, hint, exitCode}} on standard error.

Environment
  PICKET_URL, PICKET_TOKEN   control plane and API token, instead of \`picket login\`
  PICKET_LOCAL_LOGIN         what root uses without a login: what \`npm start\` wrote (/run/picket/login.json)
  PICKET_SOCKET              control socket of the agent (/run/picket/agent.sock)
  NO_COLOR                   no colour

docs/cli.md describes each command.`;

export function createProgram(surroundings: Surroundings): Command {
  const program = new Command("picket")
    .description("Guards the traffic between applications and their databases.")
    .usage("<command> [options]")
    .version("0.1.0", "-V, --version", "show the version")
    // Understood before the command as well as after it.
    .addOption(new Option("--json", "print JSON").hideHelp())
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help of a command")
    .showSuggestionAfterError(true)
    // So that `rules sign --version 3` is that command's option.
    .enablePositionalOptions()
    .exitOverride()
    // Errors are written once, by main.ts.
    .configureOutput({ outputError: () => {} })
    .configureHelp({ helpWidth: 100, showGlobalOptions: false })
    .addHelpText("after", AFTER);
  for (const add of [
    upCommand,
    doctorCommand,
    loginCommands,
    guardCommand,
    verdictCommands,
    profileCommands,
    judgeCommand,
    ruleCommands,
    rolloutCommands,
    fleetCommands,
    nodeCommands,
    detectionCommands,
    immunityCommands,
    alertCommands,
    webhookCommands,
    agentCommands,
    tokenCommands,
    keyCommands,
    policyCommands,
  ])
    add(program, surroundings);
  return program;
}
