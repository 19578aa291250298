/** Reads a release key from PICKET_RELEASE_KEY (PEM text, for CI) or from its file, which nobody else may read. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { configDir } from "./config.ts";
import { CliError } from "./errors.ts";

export function readReleaseKey(env: NodeJS.ProcessEnv, file?: string): KeyObject {
  const inline = file === undefined ? env.PICKET_RELEASE_KEY : undefined;
  const path = resolve(file ?? join(configDir(env), "release.pem"));
  const from = inline ? "PICKET_RELEASE_KEY" : path;
  let pem = inline;
  if (!pem)
    try {
      pem = readFileSync(path, "utf8");
      if ((statSync(path).mode & 0o077) !== 0)
        throw new CliError(
          "refused",
          "key-exposed",
          `${path} can be read by others`,
          `run \`chmod 600 ${path}\`; if others may have read it, make a new key`,
        );
    } catch (error) {
      if (error instanceof CliError) throw error;
      throw new CliError(
        "not-found",
        "no-release-key",
        `no release key at ${path}`,
        "make one with `picket keys new`, or name it with --key or PICKET_RELEASE_KEY",
      );
    }
  let key: KeyObject;
  try {
    const passphrase = env.PICKET_KEY_PASSPHRASE;
    key = createPrivateKey({ key: pem, ...(passphrase ? { passphrase } : {}) });
  } catch {
    throw new CliError(
      "refused",
      "bad-release-key",
      `${from} holds no private key that can be read`,
      "is it a PEM file, and if it is encrypted, is PICKET_KEY_PASSPHRASE right?",
    );
  }
  if (key.asymmetricKeyType !== "ed25519")
    throw new CliError(
      "refused",
      "bad-release-key",
      `${from} is a key of type ${key.asymmetricKeyType}, not Ed25519`,
    );
  return key;
}
