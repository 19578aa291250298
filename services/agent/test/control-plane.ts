/**
 * The other end of the contract for tests of the agent: real HTTP, real signatures, whatever assignment and bytes a
 * test wants handed out, and everything that came up kept. The real control plane is in test/journeys.
 */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  verify,
} from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Bundle, releaseKey, signBundle } from "@picket/shared/bundle";
import {
  type Assignment,
  EnrolRequest,
  EventBatch,
  type Installed,
  Report,
  ShapeBatch,
} from "@picket/shared/contract";
import type { Detection } from "@picket/shared/detection";
import type { AssignmentId, BundleDigest, RuleSetName, RuleVersion } from "@picket/shared/ids";
import { TwinReport } from "@picket/shared/twin";

import { KERNEL_ABI } from "../src/capture/kernel.ts";

const NODE = "018f3d5e-7c1a-7000-8000-000000000001";
const SLOT = readFileSync(new URL("../../../packages/bpf/dist/slot.bpf.o", import.meta.url));
export const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

export async function startControlPlane() {
  const release = generateKeyPairSync("ed25519").privateKey;
  const bundles = new Map<string, unknown>();
  const objects = new Map<string, Buffer>([[sha256(SLOT), SLOT]]);
  const reports: Report[] = [];
  const shapeBatches: ShapeBatch[] = [];
  const twinReports: TwinReport[] = [];
  const events = new Map<string, Detection>();
  const acknowledged: string[] = [];
  const desired = new Map<string, Assignment>();
  let away = false;
  let refusedCalls = 0;
  let nodeKey: KeyObject | undefined;
  let generation = 0;
  let waiting: { assignment: Assignment } | undefined;
  let wake = () => {};

  const server = createServer((request, response) => {
    handle(request, response).catch(error => {
      response.writeHead(500);
      response.end(String(error));
    });
  });
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += chunk;
    const answer = (status: number, body?: unknown) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(body instanceof Buffer ? body : body === undefined ? undefined : JSON.stringify(body));
    };
    if (away) {
      refusedCalls += 1;
      return answer(503, { title: "away", status: 503, code: "away" });
    }
    const path = request.url!.split("?")[0]!;
    if (path === "/v1/enrol") {
      const { publicKey } = EnrolRequest.parse(JSON.parse(text));
      nodeKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
      return answer(201, { node: NODE, releaseKeys: [releaseKey(release)] });
    }
    if (!authentic(request)) return answer(401, { title: "no", status: 401, code: "unauthenticated" });
    const [, , , what, id, verb] = path.split("/");
    if (what === "assignments" && verb === "ack") {
      acknowledged.push(id!);
      return answer(204);
    }
    if (what === "assignments") {
      if (!waiting)
        await new Promise<void>(resolve => {
          wake = resolve;
          request.on("close", resolve);
          setTimeout(resolve, 1_000);
        });
      const given = waiting;
      waiting = undefined;
      return given
        ? answer(200, { ...given, leaseExpiresAt: new Date(Date.now() + 60_000).toISOString() })
        : answer(204);
    }
    if (what === "desired") return answer(200, { assignments: [...desired.values()] });
    if (what === "bundles") return bundles.has(id!) ? answer(200, bundles.get(id!)) : answer(404, notFound);
    if (what === "objects") return objects.has(id!) ? answer(200, objects.get(id!)) : answer(404, notFound);
    if (what === "report") {
      reports.push(Report.parse(JSON.parse(text)));
      return answer(204);
    }
    if (what === "twins") {
      twinReports.push(TwinReport.parse(JSON.parse(text)));
      return answer(204);
    }
    if (what === "shapes") {
      const batch = ShapeBatch.parse(JSON.parse(text));
      shapeBatches.push(batch);
      return answer(200, { stored: batch.shapes.length, refused: 0 });
    }
    if (what === "events") {
      const batch = EventBatch.parse(JSON.parse(text)).events;
      const fresh = batch.filter(event => !events.has(event.id));
      for (const event of fresh) events.set(event.id, event);
      return answer(200, { committed: fresh.length, duplicates: batch.length - fresh.length });
    }
    return answer(404, notFound);
  }

  function authentic(request: IncomingMessage): boolean {
    const [header, claims, signature] = (request.headers.authorization ?? "")
      .replace("Bearer ", "")
      .split(".");
    if (!nodeKey || !header || !claims || !signature) return false;
    return verify(null, Buffer.from(`${header}.${claims}`), nodeKey, Buffer.from(signature, "base64url"));
  }

  const controlPlane = {
    url,
    reports,
    events,
    shapeBatches,
    twinReports,
    acknowledged,
    objects,
    release,
    get refusedCalls() {
      return refusedCalls;
    },
    setAway(value: boolean) {
      away = value;
    },
    bundle(change: Partial<Record<keyof Bundle, unknown>> = {}): Buffer {
      return Buffer.from(
        JSON.stringify({
          format: 1,
          ruleSet: "shop",
          version: 1,
          ruleText: "",
          objects: { slot: sha256(SLOT) },
          abi: KERNEL_ABI,
          kernelMin: "5.17",
          floor: 0,
          createdAt: new Date().toISOString(),
          expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
          ...change,
        }),
      );
    },
    /** Hands the payload out as an envelope, by default properly signed, and assigns it. */
    assign(
      payload: Buffer,
      options: { envelope?: unknown; share?: number; withheld?: true; twin?: Assignment["beside"] } = {},
    ): Assignment {
      const { ruleSet = "shop", version = 1 } = JSON.parse(payload.toString()) as Partial<Bundle>;
      const digest = sha256(payload);
      if (options.withheld) bundles.delete(digest);
      else bundles.set(digest, options.envelope ?? signBundle(payload, [release]));
      generation += 1;
      const assignment: Assignment = {
        id: randomUUID() as AssignmentId,
        generation,
        ruleSet: ruleSet as RuleSetName,
        version: version as RuleVersion,
        bundle: digest as BundleDigest,
        rollout: null,
        share: options.share ?? 10_000,
        scope: "all",
        ...(options.twin !== undefined && { mode: "twin" as const, beside: options.twin }),
      };
      desired.set(assignment.ruleSet, assignment);
      waiting = { assignment };
      wake();
      return assignment;
    },
    /** The last report's word on a rule set. */
    installed(ruleSet = "shop"): Installed | undefined {
      return reports.at(-1)?.installed.find(each => each.ruleSet === ruleSet);
    },
    async stop() {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
  return controlPlane;
}

const notFound = { title: "not found", status: 404, code: "not-found" };
