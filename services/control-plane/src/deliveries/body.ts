/** The exact bytes of a webhook. Standard Webhooks asks for less than 20 kB. */
import type { WebhookPayload } from "@picket/shared/api";

export const BODY_BYTES_MAX = 19_000;

/** Node ids are what can be many; `count` still says of how many sightings. */
export function fitBody(payload: WebhookPayload): string {
  for (let nodes = payload.data.nodes; ; nodes = nodes.slice(0, Math.floor(nodes.length / 2))) {
    const body = JSON.stringify({ ...payload, data: { ...payload.data, nodes } });
    if (Buffer.byteLength(body) <= BODY_BYTES_MAX || nodes.length === 0) return body;
  }
}
