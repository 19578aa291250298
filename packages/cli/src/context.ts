/** What every command gets: its surroundings, made once from the process and the options all commands share. */
import { type AgentClient, createAgentClient } from "./agent-client.ts";
import { type Client, createClient } from "./client.ts";
import { readConfig } from "./config.ts";
import { createOutput, type Output } from "./output.ts";

export type CommonOptions = { json?: boolean; url?: string; socket?: string };

export type Context = {
  env: NodeJS.ProcessEnv;
  output: Output;
  /** Made at first use: `judge` and `rules check` need no login. */
  client(): Client;
  agent(): AgentClient;
};

export function createContext(env: NodeJS.ProcessEnv, options: CommonOptions): Context {
  let client: Client | undefined;
  return {
    env,
    output: createOutput({ json: options.json === true, env }),
    client: () => {
      client ??= createClient(readConfig(options.url ? { ...env, PICKET_URL: options.url } : env));
      return client;
    },
    agent: () => createAgentClient(env, options.socket),
  };
}
