/** A webhook receiver as its owner would write it: it verifies the Standard Webhooks signature before it believes. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { WebhookPayload } from "@picket/shared/api";

export type Heard = WebhookPayload & { signed: boolean };

export type WebhookReceiver = {
  readonly url: string;
  readonly heard: readonly Heard[];
  /** The secret that the control plane gave when the webhook was made. */
  trust(secret: string): void;
  close(): void;
};

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const heard: Heard[] = [];
  let key: Buffer | undefined;
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const signed = key !== undefined && verifies(key, request.headers, body);
    heard.push({ ...WebhookPayload.parse(JSON.parse(body)), signed });
    response.writeHead(signed ? 204 : 401).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    heard,
    trust: secret => {
      key = Buffer.from(secret.slice("whsec_".length), "base64");
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** HMAC-SHA256 over `id.timestamp.body`; a receiver must also refuse what is older than five minutes. */
function verifies(key: Buffer, headers: IncomingMessage["headers"], body: string): boolean {
  const timestamp = String(headers["webhook-timestamp"]);
  if (!(Math.abs(Date.now() / 1_000 - Number(timestamp)) < 300)) return false;
  const wanted = createHmac("sha256", key).update(`${headers["webhook-id"]}.${timestamp}.${body}`).digest();
  return String(headers["webhook-signature"])
    .split(" ")
    .map(one => Buffer.from(one.replace(/^v1,/, ""), "base64"))
    .some(given => given.length === wanted.length && timingSafeEqual(given, wanted));
}
