/** Webhooks, against receivers that are real servers. */
import { createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Alert, type Delivery, type Webhook, WebhookPayload } from "@picket/shared/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  ask,
  certificate,
  type Fleet,
  type SimulatedNode,
  type Stores,
  startFleet,
  startStores,
  statement,
  until,
} from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
let node: SimulatedNode;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores, { deliveryScheduleMs: [40, 80], deliveryTimeoutMs: 1_000 });
  node = await fleet.join("db-1");
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

interface Received {
  headers: IncomingMessage["headers"];
  body: string;
}

/** Answers as told; the last answer is repeated. 0: never answers. */
async function receiver(...answers: [number, Record<string, string>?][]) {
  const received: Received[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", chunk => chunks.push(chunk));
    request.on("end", () => {
      const [status, headers] = answers[Math.min(received.length, answers.length - 1)]!;
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString("utf8") });
      if (status !== 0) response.writeHead(status, headers).end("thanks");
    });
  });
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    received,
    port,
    url: `http://127.0.0.1:${port}/hook`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

const subscribe = (url: string, priorityMin = "P3") =>
  fleet.admin.call<Webhook>("POST", "/v1/webhooks", { url, priorityMin });
const unsubscribe = (webhook: Webhook) => fleet.admin.call("DELETE", `/v1/webhooks/${webhook.id}`);
const deliveriesOf = async (webhook: Webhook): Promise<Delivery[]> => {
  const { items } = await fleet.admin.call<{ items: Delivery[] }>("GET", "/v1/deliveries?limit=500");
  return items.filter(delivery => delivery.webhook === webhook.id);
};

/** As the Standard Webhooks libraries verify. */
function verifies(secret: string, { headers, body }: Received): boolean {
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  return headers["webhook-signature"] === `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
}

test("an alert reaches the receiver with a signature that verifies, and so does its end", async () => {
  const hook = await receiver([204]);
  const webhook = await subscribe(hook.url);
  expect(webhook.secret).toMatch(/^whsec_/);
  await node.events([certificate({ causalKey: "signed" })]);
  await until(
    async () => hook.received.length,
    count => count === 1,
  );
  const first = hook.received[0]!;
  expect(verifies(webhook.secret!, first)).toBe(true);
  expect(first.headers["webhook-timestamp"]).toMatch(/^\d{10}$/);
  const payload = WebhookPayload.parse(JSON.parse(first.body));
  expect(payload).toMatchObject({ type: "alert.opened", data: { causalKey: "signed", priority: "P0" } });

  await node.events([
    certificate({ causalKey: "signed", priority: null, handshake: "succeeded", error: undefined }),
  ]);
  await until(
    async () => hook.received.length,
    count => count === 2,
  );
  expect(JSON.parse(hook.received[1]!.body)).toMatchObject({
    type: "alert.resolved",
    data: { id: payload.data.id },
  });
  expect(verifies(webhook.secret!, hook.received[1]!)).toBe(true);
  const listed = await fleet.admin.call("GET", "/v1/webhooks");
  expect(JSON.stringify(listed)).not.toContain(webhook.secret!);
  await unsubscribe(webhook);
  hook.close();
});

test("after a 500 the same bytes come again under the same id, signed anew", async () => {
  const hook = await receiver([500], [200]);
  const webhook = await subscribe(hook.url);
  await node.events([statement({ causalKey: "again" })]);
  const [delivery] = await until(
    () => deliveriesOf(webhook),
    ([one]) => one?.state === "delivered",
  );
  expect(delivery).toMatchObject({ attempts: 2, lastStatus: 200, lastError: null });
  const [first, second] = hook.received;
  expect(second!.body).toBe(first!.body);
  expect(second!.headers["webhook-id"]).toBe(first!.headers["webhook-id"]);
  expect(hook.received.every(received => verifies(webhook.secret!, received))).toBe(true);
  await unsubscribe(webhook);
  hook.close();
});

test("a receiver that never recovers ends in a dead letter, which can be sent again", async () => {
  const hook = await receiver([503], [503], [503], [200]);
  const webhook = await subscribe(hook.url);
  await node.events([statement({ causalKey: "dead" })]);
  const [dead] = await until(
    () => deliveriesOf(webhook),
    ([one]) => one?.state === "dead",
  );
  expect(dead).toMatchObject({ attempts: 3, lastStatus: 503, lastError: "gave up after 3 attempts" });
  await fleet.admin.call("POST", `/v1/deliveries/${dead!.id}/resend`);
  const [sent] = await until(
    () => deliveriesOf(webhook),
    ([one]) => one?.state === "delivered",
  );
  expect(hook.received.at(-1)!.headers["webhook-id"]).toBe(sent!.id);
  expect(await fleet.admin.refusal("POST", `/v1/deliveries/${dead!.id}/resend`)).toMatchObject({
    code: "wrong-state",
  });
  await unsubscribe(webhook);
  hook.close();
});

test("a receiver that answers 410 is never called again", async () => {
  const hook = await receiver([410]);
  const webhook = await subscribe(hook.url);
  await node.events([statement({ causalKey: "gone-1" })]);
  await until(
    () => deliveriesOf(webhook),
    ([one]) => one?.state === "dead",
  );
  const { items } = await until(
    () => fleet.admin.call<{ items: Webhook[] }>("GET", "/v1/webhooks"),
    listed => listed.items.find(({ id }) => id === webhook.id)?.disabledAt !== null,
  );
  expect(items.find(({ id }) => id === webhook.id)).toBeDefined();
  await node.events([statement({ causalKey: "gone-2" })]);
  await until(
    () => fleet.admin.call<{ items: Alert[] }>("GET", "/v1/alerts"),
    alerts => alerts.items.some(({ causalKey }) => causalKey === "gone-2"),
  );
  expect(await deliveriesOf(webhook)).toHaveLength(1);
  expect(hook.received).toHaveLength(1);
  await unsubscribe(webhook);
  hook.close();
});

test("a receiver that takes the request and never answers is given up in time, without holding up others", async () => {
  const [silent, quick] = [await receiver([0]), await receiver([200])];
  const webhooks = [await subscribe(silent.url), await subscribe(quick.url)];
  await node.events([statement({ causalKey: "silent" })]);
  await until(
    () => deliveriesOf(webhooks[1]!),
    ([one]) => one?.state === "delivered",
  );
  const [given] = await until(
    () => deliveriesOf(webhooks[0]!),
    ([one]) => (one?.attempts ?? 0) >= 2,
  );
  expect(given!.lastError).toBe("no answer within 1000 ms");
  for (const webhook of webhooks) await unsubscribe(webhook);
  silent.close();
  quick.close();
});

test("a redirect is not followed", async () => {
  const secret = await receiver([200]);
  const hook = await receiver([307, { location: secret.url }]);
  const webhook = await subscribe(hook.url);
  await node.events([statement({ causalKey: "redirect" })]);
  const [dead] = await until(
    () => deliveriesOf(webhook),
    ([one]) => one?.state === "dead",
  );
  expect(dead!.lastStatus).toBe(307);
  expect(secret.received).toHaveLength(0);
  await unsubscribe(webhook);
  hook.close();
  secret.close();
});

test("only alerts urgent enough are sent, and one that becomes so is sent then", async () => {
  const hook = await receiver([200]);
  const webhook = await subscribe(hook.url, "P1");
  await node.events([statement({ causalKey: "rising", priority: "P2" })]);
  await until(
    () => fleet.admin.call<{ items: Alert[] }>("GET", "/v1/alerts"),
    alerts => alerts.items.some(({ causalKey }) => causalKey === "rising"),
  );
  expect(await deliveriesOf(webhook)).toHaveLength(0);
  await node.events([statement({ causalKey: "rising", priority: "P0" })]);
  await until(
    () => deliveriesOf(webhook),
    ([one]) => one?.state === "delivered",
  );
  await node.events([statement({ causalKey: "rising", priority: "P0" })]);
  await until(
    () => fleet.admin.call<{ items: Alert[] }>("GET", "/v1/alerts"),
    alerts => alerts.items.some(({ causalKey, count }) => causalKey === "rising" && count === 3),
  );
  expect(await deliveriesOf(webhook)).toHaveLength(1);
  await unsubscribe(webhook);
  hook.close();
});

test("who heard of an alert hears again when it becomes more urgent, and once that it ended", async () => {
  const hook = await receiver([200]);
  const webhook = await subscribe(hook.url);
  const heard = () =>
    hook.received.map(({ body }) => {
      const { type, data } = WebhookPayload.parse(JSON.parse(body));
      return `${type} ${data.priority}`;
    });
  const step = async (event: Parameters<typeof certificate>[0], count: number) => {
    await node.events([certificate({ causalKey: "urgent", ...event })]);
    await until(
      async () => hook.received.length,
      length => length === count,
    );
  };
  await step({ priority: "P3", handshake: "succeeded", error: undefined }, 1);
  await step({ priority: "P0" }, 2);
  await step({ priority: null, handshake: "succeeded", error: undefined }, 3);
  expect(heard()).toEqual(["alert.opened P3", "alert.opened P0", "alert.resolved P0"]);
  await unsubscribe(webhook);
  hook.close();
});

test("a private address that nobody allowed is never connected to, by whatever name", async () => {
  const closed = await startFleet(stores, { allowPrivateWebhooks: [], deliveryScheduleMs: [40] });
  const hook = await receiver([200]);
  try {
    const hooks: Webhook[] = [];
    for (const host of ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"])
      hooks.push(
        await closed.admin.call("POST", "/v1/webhooks", {
          url: `http://${host}:${hook.port}/`,
          priorityMin: "P3",
        }),
      );
    // The first fleet's workers share the database: they must not be the ones that deliver.
    await fleet.close();
    const other = await closed.join("db-2");
    await other.events([statement({ causalKey: "private" })]);
    for (const webhook of hooks) {
      const listed = () => closed.admin.call<{ items: Delivery[] }>("GET", "/v1/deliveries?limit=500");
      const { items } = await until(listed, list =>
        list.items.some(delivery => delivery.webhook === webhook.id && delivery.state === "dead"),
      );
      const delivery = items.find(({ webhook: id }) => id === webhook.id)!;
      expect(delivery.lastError, webhook.url).toContain("not a public address");
    }
    expect(hook.received).toHaveLength(0);
  } finally {
    await closed.close();
    hook.close();
    fleet = await startFleet(stores, { deliveryScheduleMs: [40, 80], deliveryTimeoutMs: 1_000 });
  }
});

test("with a key, secrets lie sealed in the database and still sign", async () => {
  const key = Buffer.alloc(32, 7);
  await fleet.close();
  fleet = await startFleet(stores, { secretKey: key });
  const hook = await receiver([200]);
  const webhook = await subscribe(hook.url);
  const [row] = await ask<{ secret: string }>(stores, "select secret from webhooks where id = $1", [
    webhook.id,
  ]);
  expect(row!.secret).toMatch(/^v1\./);
  const sender = await fleet.join("db-3");
  await sender.events([statement({ causalKey: "sealed" })]);
  await until(
    async () => hook.received.length,
    count => count === 1,
  );
  expect(verifies(webhook.secret!, hook.received[0]!)).toBe(true);
  hook.close();
});
