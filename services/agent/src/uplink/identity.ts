/**
 * Who this node is: an Ed25519 key made here and never sent, the id that the control plane gave for its public
 * half, and the release keys pinned at enrolment. Each call carries a token of its own, signed by the key
 * (RFC 8037) and good for a minute.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
} from "node:crypto";
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { ReleaseKey } from "@picket/shared/bundle-format";
import { NODE_TOKEN_AUDIENCE, NODE_TOKEN_LIFETIME_S } from "@picket/shared/contract";
import { NodeId } from "@picket/shared/ids";
import { Trust } from "@picket/shared/trust-format";
import { Labels } from "@picket/shared/vocabulary";
import { z } from "zod";
import { readIfPresent, readJson, syncDirectory, writeDurably } from "../state/durable.ts";

export const Enrolment = z.strictObject({
  node: NodeId,
  url: z.string(),
  releaseKeys: z.array(ReleaseKey),
  /** The root of trust that these keys are of. */
  trust: Trust.pick({ version: true, threshold: true }).default({ version: 0, threshold: 1 }),
  /** Those of earlier roots: what they signed was good when it was installed, and goes on after a restart. */
  formerKeys: z.array(ReleaseKey).default([]),
  labels: Labels,
});
export type Enrolment = z.infer<typeof Enrolment>;

const CLOCK_TOLERANCE_MS = 5_000;

const enrolmentPath = (stateDirectory: string) => join(stateDirectory, "node.json");
const nextKeyPath = (stateDirectory: string) => join(stateDirectory, "node.key.next");
const keyPath = (stateDirectory: string) => join(stateDirectory, "node.key");

export function readEnrolment(stateDirectory: string): Enrolment | null {
  return readJson(enrolmentPath(stateDirectory), Enrolment);
}

export function writeEnrolment(stateDirectory: string, enrolment: Enrolment): void {
  writeDurably(enrolmentPath(stateDirectory), JSON.stringify(enrolment, null, 2));
}

/** Leaving forgets the key as well: the next enrolment is a new node. */
export function forgetEnrolment(stateDirectory: string): void {
  rmSync(enrolmentPath(stateDirectory), { force: true });
  rmSync(keyPath(stateDirectory), { force: true });
  rmSync(nextKeyPath(stateDirectory), { force: true });
}

/** Made at the first call, 0600, and the same from then on. */
export function nodeKey(stateDirectory: string): KeyObject {
  const kept = readIfPresent(keyPath(stateDirectory));
  if (kept) return createPrivateKey(kept);
  const { privateKey } = generateKeyPairSync("ed25519");
  writeDurably(keyPath(stateDirectory), privateKey.export({ type: "pkcs8", format: "pem" }), 0o600);
  return privateKey;
}

/** base64url of the 32 raw bytes. */
export function rawPublicKey(key: KeyObject): string {
  return createPublicKey(key).export({ type: "spki", format: "der" }).subarray(-32).toString("base64url");
}

/** The next key, kept before anybody hears of it: a crash between the two leaves neither side without one. */
export function nextNodeKey(stateDirectory: string): KeyObject {
  const kept = readIfPresent(nextKeyPath(stateDirectory));
  if (kept) return createPrivateKey(kept);
  const { privateKey } = generateKeyPairSync("ed25519");
  writeDurably(nextKeyPath(stateDirectory), privateKey.export({ type: "pkcs8", format: "pem" }), 0o600);
  return privateKey;
}

export const rotationIsUnderWay = (stateDirectory: string): boolean =>
  existsSync(nextKeyPath(stateDirectory));

/** The next key is the key. */
export function promoteNodeKey(stateDirectory: string): void {
  renameSync(nextKeyPath(stateDirectory), keyPath(stateDirectory));
  syncDirectory(stateDirectory);
}

/** When the key was made, by its file. */
export const nodeKeyMadeMs = (stateDirectory: string): number => statSync(keyPath(stateDirectory)).mtimeMs;

export type TokenSource = {
  /** Signs with another key from the next token on. */
  use(key: KeyObject): void;
  /** A token for each call: the control plane takes none twice. */
  token(): Promise<string>;
  /** A call was refused; `date` is the control plane's clock. How far this host's is ahead, when that may be why. */
  refusedAt(date: string | undefined): number | null;
};

/** A host's clock may be minutes off, and its node must not be lost for it: tokens then go by the control plane's. */
export function tokenSource(first: KeyObject, node: NodeId, nowMs: () => number = Date.now): TokenSource {
  let aheadMs = 0;
  let key = first;
  return {
    use(next) {
      key = next;
    },
    async token() {
      // Only an enrolled agent needs the signer in memory.
      const { SignJWT } = await import("jose/jwt/sign");
      const issuedAtS = Math.floor((nowMs() - aheadMs) / 1_000);
      return new SignJWT({})
        .setProtectedHeader({ alg: "EdDSA" })
        .setIssuer(node)
        .setSubject(node)
        .setAudience(NODE_TOKEN_AUDIENCE)
        .setIssuedAt(issuedAtS)
        .setExpirationTime(issuedAtS + NODE_TOKEN_LIFETIME_S)
        .setJti(randomUUID())
        .sign(key);
    },
    refusedAt(date) {
      const theirsMs = Date.parse(date ?? "");
      if (Number.isNaN(theirsMs)) return null;
      const foundMs = nowMs() - theirsMs;
      // Date counts whole seconds, and the answer travelled.
      if (Math.abs(foundMs - aheadMs) < CLOCK_TOLERANCE_MS) return null;
      aheadMs = foundMs;
      return aheadMs;
    },
  };
}
