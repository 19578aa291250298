/**
 * The API is a fetch handler without state: any process may answer any request, also one that lives for a single
 * request behind another runtime's adapter. There is no gateway here: nodes ask on a timer what is desired.
 */

import { generateKeyPairSync } from "node:crypto";
import { connect, createServer, type Server } from "node:net";
import { releaseKey, signBundle } from "@picket/shared/bundle";
import { type APIGatewayProxyResult, handle, type LambdaEvent } from "hono/aws-lambda";
import { afterAll, beforeAll, expect, test } from "vitest";
import { app } from "../src/http/app.ts";
import type { Listening } from "../src/listen.ts";
import { startControlPlane } from "../src/main.ts";
import { type OpenServices, openServices } from "../src/services.ts";
import { startWorker } from "../src/worker.ts";
import { ADMIN, bundle, Client, configFor, SimulatedNode, type Stores, startStores, until } from "./fleet.ts";

let stores: Stores;
let apis: Listening[];
let worker: { close(): Promise<void> };
let balancer: Server;
let url: string;
let lambda: OpenServices;
const answeredBy = [0, 0];

beforeAll(async () => {
  stores = await startStores();
  const config = configFor(stores);
  apis = [await startControlPlane(config, { all: false }), await startControlPlane(config, { all: false })];
  worker = await startWorker(config);
  lambda = await openServices(config, "lambda");
  let turn = 0;
  // One address in front of both: each connection goes to the next.
  balancer = createServer(socket => {
    const i = turn++ % 2;
    answeredBy[i]! += 1;
    const { hostname, port } = new URL(apis[i]!.url);
    const behind = connect(Number(port), hostname);
    socket.pipe(behind).pipe(socket);
    for (const end of [socket, behind]) end.on("error", () => undefined);
  });
  await new Promise<void>(resolve => balancer.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(balancer.address() as { port: number }).port}`;
});
afterAll(async () => {
  balancer?.close();
  for (const api of apis ?? []) await api.close();
  await worker?.close();
  await lambda?.close();
  await stores?.stop();
});

/** Without keep-alive: the next request may meet the other process. */
const once = { connection: "close" };
const admin = {
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await new Client(url).fetch(method, path, body, once);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  },
};

test("two instances of the API behind one address carry a rollout through, with nodes that only ask on a timer", async () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  await admin.call("POST", "/v1/release-keys", releaseKey(privateKey));
  const { token } = await admin.call<{ token: string }>("POST", "/v1/join-tokens", { usesMax: 2 });
  const nodes = [await SimulatedNode.enrol(url, token, "a"), await SimulatedNode.enrol(url, token, "b")];
  await admin.call("POST", "/v1/rule-sets/apart/versions", signBundle(bundle("apart", 1), [privateKey]));
  const { id } = await admin.call<{ id: string }>("POST", "/v1/rollouts", {
    ruleSet: "apart",
    version: 1,
    steps: [
      { percent: 50, soak: "0s" },
      { percent: 100, soak: "0s" },
    ],
    gate: { compare: "off" },
  });
  await until(
    async () => {
      for (const node of nodes) {
        for (const assignment of await node.desired()) node.install(assignment);
        await node.report();
      }
      return admin.call<{ state: string }>("GET", `/v1/rollouts/${id}`);
    },
    ({ state }) => state === "complete",
  );
  expect(Math.min(...answeredBy)).toBeGreaterThan(1);
});

test("a session that one instance began is good at the other", async () => {
  const response = await fetch(`${apis[0]!.url}/v1/session`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: ADMIN }),
  });
  const cookie = response.headers.get("set-cookie")!.split(";")[0]!;
  expect((await fetch(`${apis[1]!.url}/v1/me`, { headers: { cookie } })).status).toBe(200);
});

test("the same app answers through the adapter of another runtime (AWS Lambda), refusals included", async () => {
  const answer = handle(app(lambda));
  const ask = async (method: string, path: string, headers: Record<string, string> = {}) =>
    (await answer({
      version: "2.0",
      routeKey: "$default",
      rawPath: path,
      rawQueryString: "",
      headers,
      isBase64Encoded: false,
      requestContext: {
        accountId: "0",
        apiId: "picket",
        authentication: null,
        authorizer: {},
        domainName: "picket.example",
        domainPrefix: "picket",
        http: { method, path, protocol: "HTTP/1.1", sourceIp: "203.0.113.9", userAgent: "test" },
        requestId: "1",
        routeKey: "$default",
        stage: "$default",
        time: "",
        timeEpoch: 0,
      },
    } as unknown as LambdaEvent)) as APIGatewayProxyResult;
  expect((await ask("GET", "/healthz")).statusCode).toBe(200);
  const listed = await ask("GET", "/v1/nodes", { authorization: `Bearer ${ADMIN}` });
  expect(JSON.parse(listed.body).items).toHaveLength(2);
  expect((await ask("GET", "/v1/nodes")).statusCode).toBe(401);
  // Nobody is on this host's loopback there.
  expect((await ask("GET", "/metrics")).statusCode).toBe(401);
});
