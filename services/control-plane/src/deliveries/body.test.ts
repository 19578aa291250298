import { WebhookPayload } from "@picket/shared/api";
import { expect, test } from "vitest";
import { BODY_BYTES_MAX, fitBody } from "./body.ts";

const payload = (nodes: number): WebhookPayload =>
  ({
    type: "alert.opened",
    timestamp: "2026-11-22T12:00:00.000Z",
    data: {
      id: "00000000-0000-4000-8000-000000000000",
      priority: "P0",
      state: "open",
      causalKey: "x",
      title: "Certificate",
      summary: "äöü".repeat(500),
      count: nodes,
      nodes: Array.from(
        { length: nodes },
        (_, i) => `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`,
      ),
      firstAt: "2026-11-22T12:00:00.000Z",
      lastAt: "2026-11-22T12:00:00.000Z",
      resolvedAt: null,
      acknowledgedBy: null,
      ticketUrl: null,
    },
  }) as WebhookPayload;

test.each([0, 10, 1_000, 100_000])("an alert of %d nodes stays below 20 kB, whole but for nodes", nodes => {
  const body = fitBody(payload(nodes));
  expect(Buffer.byteLength(body)).toBeLessThanOrEqual(BODY_BYTES_MAX);
  const sent = WebhookPayload.parse(JSON.parse(body));
  expect(sent.data.count).toBe(nodes);
  expect(sent.data.nodes.length > 0).toBe(nodes > 0);
});
