/** An agent's uplink against a control plane of this test, with a state directory that cannot be written to for a while. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Report } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Immunity } from "../immunity/immunity.ts";
import { silentLog } from "../log.ts";
import type { SignedProfiles } from "../profiles/signed.ts";
import type { Installer } from "../rules/installer.ts";
import { Spool } from "../spool/spool.ts";
import { joinFleet } from "./fleet.ts";

let directory: string;
let server: Server;
let asked: URL[];
let seen: () => void;
/** By path; what is not here is answered 503. */
let answers: Record<string, unknown>;
/** After so long somebody between the two ends a poll; null: nobody does. */
let pollsCutMs: number | null;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "picket-fleet-"));
  asked = [];
  seen = () => {};
  pollsCutMs = null;
  answers = {
    "/v1/agent/desired": { assignments: [] },
    "/v1/agent/verdicts": { items: [], last: 0, more: false },
    "/v1/agent/profiles": { items: [] },
  };
  server = createServer((request, response) => {
    const url = new URL(request.url!, "http://localhost");
    asked.push(url);
    if (pollsCutMs !== null && url.pathname === "/v1/agent/assignments") {
      setTimeout(() => request.socket.destroy(), pollsCutMs);
      seen();
      return;
    }
    const path = Object.keys(answers).find(each => url.pathname === each);
    response.writeHead(path ? 200 : 503, { "content-type": "application/json" });
    response.end(JSON.stringify(path ? answers[path] : {}));
    seen();
  });
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise(resolve => server.close(resolve));
  rmSync(directory, { recursive: true, force: true });
});

/** Until the calls that were made are such. */
const until = (reached: () => boolean) =>
  new Promise<void>(resolve => {
    seen = () => {
      if (reached()) resolve();
    };
    seen();
  });
const calls = (path: string) => asked.filter(({ pathname }) => pathname === path);

function startFleet(change: {
  receive?: () => Promise<void>;
  workloads?: string[];
  makeReport?: () => Promise<Report>;
}) {
  return joinFleet({
    enrolment: {
      node: "018f3d5e-7c1a-7000-8000-000000000001" as NodeId,
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      releaseKeys: [],
      trust: { version: 0, threshold: 1 },
      formerKeys: [],
      labels: {},
    },
    stateDirectory: directory,
    keyLifetimeMs: 86_400_000,
    spool: new Spool({ directory: join(directory, "spool"), bytesMax: 1 << 20 }),
    installer: {} as Installer,
    makeReport:
      change.makeReport ??
      (async () => {
        throw new Error("a report that cannot be made");
      }),
    shapes: { ledger: { batches: () => [][Symbol.iterator]() as never }, intervalMs: 60_000 },
    twins: { twins: { reports: () => [] }, intervalMs: 60_000 } as never,
    immunity: {
      shared: { position: () => 0, receive: change.receive ?? (async () => {}), answers: () => [] },
      claims: { waiting: 0 },
    } as unknown as Immunity,
    profiles: {
      workloads: () => change.workloads ?? [],
      profiles: { offers: () => [] },
    } as unknown as SignedProfiles,
    log: silentLog,
  });
}

test("a node that could not write what it received goes on listening and reconciling", async () => {
  let failed = 0;
  const fleet = startFleet({
    receive: async () => {
      failed += 1;
      throw new Error("ENOSPC: no space left on device, write");
    },
  });
  // Each loop fails, and comes again.
  await until(() => calls("/v1/agent/desired").length > 1 && failed > 3);
  await fleet.stop();
});

test("signed profiles of all workloads are asked for, fifty at a time", async () => {
  const workloads = Array.from({ length: 120 }, (_, i) => `shop-${i}`);
  const fleet = startFleet({ workloads });
  await until(() => calls("/v1/agent/profiles").length >= 3);
  await fleet.stop();
  const of = calls("/v1/agent/profiles").map(
    ({ searchParams }) => JSON.parse(searchParams.get("workloads")!) as string[],
  );
  expect(of.slice(0, 3).map(({ length }) => length)).toEqual([50, 50, 20]);
  expect(of.slice(0, 3).flat()).toEqual(workloads);
});

test("the control plane says how long to wait at the gateway, and when to report without having anything to say", async () => {
  answers["/v1/agent/report"] = { pace: { poll: 123, report: 3_600, reconcile: 60 } };
  const polls = () => calls("/v1/agent/assignments");
  const fleet = startFleet({ makeReport: async () => ({}) as Report });
  // The first poll is at full pace: nobody has said anything yet. The gateway is away, so it comes again.
  await until(() => polls().at(-1)?.searchParams.get("wait") === "123");
  expect(polls()[0]!.searchParams.get("wait")).toBe("25");
  const before = calls("/v1/agent/report").length;
  answers["/v1/agent/assignments"] = { report: true };
  await until(() => calls("/v1/agent/report").length > before);
  await fleet.stop();
});

test("where a proxy ends silent polls, the node waits for less than it lets pass", async () => {
  pollsCutMs = 5_500;
  const fleet = startFleet({});
  const polls = () => calls("/v1/agent/assignments");
  await until(() => polls().length === 3);
  await fleet.stop();
  expect(polls().map(({ searchParams }) => searchParams.get("wait"))).toEqual(["25", "25", "4"]);
});

test("while a poll waits its connection is probed after a minute, and not before", async () => {
  pollsCutMs = 60_000;
  const fleet = startFleet({});
  await until(() => calls("/v1/agent/assignments").length === 1);
  const { port } = server.address() as AddressInfo;
  const to = port.toString(16).toUpperCase().padStart(4, "0");
  // proc_net_tcp(5): local, remote, state, queues, "timer:when"; 02 is keep-alive, in hundredths of a second.
  const timers = readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map(line => line.trim().split(/ +/))
    .filter(([, , remote, state]) => remote === `0100007F:${to}` && state === "01")
    .map(([, , , , , timer]) => timer!.split(":") as [string, string]);
  expect(timers.length).toBeGreaterThan(0);
  for (const [kind, when] of timers) {
    expect(kind).toBe("02");
    expect(Number.parseInt(when, 16)).toBeGreaterThan(50_00);
    expect(Number.parseInt(when, 16)).toBeLessThanOrEqual(60_00);
  }
  await fleet.stop();
});
