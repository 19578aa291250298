import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InfraError } from "../process.ts";

/**
 * The online key that fleet immunity is shared with (docs/immunity.md), drawn once. The private half is for the control
 * plane alone; the public half goes into the first rule version that the release key signs. Null: somebody has chosen a
 * key, and with it whom it is delegated by.
 */
export function sharingKey(dir: string, env: NodeJS.ProcessEnv): { pem: string; publicFile: string } | null {
  if (env.PICKET_SHARING_KEY) return null;
  const [privateFile, publicFile] = [join(dir, "sharing.pem"), join(dir, "sharing.pub.pem")];
  if (!existsSync(privateFile)) {
    const { privateKey } = generateKeyPairSync("ed25519");
    // Whole or not at all, and never readable by others in between.
    writeFileSync(`${privateFile}.new`, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    renameSync(`${privateFile}.new`, privateFile);
  }
  chmodSync(privateFile, 0o600);
  const pem = readFileSync(privateFile, "utf8");
  writeFileSync(publicFile, publicHalf(pem, privateFile));
  return { pem, publicFile };
}

function publicHalf(pem: string, file: string): string | Buffer {
  try {
    return createPublicKey(createPrivateKey(pem)).export({ type: "spki", format: "pem" });
  } catch (error) {
    throw new InfraError(
      "bad-sharing-key",
      `${file} holds no key (${(error as Error).message}): remove it, and a new one is drawn; rule versions that let the old one share must be signed anew`,
    );
  }
}
