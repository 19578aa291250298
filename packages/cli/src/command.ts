/** How a command is declared: every leaf knows --json and where it talks to, and gets a Context. */
import type { Command } from "commander";
import { type CommonOptions, type Context, createContext } from "./context.ts";
import { CliError, usage } from "./errors.ts";
import type { Surroundings } from "./program.ts";

type Talks = "control-plane" | "agent" | "nobody";

/** Adds a leaf; `run` gets the arguments and options in commander's order, the context first. */
export function leaf<Args extends unknown[], Options extends object>(
  parent: Command,
  { env, json }: Surroundings,
  {
    name,
    description,
    talks,
    build = command => command,
    run,
  }: {
    name: string;
    description: string;
    talks: Talks;
    build?: (command: Command) => Command;
    run: (context: Context, options: Options, ...args: Args) => Promise<void> | void;
  },
): Command {
  const command = build(parent.command(name).description(description));
  command.option("--json", "print JSON");
  if (talks === "control-plane")
    command.option("--url <url>", "control plane, instead of the one logged in to");
  if (talks === "agent") command.option("--socket <path>", "control socket of the agent");
  command.action(async (...all: unknown[]) => {
    const options = command.opts<Options & CommonOptions>();
    const args = all.slice(0, -2) as Args;
    await run(createContext(env, { ...options, json }), options, ...args);
  });
  return command;
}

export function group(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).helpCommand(false);
}

/** For an option that may be given again. */
export const collect = (text: string, before: string[] = []): string[] => [...before, text];

/** `--label a=b --label c=d`. */
export function collectLabel(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw usage(`"${text}" is not a label`, "write key=value");
  return { ...previous, [text.slice(0, equals)]: text.slice(equals + 1) };
}

export function wholeNumber(name: string, least: number): (text: string) => number {
  return text => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
      throw usage(`${name} must be a whole number of at least ${least}, not "${text}"`);
    return value;
  };
}

/** `shop@3`. */
export function parseVersioned(text: string): { name: string; version: number | null } {
  const match = /^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:@v?(\d{1,10}))?$/.exec(text);
  if (!match) throw usage(`"${text}" is no rule set`, "write name or name@version, for example shop@3");
  return { name: match[1]!, version: match[2] === undefined ? null : Number(match[2]) };
}

/** An id in full, or enough of its beginning. */
export function pick<T extends { id: string }>(items: readonly T[], wanted: string, what: string): T {
  const exact = items.find(({ id }) => id === wanted);
  if (exact) return exact;
  const matches = wanted.length >= 4 ? items.filter(({ id }) => id.startsWith(wanted)) : [];
  if (matches.length === 1) return matches[0]!;
  if (matches.length > 1)
    throw usage(`"${wanted}" fits ${matches.length} ${what}s`, "give more characters of the id");
  throw new CliError("not-found", "not-found", `there is no ${what} "${wanted}"`);
}

export const shortId = (id: string): string => id.slice(0, 8);
