/** `login`, `logout`, `whoami`: the one place that keeps a token on disk. */
import { rmSync } from "node:fs";
import { Me } from "@picket/shared/api";
import type { Command } from "commander";
import { createClient } from "../client.ts";
import { leaf } from "../command.ts";
import { configFile, writeConfig } from "../config.ts";
import { usage } from "../errors.ts";
import { facts, labelsText } from "../output.ts";
import type { Surroundings } from "../program.ts";
import { readSecret } from "../secret.ts";
import { signInByBrowser } from "../sso.ts";

export function loginCommands(program: Command, surroundings: Surroundings): void {
  leaf(program, surroundings, {
    name: "login <url>",
    description: "keep the control plane's address and an API token, or sign in by --sso",
    talks: "nobody",
    build: command =>
      command
        .option("--token <token>", "the token; better in PICKET_TOKEN, or on standard input with -")
        .option("--sso", "sign in by single sign-on, in a browser on this machine"),
    async run({ env, output }, options: { token?: string; sso?: boolean }, url: string) {
      const address = URL.canParse(url) ? new URL(url) : null;
      if (!address || !/^https?:$/.test(address.protocol))
        throw usage(`"${url}" is not an address`, "write https://picket.example.com");
      const local = ["localhost", "127.0.0.1", "[::1]"].includes(address.hostname);
      if (address.protocol === "http:" && !local)
        output.note("warning: http sends the token in clear text over the network; use https");
      if (options.sso && options.token !== undefined)
        throw usage("--sso and --token exclude each other", "--sso makes a token of its own");
      const base = address.href.replace(/\/+$/, "");
      const token = options.sso
        ? (await signInByBrowser(base, at => output.note(`Open in a browser on this machine:\n  ${at}`)))
            .token
        : await readSecret({
            what: "API token",
            variable: "PICKET_TOKEN",
            argument: options.token,
            env,
          });
      const config = { url: base, token };
      const me = await createClient(config).request({ path: "/v1/me", answer: Me });
      const file = writeConfig(env, config);
      output.result(
        { ...me, url: config.url, file },
        () => `Logged in to ${config.url} as ${me.name} (${me.role}). Kept in ${file}.`,
      );
    },
  });
  leaf(program, surroundings, {
    name: "logout",
    description: "forget address and token",
    talks: "nobody",
    run({ env, output }) {
      const file = configFile(env);
      rmSync(file, { force: true });
      output.result({ file }, () => `Removed ${file}. The token itself stays valid until it is revoked.`);
    },
  });
  leaf(program, surroundings, {
    name: "whoami",
    description: "who this token is, and its role",
    talks: "control-plane",
    async run({ env, output, client }) {
      const me = await client().request({ path: "/v1/me", answer: Me });
      output.result({ ...me, url: client().url }, () =>
        facts(output, [
          ["Name", me.name],
          ["Role", me.role],
          ["Held to", labelsText(me.scope) || "nothing: the whole fleet"],
          ["Control plane", client().url],
          ["From", env.PICKET_TOKEN ? "PICKET_TOKEN" : configFile(env)],
        ]),
      );
    },
  });
}
