/**
 * Which release keys count, changed by those that counted before: a root (shared/trust-format.ts) is written and signed
 * here, by as many people as are needed, each with the key that they keep, and published when it has all signatures.
 */
import { type ReleaseKey, releaseKey } from "@picket/shared/bundle";
import { countersigned, keyIdOf } from "@picket/shared/dsse";
import { signTrust, Trust, TrustEnvelope, TrustRoot } from "@picket/shared/trust";
import type { Command } from "commander";
import { collect, leaf, wholeNumber } from "../command.ts";
import { CliError, usage } from "../errors.ts";
import { readText, writeJson } from "../files.ts";
import { facts } from "../output.ts";
import type { Surroundings } from "../program.ts";
import { readReleaseKey } from "../release-key.ts";

type RotateOptions = { to: string[]; sign: string[]; threshold: number; version: number; out?: string };

export function trustCommands(keys: Command, surroundings: Surroundings): void {
  leaf(keys, surroundings, {
    name: "rotate",
    description: "write the next root: which keys count from then on, signed by those that do now",
    talks: "nobody",
    build: command =>
      command
        .requiredOption(
          "--version <n>",
          "one more than `picket keys trust` shows",
          wholeNumber("--version", 1),
        )
        .requiredOption(
          "--to <key>",
          "a key that counts: its file, or its public key; may be repeated",
          collect,
        )
        .requiredOption("--sign <file>", "a key to sign with, old or new; may be repeated", collect)
        .option("--threshold <k>", "how many of the keys must sign", wholeNumber("--threshold", 1), 1)
        .option("--out <file>", "where to (default: trust-<n>.json)"),
    run({ env, output }, options: RotateOptions) {
      const root = TrustRoot.safeParse({
        format: 1,
        version: options.version,
        keys: options.to.map(text => publicHalf(env, text)),
        threshold: options.threshold,
        createdAt: new Date().toISOString(),
      });
      if (!root.success) throw usage(root.error.issues[0]?.message ?? "that is no root");
      if (root.data.threshold > root.data.keys.length)
        throw usage(`${root.data.threshold} signatures of ${root.data.keys.length} keys cannot be had`);
      const signers = options.sign.map(file => readReleaseKey(env, file));
      const out = options.out ?? `trust-${options.version}.json`;
      const envelope = signTrust(root.data, signers);
      writeJson(out, envelope);
      output.result(
        { file: out, ...root.data, signedBy: envelope.signatures.map(({ keyid }) => keyid) },
        () => told(out, root.data, envelope),
      );
    },
  });
  leaf(keys, surroundings, {
    name: "cosign <root>",
    description: "add your signature to a root that another has written",
    talks: "nobody",
    build: command => command.option("--key <file>", "private key file"),
    run({ env, output }, options: { key?: string }, file: string) {
      const { envelope, root } = readRoot(file);
      const signed = countersigned(envelope, readReleaseKey(env, options.key));
      writeJson(file, signed);
      output.result({ file, signedBy: signed.signatures.map(({ keyid }) => keyid) }, () =>
        told(file, root, signed),
      );
    },
  });
  leaf(keys, surroundings, {
    name: "publish <root>",
    description: "give the control plane the next root; nodes follow it by themselves",
    talks: "control-plane",
    async run({ client, output }, _options: object, file: string) {
      const { envelope } = readRoot(file);
      const trust = await client().request({
        method: "POST",
        path: "/v1/trust",
        body: envelope,
        answer: Trust,
      });
      output.result(
        trust,
        () =>
          `Root ${trust.version} is published: ${trust.threshold} of ${trust.keys.length} keys must sign. Nodes follow within a minute or two; \`picket nodes show <node>\` says whether one has.`,
      );
    },
  });
  leaf(keys, surroundings, {
    name: "trust",
    description: "which keys count now, and how many must sign",
    talks: "control-plane",
    async run({ client, output }) {
      const trust = await client().request({ path: "/v1/trust", answer: Trust });
      output.result(trust, () =>
        facts(output, [
          ["Root", trust.version === 0 ? "0: the registered keys" : String(trust.version)],
          ["Must sign", `${trust.threshold} of ${trust.keys.length}`],
          ["Keys", trust.keys.map(({ keyid }) => keyid).join("\n") || "none"],
        ]),
      );
    },
  });
}

function publicHalf(env: NodeJS.ProcessEnv, text: string): ReleaseKey {
  if (!/^[A-Za-z0-9_-]{43}$/.test(text)) return releaseKey(readReleaseKey(env, text));
  return { keyid: keyIdOf(text), publicKey: text };
}

function readRoot(file: string): { envelope: TrustEnvelope; root: TrustRoot } {
  const text = readText(file);
  try {
    const envelope = TrustEnvelope.parse(JSON.parse(text));
    const root = TrustRoot.parse(JSON.parse(Buffer.from(envelope.payload, "base64").toString("utf8")));
    return { envelope, root };
  } catch {
    throw new CliError(
      "failed",
      "bad-root",
      `${file} is no root of trust`,
      "`picket keys rotate` writes one",
    );
  }
}

const told = (file: string, { version, threshold, keys }: TrustRoot, { signatures }: TrustEnvelope): string =>
  [
    `Root ${version} in ${file}: ${threshold} of ${keys.map(({ keyid }) => keyid).join(", ")} must sign.`,
    `Signed by ${signatures.map(({ keyid }) => keyid).join(", ")}.`,
    "",
    `Others add theirs with \`picket keys cosign ${file}\`; then \`picket keys publish ${file}\`.`,
  ].join("\n");
