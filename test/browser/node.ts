/** A node as the control plane knows it: it enrols, leases, acknowledges, reports and posts events by the contract.
 * Only its kernel is not there. */
import { generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import {
  type Assignment,
  EnrolResponse,
  type Installed,
  Lease,
  NODE_TOKEN_AUDIENCE,
  NODE_TOKEN_LIFETIME_S,
} from "@picket/shared/contract";
import type { Detection } from "@picket/shared/detection";
import type { ProfileExport } from "@picket/shared/profile";
import type { Api } from "./control-plane.ts";
import { AGENT_VERSION, KERNEL, report, type SimulatedHost } from "./fleet.ts";

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** RFC 8037: an EdDSA JWT, short-lived and used once. */
function nodeToken(node: string, key: KeyObject): string {
  const iat = Math.floor(Date.now() / 1_000);
  const claims = {
    iss: node,
    sub: node,
    aud: NODE_TOKEN_AUDIENCE,
    iat,
    exp: iat + NODE_TOKEN_LIFETIME_S,
    jti: randomUUID(),
  };
  const signed = `${base64url({ alg: "EdDSA", typ: "JWT" })}.${base64url(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
}

export interface SimulatedNode {
  id: string;
  host: SimulatedHost;
  /** What it says it runs; changed by `take`, reported by `report`. */
  installed: Installed[];
  report(): Promise<void>;
  /** Waits for the next assignment, acknowledges it and reports what `become` makes of it. */
  take(become: (assignment: Assignment) => Installed[]): Promise<Assignment>;
  post(...events: Detection[]): Promise<void>;
  /** What a workload was learned to send here. */
  offer(profile: ProfileExport): Promise<void>;
}

export async function enrol({
  url,
  api,
  host,
}: {
  url: string;
  api: Api;
  host: SimulatedHost;
}): Promise<SimulatedNode> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const { token } = await api<{ token: string }>("POST", "/v1/join-tokens", { usesMax: 1, ttl: "10m" });
  const enrolled = await fetch(`${url}/v1/enrol`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      joinToken: token,
      publicKey: publicKey.export({ format: "jwk" }).x,
      hostname: host.hostname,
      labels: host.labels,
      kernel: KERNEL,
      agentVersion: AGENT_VERSION,
    }),
  });
  if (!enrolled.ok) throw new Error(`enrol: ${enrolled.status} ${await enrolled.text()}`);
  const { node: id } = EnrolResponse.parse(await enrolled.json());

  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`${url}/v1/agent${path}`, {
      method,
      headers: {
        authorization: `Bearer ${nodeToken(id, privateKey)}`,
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  };

  const node: SimulatedNode = {
    id,
    host,
    installed: [],
    async report() {
      await call("POST", "/report", report(host, { atMs: Date.now(), installed: node.installed }));
    },
    async take(become) {
      for (;;) {
        const answer = await call("GET", "/assignments?wait=25");
        if (answer === undefined) continue;
        const { assignment } = Lease.parse(answer);
        await call("POST", `/assignments/${assignment.id}/ack`);
        node.installed = become(assignment);
        await node.report();
        return assignment;
      }
    },
    async offer(profile) {
      await call("POST", "/profiles", { learning: false, profile });
    },
    async post(...events) {
      await call("POST", "/events", { events });
    },
  };
  return node;
}
