/**
 * A control plane on a real PostgreSQL and a real Redis, and nodes that speak the contract with it over HTTP: what
 * an agent does, without a kernel. Nothing in here reaches into the control plane.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import { type EmbeddedPostgres, type EmbeddedRedis, startPostgres, startRedis } from "@picket/infra/embedded";
import { RolloutDetails } from "@picket/shared/api";
import { type Bundle, releaseKey, signBundle } from "@picket/shared/bundle";
import {
  type Assignment,
  Desired,
  EnrolResponse,
  type Installed,
  type Lease,
  Polled,
  type Report,
  ReportAnswer,
} from "@picket/shared/contract";
import type { Detection } from "@picket/shared/detection";
import pg from "pg";
import { type Config, readConfig } from "../src/config.ts";
import type { Listening } from "../src/listen.ts";
import { startControlPlane } from "../src/main.ts";

export const ADMIN = `pkt_${"a".repeat(32)}`;

export interface Stores {
  postgres: EmbeddedPostgres;
  redis: EmbeddedRedis;
  stop(): Promise<void>;
}

export async function startStores(dirs: { postgres?: string; redis?: string } = {}): Promise<Stores> {
  const [postgres, redis] = await Promise.all([
    startPostgres(dirs.postgres === undefined ? {} : { dir: dirs.postgres }),
    startRedis(dirs.redis === undefined ? {} : { dir: dirs.redis }),
  ]);
  return {
    postgres,
    redis,
    async stop() {
      await Promise.all([postgres.stop(), redis.stop()]);
    },
  };
}

export function configFor(stores: Pick<Stores, "postgres" | "redis">, over: Partial<Config> = {}): Config {
  return {
    ...readConfig({
      DATABASE_URL: stores.postgres.url,
      REDIS_URL: stores.redis.url,
      PICKET_LISTEN: "127.0.0.1:0",
      PICKET_BOOTSTRAP_TOKEN: ADMIN,
      PICKET_LOG_LEVEL: process.env.PICKET_LOG_LEVEL ?? "silent",
      PICKET_ALLOW_PRIVATE_WEBHOOKS: "127.0.0.0/8",
    }),
    sweepMs: 300,
    ...over,
  };
}

export class Client {
  readonly url: string;
  readonly token: string;
  constructor(url: string, token: string = ADMIN) {
    this.url = url;
    this.token = token;
  }

  async fetch(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return response;
  }

  /** Throws on anything but success. */
  async call<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.fetch(method, path, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  /** The problem it is refused with. */
  async refusal(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; code: string; detail: string }> {
    const response = await this.fetch(method, path, body);
    const problem = (await response.json()) as { code: string; detail: string };
    return { status: response.status, code: problem.code, detail: problem.detail };
  }
}

// ---- nodes

export function nodeToken(
  key: KeyObject,
  node: string,
  claims: Record<string, unknown> = {},
  header = {},
): string {
  const iat = Math.floor(Date.now() / 1_000);
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "EdDSA", ...header })}.${encode({
    iss: node,
    sub: node,
    aud: "picket",
    iat,
    exp: iat + 60,
    jti: randomUUID(),
    ...claims,
  })}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
}

export class SimulatedNode {
  readonly url: string;
  readonly id: string;
  readonly key: KeyObject;
  readonly hostname: string;
  labels: Record<string, string>;
  releaseKeys: EnrolResponse["releaseKeys"];
  installed: Installed[] = [];
  lost = 0;
  uptimeSeconds = 10;
  epoch: string = randomUUID();
  sequence = 0;
  counters: Report["counters"] = [];
  /** How far its clock is ahead of this host's. */
  aheadMs = 0;
  constructor(input: {
    url: string;
    id: string;
    key: KeyObject;
    hostname: string;
    labels: Record<string, string>;
    releaseKeys: EnrolResponse["releaseKeys"];
  }) {
    this.url = input.url;
    this.id = input.id;
    this.key = input.key;
    this.hostname = input.hostname;
    this.labels = input.labels;
    this.releaseKeys = input.releaseKeys;
  }

  static async enrol(
    url: string,
    joinToken: string,
    hostname: string,
    labels: Record<string, string> = {},
  ): Promise<SimulatedNode> {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("base64url");
    const body = { joinToken, publicKey: raw, hostname, labels, kernel: "6.18.0", agentVersion: "0.1.0" };
    const answer = EnrolResponse.parse(await new Client(url, "none").call("POST", "/v1/enrol", body));
    return new SimulatedNode({
      url,
      id: answer.node,
      key: privateKey,
      hostname,
      labels,
      releaseKeys: answer.releaseKeys,
    });
  }

  get client(): Client {
    const iat = Math.floor((Date.now() + this.aheadMs) / 1_000);
    return new Client(this.url, nodeToken(this.key, this.id, { iat, exp: iat + 60 }));
  }

  async poll(waitS: number): Promise<Lease | null> {
    const response = await this.client.fetch("GET", `/v1/agent/assignments?wait=${waitS}`);
    if (response.status === 204) return null;
    if (!response.ok) throw new Error(`poll: ${response.status} ${await response.text()}`);
    const polled = Polled.parse(await response.json());
    if ("assignment" in polled) return polled;
    if ("report" in polled) await this.report();
    return this.poll(waitS);
  }

  async acknowledge(id: string): Promise<void> {
    await this.client.call("POST", `/v1/agent/assignments/${id}/ack`);
  }

  async desired(): Promise<Assignment[]> {
    return Desired.parse(await this.client.call("GET", "/v1/agent/desired")).assignments;
  }

  /** As an agent that verified, loaded, tested and switched. */
  install(assignment: Assignment): void {
    this.installed = [
      ...this.installed.filter(({ ruleSet }) => ruleSet !== assignment.ruleSet),
      {
        kind: "active",
        ruleSet: assignment.ruleSet,
        version: assignment.version,
        bundle: assignment.bundle,
        assignment: assignment.id,
        generation: assignment.generation,
        share: assignment.share,
        slot: 1,
        since: new Date().toISOString(),
      },
    ];
  }

  refuse(assignment: Assignment, detail = "R1 invalid mem access 'scalar'"): void {
    const before = this.installed.find(({ ruleSet }) => ruleSet === assignment.ruleSet);
    this.installed = [
      ...this.installed.filter(({ ruleSet }) => ruleSet !== assignment.ruleSet),
      {
        kind: "kept-last-good",
        ruleSet: assignment.ruleSet,
        version: before?.version ?? null,
        refused: assignment.version,
        assignment: assignment.id,
        generation: assignment.generation,
        because: { code: "verifier-refused", detail },
        since: new Date().toISOString(),
      },
    ];
  }

  async report(report: Report = this.makeReport()): Promise<ReportAnswer> {
    return ReportAnswer.parse(await this.client.call("POST", "/v1/agent/report", report));
  }

  makeReport(): Report {
    this.uptimeSeconds += 1;
    return {
      at: new Date().toISOString(),
      order: { epoch: this.epoch, sequence: ++this.sequence },
      agentVersion: "0.1.0",
      kernel: "6.18.0",
      labels: this.labels,
      installed: this.installed,
      counters: this.counters,
      events: { emitted: 100 + this.lost, received: 100, lost: this.lost, spooled: 10, uploaded: 10 },
      losses: this.lost > 0 ? { ring_full: this.lost } : {},
      shapesLearned: 3,
      connections: [],
      connectionsTotal: 0,
      guarantees: {},
      overrides: [],
      agent: { residentBytes: 50_000_000, cpuSeconds: 1, uptimeSeconds: this.uptimeSeconds },
      missing: [],
    };
  }

  async events(events: unknown[]): Promise<{ committed: number; duplicates: number }> {
    return this.client.call("POST", "/v1/agent/events", { events });
  }

  /** Takes what waits, installs it, reports: an agent's loop, once. */
  async follow(waitS = 5): Promise<Assignment | null> {
    const lease = await this.poll(waitS);
    if (!lease) return null;
    await this.acknowledge(lease.assignment.id);
    this.install(lease.assignment);
    await this.report();
    return lease.assignment;
  }
}

// ---- detections

export function statement(over: Record<string, unknown> = {}): Detection {
  return {
    id: randomUUID(),
    at: new Date().toISOString(),
    priority: "P1",
    causalKey: "injection:shop:union-select",
    kind: "statement",
    verdict: "attack",
    action: "block",
    guarantee: "prevented",
    dialect: "mysql",
    message: "query",
    sql: "SELECT name FROM products WHERE id = ? UNION SELECT password FROM users",
    rules: ["union-select"],
    danger: ["union"],
    stage: "kernel",
    process: { pid: 4711, comm: "node", workload: "shop" },
    endpoints: { localAddress: "127.0.0.1", localPort: 40_000, remoteAddress: "127.0.0.1", remotePort: 3306 },
    connection: "1",
    wouldBlock: false,
    count: 1,
    ...over,
  } as Detection;
}

export function certificate(over: Record<string, unknown> = {}): Detection {
  return {
    id: randomUUID(),
    at: new Date().toISOString(),
    priority: "P0",
    causalKey: "certificate:db.example:3306",
    kind: "certificate",
    host: "db.example",
    port: 3306,
    dialect: "mysql",
    handshake: "failed",
    error: "certificate verify failed",
    certificate: {
      subject: "CN=db.example",
      issuer: "CN=Test CA",
      serial: "01",
      fingerprint: "0".repeat(64),
      notBefore: "2026-01-01T00:00:00.000Z",
      notAfter: "2026-11-28T00:00:00.000Z",
      names: ["db.example"],
    },
    ...over,
  } as Detection;
}

// ---- rules

export const SLOT = Buffer.from("the slot program");
export const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

export function ruleText(name: string, { lostEventsMax = 0, note = "" } = {}): string {
  return `apiVersion: picket/v1
kind: RuleSet
metadata:
  name: ${name}
  description: "${note}"
spec:
  thresholds:
    lostEventsMax: ${lostEventsMax}
`;
}

export function bundle(
  name: string,
  version: number,
  over: Partial<Record<keyof Bundle, unknown>> = {},
): Buffer {
  return Buffer.from(
    JSON.stringify({
      format: 1,
      ruleSet: name,
      version,
      ruleText: ruleText(name, { note: `version ${version}` }),
      objects: { slot: sha256(SLOT) },
      abi: 1,
      kernelMin: "5.15",
      floor: 0,
      createdAt: "2026-01-01T00:00:00.000Z",
      expiresAt: "2036-01-01T00:00:00.000Z",
      ...over,
    }),
  );
}

// ---- the whole

export interface Fleet {
  url: string;
  admin: Client;
  releaseKey: KeyObject;
  join(hostname: string, labels?: Record<string, string>): Promise<SimulatedNode>;
  push(name: string, version: number, over?: Parameters<typeof bundle>[2]): Promise<void>;
  start(
    name: string,
    version: number,
    steps: { percent: number; soak?: string; share?: number; requireApproval?: boolean }[],
    selector?: Record<string, string>,
    over?: Record<string, unknown>,
  ): Promise<RolloutDetails>;
  rollout(id: string): Promise<RolloutDetails>;
  close(): Promise<void>;
}

export async function startFleet(
  stores: Pick<Stores, "postgres" | "redis">,
  over: Partial<Config> = {},
  chosen: NonNullable<Parameters<typeof startControlPlane>[1]["chosen"]> = {},
): Promise<Fleet> {
  const server: Listening = await startControlPlane(configFor(stores, over), { all: true, chosen });
  const admin = new Client(server.url);
  const { privateKey } = generateKeyPairSync("ed25519");
  await admin.call("POST", "/v1/release-keys", releaseKey(privateKey));
  const { token } = await admin.call<{ token: string }>("POST", "/v1/join-tokens", {
    usesMax: 10_000,
    ttl: "1d",
  });
  return {
    url: server.url,
    admin,
    releaseKey: privateKey,
    join: (hostname, labels) => SimulatedNode.enrol(server.url, token, hostname, labels),
    async push(name, version, overBundle) {
      const envelope = signBundle(bundle(name, version, overBundle), [privateKey]);
      await admin.call("POST", `/v1/rule-sets/${name}/versions`, envelope);
    },
    async start(name, version, steps, selector = {}, over = {}) {
      const body = {
        ruleSet: name,
        version,
        selector,
        steps: steps.map(step => ({ soak: "0s", ...step })),
        ...over,
      };
      return RolloutDetails.parse(await admin.call("POST", "/v1/rollouts", body));
    },
    async rollout(id) {
      return RolloutDetails.parse(await admin.call("GET", `/v1/rollouts/${id}`));
    },
    close: () => server.close(),
  };
}

/** One statement straight to the database: what no route should be able to do. */
export async function ask<T extends object>(
  stores: Pick<Stores, "postgres">,
  text: string,
  values: unknown[] = [],
): Promise<T[]> {
  const client = new pg.Client(stores.postgres.options);
  await client.connect();
  try {
    return (await client.query<T>(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** Asks until it is so. The bound is only for a test that fails. */
export async function until<T>(ask: () => Promise<T>, holds: (value: T) => boolean, what = "it"): Promise<T> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const value = await ask();
    if (holds(value)) return value;
    if (Date.now() > deadline)
      throw new Error(`${what} never became so: ${JSON.stringify(value)?.slice(0, 2_000)}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}
