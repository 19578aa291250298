import { z } from "@hono/zod-openapi";
import {
  ObjectRow,
  page,
  ReleaseKeyRow,
  RuleSetSummary,
  RuleVersionDetails,
  RuleVersionRow,
} from "@picket/shared/api";
import { Envelope, ReleaseKey } from "@picket/shared/bundle-format";
import { ObjectDigest, RuleSetName, RuleVersion } from "@picket/shared/ids";
import { Trust, TrustEnvelope } from "@picket/shared/trust-format";
import { OBJECT_BYTES_MAX, putObject } from "../../bundles/objects.ts";
import { listReleaseKeys, registerReleaseKey } from "../../bundles/release-keys.ts";
import { publishTrust, showTrust } from "../../bundles/trust.ts";
import type { Services } from "../../context.ts";
import { PageInput, whole } from "../../page.ts";
import { pushVersion } from "../../rules/push.ts";
import { listRuleSets, listVersions, showVersion } from "../../rules/show.ts";
import { type App, route } from "../route.ts";

const NameParams = z.object({ name: RuleSetName });

export function ruleRoutes(app: App, services: Services): void {
  route(
    app,
    services,
    "bundles.list-keys",
    { summary: "Release keys", answer: page(ReleaseKeyRow) },
    async ctx => whole(await listReleaseKeys({ ctx })),
  );
  route(
    app,
    services,
    "bundles.register-key",
    {
      summary: "Register a release key; nodes that enrol from now on pin it",
      body: ReleaseKey,
      answer: ReleaseKeyRow,
      status: 201,
    },
    (ctx, { body }) => registerReleaseKey({ ctx, input: body }),
  );
  route(
    app,
    services,
    "bundles.show-trust",
    { summary: "Which release keys count, and how many must sign", answer: Trust },
    ctx => showTrust({ ctx }),
  );
  route(
    app,
    services,
    "bundles.publish-trust",
    {
      summary: "The next root of trust, signed by enough keys of the one before and of its own",
      body: TrustEnvelope,
      answer: Trust,
      status: 201,
    },
    (ctx, { body }) => publishTrust({ ctx, input: body }),
  );
  route(
    app,
    services,
    "bundles.put-object",
    {
      summary: "Store an eBPF object (application/octet-stream) under the SHA-256 of its bytes",
      params: z.object({ digest: ObjectDigest }),
      bodyBytesMax: OBJECT_BYTES_MAX,
      answer: ObjectRow,
    },
    async (ctx, { params }, c) =>
      putObject({ ctx, input: { digest: params.digest, bytes: Buffer.from(await c.req.arrayBuffer()) } }),
  );
  route(app, services, "rules.list-sets", { summary: "Rule sets", answer: page(RuleSetSummary) }, async ctx =>
    whole(await listRuleSets({ ctx })),
  );
  route(
    app,
    services,
    "rules.list-versions",
    { summary: "Versions, newest first", params: NameParams, query: PageInput, answer: page(RuleVersionRow) },
    (ctx, { params, query }) => listVersions({ ctx, input: { ...params, ...query } }),
  );
  route(
    app,
    services,
    "rules.show-version",
    {
      summary: "One version with its rule text and envelope",
      params: NameParams.extend({ version: z.coerce.number().pipe(RuleVersion) }),
      answer: RuleVersionDetails,
    },
    (ctx, { params }) => showVersion({ ctx, input: params }),
  );
  route(
    app,
    services,
    "rules.push",
    {
      summary: "Push a signed bundle; the same bytes again answer 200",
      params: NameParams,
      body: Envelope,
      bodyBytesMax: 8 << 20,
      answer: RuleVersionRow,
      status: 201,
    },
    async (ctx, { params, body }, c) => {
      const { row, created } = await pushVersion({ ctx, input: { ruleSet: params.name, envelope: body } });
      return c.json(row, created ? 201 : 200);
    },
  );
}
