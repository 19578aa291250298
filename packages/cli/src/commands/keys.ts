/** Release keys: made and kept here, outside the control plane, which only learns the public half. */
import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { ReleaseKey, releaseKey } from "@picket/shared/bundle";
import type { Command } from "commander";
import { z } from "zod";
import { group, leaf } from "../command.ts";
import { configDir, writePrivate } from "../config.ts";
import { CliError } from "../errors.ts";
import { facts, table } from "../output.ts";
import type { Surroundings } from "../program.ts";
import { readReleaseKey } from "../release-key.ts";
import { trustCommands } from "./trust.ts";

export function keyCommands(program: Command, surroundings: Surroundings): void {
  const keys = group(program, "keys", "release keys that sign rule versions");
  leaf(keys, surroundings, {
    name: "new",
    description: "make an Ed25519 release key; keep it offline",
    talks: "nobody",
    build: command =>
      command
        .option("--out <file>", "where to (default: release.pem beside the configuration)")
        .addHelpText("after", "\nPICKET_KEY_PASSPHRASE, when set, encrypts the file."),
    run({ env, output }, options: { out?: string }) {
      const file = resolve(options.out ?? join(configDir(env), "release.pem"));
      if (existsSync(file))
        throw new CliError(
          "conflict",
          "exists",
          `${file} already exists`,
          "a lost release key cannot be made again: write the new one elsewhere with --out",
        );
      const { privateKey } = generateKeyPairSync("ed25519");
      const passphrase = env.PICKET_KEY_PASSPHRASE;
      const pem = privateKey.export({
        type: "pkcs8",
        format: "pem",
        ...(passphrase ? { cipher: "aes-256-cbc", passphrase } : {}),
      });
      writePrivate(file, pem);
      const made = releaseKey(privateKey);
      output.result({ ...made, file, encrypted: Boolean(passphrase) }, () =>
        [
          facts(output, [
            ["Key id", made.keyid],
            ["Public key", made.publicKey],
            ["Private key", `${file}${passphrase ? " (encrypted)" : ""}`],
          ]),
          "",
          "Next: `picket keys register` tells the control plane the public half; nodes pin it when they enrol.",
        ].join("\n"),
      );
    },
  });
  leaf(keys, surroundings, {
    name: "register",
    description: "tell the control plane the public half, for nodes to pin",
    talks: "control-plane",
    build: command =>
      command.option("--key <file>", "private key file (default: release.pem beside the configuration)"),
    async run({ env, output, client }, options: { key?: string }) {
      const key = releaseKey(readReleaseKey(env, options.key));
      await client().request({ method: "POST", path: "/v1/release-keys", body: key, answer: z.unknown() });
      output.result(key, () => `Registered ${key.keyid}. Nodes that enrol from now on pin it.`);
    },
  });
  leaf(keys, surroundings, {
    name: "ls",
    description: "release keys that the control plane hands to new nodes",
    talks: "control-plane",
    async run({ output, client }) {
      const items = await client().list({ path: "/v1/release-keys", item: z.looseObject(ReleaseKey.shape) });
      output.result(items, () =>
        items.length === 0
          ? "No release key yet: `picket keys new`, then `picket keys register`."
          : table(output, items, [
              { title: "KEY ID", value: row => row.keyid },
              { title: "PUBLIC KEY", value: row => row.publicKey },
            ]),
      );
    },
  });
  trustCommands(keys, surroundings);
}
