import { JoinToken, JoinTokenRequest, Node, NodeDetails, page, QuarantineRequest } from "@picket/shared/api";
import { EnrolRequest, EnrolResponse } from "@picket/shared/contract";
import type { Services } from "../../context.ts";
import { storable } from "../../db/json.ts";
import { enrol } from "../../nodes/enrol.ts";
import { createJoinToken, listJoinTokens, revokeJoinToken } from "../../nodes/join-tokens.ts";
import { quarantineNode, releaseNode } from "../../nodes/quarantine.ts";
import { retireNode } from "../../nodes/retire.ts";
import { listNodes, showNode } from "../../nodes/show.ts";
import { PageInput, whole } from "../../page.ts";
import { requireCertificate } from "../../tls.ts";
import { peer, peerAddress } from "../authenticate.ts";
import { limited } from "../limit.ts";
import { type App, IdParams, route } from "../route.ts";

const REFUSALS_MAX = 60;

export function nodeRoutes(app: App, services: Services): void {
  route(
    app,
    services,
    "nodes.enrol",
    { summary: "Exchange a join token for a node id", body: EnrolRequest, answer: EnrolResponse },
    (ctx, { body }, c) =>
      limited(ctx, "enrol", peerAddress(c), REFUSALS_MAX, async () => {
        requireCertificate(ctx, peer(c));
        return enrol({ ctx, input: storable(body) });
      }),
  );
  route(
    app,
    services,
    "nodes.list",
    { summary: "Nodes in the order of enrolment", query: PageInput, answer: page(Node) },
    (ctx, { query }) => listNodes({ ctx, input: query }),
  );
  route(
    app,
    services,
    "nodes.show",
    { summary: "One node with its connections and counters", params: IdParams, answer: NodeDetails },
    (ctx, { params }) => showNode({ ctx, input: params }),
  );
  route(
    app,
    services,
    "nodes.retire",
    { summary: "Refuse the node's key from now on; rollouts no longer wait for it", params: IdParams },
    (ctx, { params }) => retireNode({ ctx, input: params }),
  );
  route(
    app,
    services,
    "nodes.quarantine",
    {
      summary: "Refuse the node's key until it is released; what it runs goes on enforcing",
      params: IdParams,
      body: QuarantineRequest,
    },
    (ctx, { params, body }) => quarantineNode({ ctx, input: { ...params, ...body } }),
  );
  route(
    app,
    services,
    "nodes.release",
    { summary: "Let a quarantined node speak again", params: IdParams },
    (ctx, { params }) => releaseNode({ ctx, input: params }),
  );
  route(
    app,
    services,
    "nodes.list-join-tokens",
    { summary: "Join tokens that can still be used", answer: page(JoinToken) },
    async ctx => whole(await listJoinTokens({ ctx })),
  );
  route(
    app,
    services,
    "nodes.create-join-token",
    {
      summary: "Create a join token; it is shown once",
      body: JoinTokenRequest,
      answer: JoinToken,
      status: 201,
    },
    (ctx, { body }) => createJoinToken({ ctx, input: body }),
  );
  route(
    app,
    services,
    "nodes.revoke-join-token",
    { summary: "Revoke a join token", params: IdParams },
    (ctx, { params }) => revokeJoinToken({ ctx, input: params }),
  );
}
