/**
 * Webhook secrets at rest. They must be read again to sign, so they cannot be hashed: with PICKET_SECRET_KEY they
 * are sealed by AES-256-GCM, without it they lie in the database as they are. Either way they are shown once and
 * never logged.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Services } from "../context.ts";

const SEALED = "v1.";

export function seal(ctx: Pick<Services, "config" | "random">, secret: string): string {
  const { secretKey } = ctx.config;
  if (!secretKey) return secret;
  const nonce = ctx.random(12);
  const cipher = createCipheriv("aes-256-gcm", secretKey, nonce);
  const sealed = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
  return SEALED + Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64url");
}

export function unseal(ctx: Pick<Services, "config">, stored: string): string {
  if (!stored.startsWith(SEALED)) return stored;
  const { secretKey } = ctx.config;
  if (!secretKey) throw new Error("this webhook's secret is sealed: set PICKET_SECRET_KEY");
  const bytes = Buffer.from(stored.slice(SEALED.length), "base64url");
  const decipher = createDecipheriv("aes-256-gcm", secretKey, bytes.subarray(0, 12));
  decipher.setAuthTag(bytes.subarray(12, 28));
  return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString("utf8");
}
