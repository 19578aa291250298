import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Detection } from "@picket/shared/detection";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Refused } from "../refusal.ts";
import type { Control } from "./control.ts";
import { RecentDetections } from "./recent.ts";
import { controlRoutes } from "./routes.ts";
import { openControlSocket } from "./server.ts";

let directory: string;
let path: string;
let server: Server | undefined;
const recent = new RecentDetections();
const audited: { verb: string; subject: string }[] = [];
const control = {
  status: async () => ({ enrolled: null }),
  workloads: {
    list: () => [],
    put: () => {
      throw new Refused("not-found", "there is no process 7");
    },
    delete: () => {},
  },
  verdicts: { list: () => [] },
  recent,
} as unknown as Control;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "picket-control-"));
  path = join(directory, "agent.sock");
  audited.length = 0;
  server = await open();
});
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  rmSync(directory, { recursive: true, force: true });
});

const open = () =>
  openControlSocket({ path, load: async () => controlRoutes(control, entry => void audited.push(entry)) });

function call(
  method: string,
  target: string,
  body?: string,
): Promise<{ status: number; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: path, method, path: target }, async answer => {
      let text = "";
      for await (const chunk of answer) text += chunk;
      resolve({ status: answer.statusCode!, body: text ? JSON.parse(text) : {} });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

test("only root may open the socket", () => {
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a socket that a killed agent left is taken over; one that answers is not", async () => {
  await expect(open()).rejects.toThrow(/another agent answers/);
  server!.close();
  await new Promise(resolve => setImmediate(resolve));
  writeFileSync(path, "");
  server = await open();
  expect((await call("GET", "/v1/status")).status).toBe(200);
});

test("a change is audited before it takes effect, a refused one too, and the refusal says why", async () => {
  const answer = await call(
    "PUT",
    "/v1/workloads",
    JSON.stringify({ selector: { kind: "pid", pid: 7 }, mode: "enforce" }),
  );
  expect(answer).toMatchObject({ status: 404, body: { code: "not-found", detail: "there is no process 7" } });
  expect(audited).toMatchObject([{ verb: "workload.put" }]);
});

test.each([
  ["PUT", "/v1/workloads", "{", 400],
  ["PUT", "/v1/workloads", '{"selector":{"kind":"planet"},"mode":"enforce"}', 400],
  [
    "PUT",
    "/v1/verdicts",
    '{"dialect":"mysql","sql":"select 1","action":"block","reason":"x","ttl":"soon"}',
    400,
  ],
  ["DELETE", "/v1/workloads/one", undefined, 400],
  ["GET", "/v1/nothing", undefined, 404],
])(
  "%s %s with %s is refused with %i and audited only when it is understood",
  async (method, target, body, status) => {
    expect((await call(method, target, body)).status).toBe(status);
    expect(audited).toEqual([]);
  },
);

test("a body that is too long is refused", async () => {
  expect((await call("PUT", "/v1/verdicts", "x".repeat(300_000))).status).toBe(413);
});

test("a terminal that waits is woken by the next detection and asks after it next", async () => {
  recent.push({ id: "1" } as unknown as Detection);
  const { body } = await call("GET", "/v1/detections?after=0");
  const waiting = call("GET", `/v1/detections?after=${body.last}&wait=30`);
  setTimeout(() => recent.push({ id: "2" } as unknown as Detection), 20);
  expect((await waiting).body).toMatchObject({ items: [{ detection: { id: "2" } }] });
});

test("the memory of detections is bounded, and a client of an earlier run starts over", async () => {
  const many = new RecentDetections();
  for (let index = 0; index < 2_500; index++) many.push({} as Detection);
  expect(many.after(0).items).toHaveLength(1_000);
  expect(many.after(9_999).items).toHaveLength(1_000);
  expect(many.after(2_499).items).toHaveLength(1);
});
