/** Standard Webhooks: HMAC-SHA256 over `id.timestamp.body` with the secret's decoded bytes, written `v1,<base64>`. */
import { createHmac } from "node:crypto";

export function sign(
  secret: string,
  { id, timestampS, body }: { id: string; timestampS: number; body: string },
): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  return `v1,${createHmac("sha256", key).update(`${id}.${timestampS}.${body}`).digest("base64")}`;
}
