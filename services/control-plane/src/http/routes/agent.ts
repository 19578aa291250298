/** What agents ask of the API; the long poll is the gateway's (gateway/routes.ts). */
import { z } from "@hono/zod-openapi";
import {
  Desired,
  EventBatch,
  EventBatchResponse,
  KeyRotation,
  Report,
  ReportAnswer,
  ShapeBatch,
  ShapeBatchResponse,
  TrustChain,
} from "@picket/shared/contract";
import { BundleDigest, ObjectDigest } from "@picket/shared/ids";
import { ClaimBatch, ClaimBatchResponse, SharedVerdictFeed, VerdictAnswers } from "@picket/shared/immunity";
import { ProfileOffer, SignedProfileList, SignedProfileRef } from "@picket/shared/profile";
import { TwinReport } from "@picket/shared/twin";
import { getBundle } from "../../bundles/get.ts";
import { getObject } from "../../bundles/objects.ts";
import { trustAfter } from "../../bundles/trust.ts";
import type { Services } from "../../context.ts";
import { storable } from "../../db/json.ts";
import { BATCH_BYTES_MAX, ingest } from "../../detections/ingest.ts";
import { answerVerdicts } from "../../immunity/answers.ts";
import { claimVerdicts } from "../../immunity/claim.ts";
import { verdictFeed } from "../../immunity/feed.ts";
import { desired } from "../../nodes/desired.ts";
import { reports } from "../../nodes/report.ts";
import { rotateKey } from "../../nodes/rotate-key.ts";
import { profileFeed, signedProfile } from "../../profiles/feed.ts";
import { offerProfile } from "../../profiles/offer.ts";
import { recordTwin } from "../../rollouts/twins.ts";
import { recordShapes } from "../../shapes/record.ts";
import { answerImmutable } from "../immutable.ts";
import { type App, route } from "../route.ts";

/** A name may hold any character, so they come as JSON. */
const WorkloadNames = z.string().transform((text, context) => {
  try {
    return z.array(z.string().max(255)).max(50).parse(JSON.parse(text));
  } catch {
    context.addIssue("a JSON array of at most 50 names");
    return z.NEVER;
  }
});

export function agentRoutes(app: App, services: Services): void {
  const report = reports(services);
  const desiredOf = desired(services);
  route(app, services, "agent.desired", { summary: "What this node should run", answer: Desired }, desiredOf);
  route(
    app,
    services,
    "agent.bundle",
    { summary: "A signed bundle by digest", params: z.object({ digest: BundleDigest }) },
    async (ctx, { params }, c) => {
      const envelope = await getBundle({ ctx, input: params });
      return answerImmutable(
        c,
        new TextEncoder().encode(JSON.stringify(envelope)),
        params.digest,
        "application/json",
      );
    },
  );
  route(
    app,
    services,
    "agent.object",
    { summary: "An eBPF object by digest", params: z.object({ digest: ObjectDigest }) },
    async (ctx, { params }, c) => {
      const bytes = await getObject({ ctx, input: params });
      return answerImmutable(c, new Uint8Array(bytes), params.digest, "application/octet-stream");
    },
  );
  route(
    app,
    services,
    "agent.trust",
    {
      summary: "The roots of trust after the one that the node knows",
      query: z.object({ after: z.coerce.number().int().min(0) }),
      answer: TrustChain,
    },
    (ctx, { query }) => trustAfter({ ctx, input: query }),
  );
  route(
    app,
    services,
    "agent.rotate-key",
    { summary: "The node's key from now on; signed by the one before and by itself", body: KeyRotation },
    (ctx, { body }) => rotateKey({ ctx, input: body }),
  );
  route(
    app,
    services,
    "agent.report",
    {
      summary: "What runs, what is seen, what was lost; the answer says at what pace to go on",
      body: Report,
      bodyBytesMax: 4 << 20,
      answer: ReportAnswer,
    },
    (ctx, { body }) => report({ ctx, input: storable(body) }),
  );
  route(
    app,
    services,
    "agent.events",
    {
      summary: "Store detections; idempotent by event id",
      body: EventBatch,
      bodyBytesMax: BATCH_BYTES_MAX,
      // Full batches of many nodes wait for one another: that is no outage.
      timeoutMs: Math.max(15_000, services.config.dependencyTimeoutMs),
      answer: EventBatchResponse,
    },
    async (ctx, { body }, c) => ingest({ ctx, input: { ...body, text: await c.req.text() } }),
  );
  route(
    app,
    services,
    "agent.shapes",
    {
      summary: "Store shapes and how often they were used; idempotent by epoch",
      body: ShapeBatch,
      bodyBytesMax: 8 << 20,
      answer: ShapeBatchResponse,
    },
    (ctx, { body }) => recordShapes({ ctx, input: storable(body) }),
  );
  route(
    app,
    services,
    "agent.twin",
    {
      summary: "What a twin would judge otherwise; idempotent by epoch",
      body: TwinReport,
      bodyBytesMax: 1 << 20,
    },
    (ctx, { body }) => recordTwin({ ctx, input: storable(body) }),
  );
  route(
    app,
    services,
    "agent.claims",
    { summary: "Shapes that this node judged hostile", body: ClaimBatch, answer: ClaimBatchResponse },
    (ctx, { body }) => claimVerdicts({ ctx, input: storable(body) }),
  );
  route(
    app,
    services,
    "agent.verdicts",
    {
      summary: "Shared verdicts that were signed after a sequence",
      query: z.object({ after: z.coerce.number().int().min(0).default(0) }),
      answer: SharedVerdictFeed,
    },
    (ctx, { query }) => verdictFeed({ ctx, input: query }),
  );
  route(
    app,
    services,
    "agent.answers",
    { summary: "What this node made of shared verdicts", body: VerdictAnswers },
    (ctx, { body }) => answerVerdicts({ ctx, input: body }),
  );
  route(
    app,
    services,
    "agent.offer-profile",
    {
      summary: "What a workload was learned to send here, for review",
      body: ProfileOffer,
      bodyBytesMax: 8 << 20,
    },
    (ctx, { body }) => offerProfile({ ctx, input: storable(body) }),
  );
  route(
    app,
    services,
    "agent.profiles",
    {
      summary: "The newest signed profiles of these workloads",
      query: z.object({ workloads: WorkloadNames }),
      answer: SignedProfileList,
    },
    (ctx, { query }) => profileFeed({ ctx, input: query }),
  );
  route(
    app,
    services,
    "agent.profile",
    { summary: "A signed profile by digest", params: z.object({ digest: SignedProfileRef.shape.digest }) },
    async (ctx, { params }, c) => {
      const envelope = await signedProfile({ ctx, input: params });
      return answerImmutable(
        c,
        new TextEncoder().encode(JSON.stringify(envelope)),
        params.digest,
        "application/json",
      );
    },
  );
}
