/** From detections to alerts: one cause, one alert, and its end. */
import type { Alert, CertificateRow } from "@picket/shared/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
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
let nodes: SimulatedNode[];
let aheadMs = 0;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores, { alertQuietMs: 60_000 }, { clock: () => Date.now() + aheadMs });
  nodes = await Promise.all([fleet.join("db-1"), fleet.join("db-2")]);
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

const alertsOf = async (causalKey: string): Promise<Alert[]> => {
  const { items } = await fleet.admin.call<{ items: Alert[] }>("GET", "/v1/alerts?limit=500");
  return items.filter(alert => alert.causalKey === causalKey);
};
const alertOf = async (causalKey: string): Promise<Alert | undefined> => (await alertsOf(causalKey))[0];

test("many sightings on two nodes are one alert that counts them and takes the worst priority", async () => {
  const causalKey = "one-cause";
  await nodes[0]!.events([
    statement({ causalKey, priority: "P2", count: 3 }),
    statement({ causalKey, priority: "P2" }),
  ]);
  await until(
    () => alertOf(causalKey),
    alert => alert?.count === 4,
  );
  await nodes[1]!.events([statement({ causalKey, priority: "P1" })]);
  const alert = await until(
    () => alertOf(causalKey),
    found => found?.count === 5,
  );
  expect(alert).toMatchObject({ priority: "P1", state: "open" });
  expect(new Set(alert!.nodes)).toEqual(new Set(nodes.map(({ id }) => id)));
  expect(alert!.title).toBe("SQL injection blocked in shop on db-2");
  expect(await alertsOf(causalKey)).toHaveLength(1);
});

test("an event that is sent twice is counted once", async () => {
  const causalKey = "counted-once";
  const event = statement({ causalKey });
  await Promise.all([nodes[0]!.events([event]), nodes[0]!.events([event]), nodes[0]!.events([event])]);
  await nodes[0]!.events([statement({ causalKey: "after" })]);
  await until(
    () => alertOf("after"),
    alert => alert !== undefined,
  );
  expect((await alertOf(causalKey))?.count).toBe(1);
});

test("acknowledged, it stays so while it goes on, and opens again when it becomes worse", async () => {
  const causalKey = "acknowledged";
  await nodes[0]!.events([statement({ causalKey, priority: "P2" })]);
  const alert = await until(
    () => alertOf(causalKey),
    found => found !== undefined,
  );
  await fleet.admin.call("POST", `/v1/alerts/${alert!.id}/ack`);
  await nodes[0]!.events([statement({ causalKey, priority: "P2" })]);
  const on = await until(
    () => alertOf(causalKey),
    found => found?.count === 2,
  );
  expect(on).toMatchObject({ state: "acknowledged", acknowledgedBy: "bootstrap" });
  await nodes[0]!.events([statement({ causalKey, priority: "P0" })]);
  await until(
    () => alertOf(causalKey),
    found => found?.state === "open" && found.priority === "P0",
  );
});

test("what falls quiet is resolved, and what comes back is a new alert", async () => {
  const causalKey = "quiet";
  await nodes[0]!.events([statement({ causalKey })]);
  await until(
    () => alertOf(causalKey),
    alert => alert !== undefined,
  );
  aheadMs += 61_000;
  await until(
    () => alertOf(causalKey),
    alert => alert?.state === "resolved",
  );
  for (const node of nodes) node.aheadMs = aheadMs;
  await nodes[0]!.events([statement({ causalKey })]);
  const both = await until(
    () => alertsOf(causalKey),
    found => found.length === 2,
  );
  expect(both.map(({ state }) => state)).toEqual(["open", "resolved"]);
});

test("a certificate's alert does not fall quiet: it ends when every node has seen the new one", async () => {
  const causalKey = "certificate:db.example:3306";
  await nodes[0]!.events([certificate()]);
  await nodes[1]!.events([certificate()]);
  const alert = await until(
    () => alertOf(causalKey),
    found => found?.nodes.length === 2,
  );
  expect(alert).toMatchObject({ priority: "P0", state: "open" });
  expect(alert!.summary).toContain("valid until 2026-11-28");
  aheadMs += 120_000;
  for (const node of nodes) node.aheadMs = aheadMs;

  const { certificate: renewed } = certificate() as { certificate: object };
  const healthy = {
    priority: null,
    handshake: "succeeded",
    error: undefined,
    certificate: { ...renewed, notAfter: "2027-11-28T00:00:00.000Z", fingerprint: "1".repeat(64) },
  };
  const later = () => new Date(Date.now() + aheadMs).toISOString();
  await nodes[0]!.events([certificate({ ...healthy, at: later() })]);
  await nodes[0]!.events([statement({ causalKey: "between" })]);
  await until(
    () => alertOf("between"),
    found => found !== undefined,
  );
  expect(await alertOf(causalKey)).toMatchObject({ state: "open" });
  await nodes[1]!.events([certificate({ ...healthy, at: later() })]);
  await until(
    () => alertOf(causalKey),
    found => found?.state === "resolved",
  );

  const { items } = await fleet.admin.call<{ items: CertificateRow[] }>("GET", "/v1/certificates");
  expect(items.map(row => [row.host, row.priority, row.certificate?.notAfter])).toEqual(
    Array(2).fill(["db.example", null, "2027-11-28T00:00:00.000Z"]),
  );
});

test("a node cannot end what the control plane, or another node's statement, raised", async () => {
  const lossy = await fleet.join("lossy");
  lossy.aheadMs = aheadMs;
  await lossy.report();
  lossy.lost = 3;
  await lossy.report();
  const own = `picket:events-lost:${lossy.id}`;
  await nodes[0]!.events([statement({ causalKey: "theirs" })]);
  await until(
    () => alertOf("theirs"),
    alert => alert !== undefined,
  );
  await nodes[1]!.events([
    certificate({ causalKey: own, priority: null }),
    certificate({ causalKey: "theirs", priority: null, host: "other" }),
    statement({ causalKey: "theirs-done" }),
  ]);
  await until(
    () => alertOf("theirs-done"),
    alert => alert !== undefined,
  );
  expect(await alertOf(own)).toMatchObject({ state: "open", priority: "P2" });
  expect(await alertOf("theirs")).toMatchObject({ state: "open" });
});
