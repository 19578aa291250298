/** What `rules sign --delegate` puts into a bundle: an online key, and how far it may go. */
import { createPublicKey } from "node:crypto";
import { Delegation } from "@picket/shared/bundle-format";
import { publicKeyOf } from "@picket/shared/dsse";
import { Duration, durationMs } from "@picket/shared/vocabulary";
import { CliError, usage } from "./errors.ts";
import { readText } from "./files.ts";

export type DelegateOptions = {
  delegate?: string;
  delegateExpires: string;
  shareMax: number;
  shareNodeMax: number;
  shareHourMax: number;
  shareTtl: string;
};

export function delegationOf(options: DelegateOptions, nowMs: number): Delegation | undefined {
  const { delegate, delegateExpires, shareTtl } = options;
  if (delegate === undefined) return undefined;
  for (const text of [delegateExpires, shareTtl])
    if (!Duration.safeParse(text).success) throw usage(`"${text}" is not a duration`, "write 24h or 90d");
  const delegation = Delegation.safeParse({
    ...publicKeyOf(readPublicKey(delegate)),
    expiresAt: new Date(nowMs + durationMs(delegateExpires)).toISOString(),
    caps: {
      inForce: options.shareMax,
      inForcePerNode: options.shareNodeMax,
      perHour: options.shareHourMax,
      ttl: shareTtl,
    },
  });
  if (delegation.success) return delegation.data;
  const issue = delegation.error.issues[0]!;
  throw usage(`${issue.path.join(".")}: ${issue.message}`);
}

function readPublicKey(file: string) {
  const text = readText(file);
  let key: ReturnType<typeof createPublicKey>;
  try {
    key = createPublicKey(text);
  } catch (error) {
    throw new CliError(
      "failed",
      "bad-public-key",
      `${file} holds no public key: ${(error as Error).message}`,
      "`picket immunity key` makes one",
    );
  }
  if (key.asymmetricKeyType !== "ed25519")
    throw usage(`${file} is a key of type ${key.asymmetricKeyType}, not Ed25519`);
  return key;
}
