import { z } from "@hono/zod-openapi";
import {
  ImmunityStatus,
  page,
  SharedVerdictDetails,
  SharedVerdictRow,
  SharingStopRequest,
} from "@picket/shared/api";
import type { Services } from "../../context.ts";
import { revokeVerdict } from "../../immunity/revoke.ts";
import { listSharedVerdicts, showAnswers, showImmunity } from "../../immunity/show.ts";
import { releaseSharing, stopSharing } from "../../immunity/stop.ts";
import { PageInput } from "../../page.ts";
import { type App, IdParams, route } from "../route.ts";

export function immunityRoutes(app: App, services: Services): void {
  route(
    app,
    services,
    "immunity.show",
    { summary: "Whether verdicts are shared, and by which key", answer: ImmunityStatus },
    ctx => showImmunity({ ctx }),
  );
  route(
    app,
    services,
    "immunity.list",
    {
      summary: "Shared verdicts, newest claims first",
      query: PageInput.extend({ state: SharedVerdictRow.shape.state.optional() }),
      answer: page(SharedVerdictRow),
    },
    (ctx, { query }) => listSharedVerdicts({ ctx, input: query }),
  );
  route(
    app,
    services,
    "immunity.answers",
    {
      summary: "One shared verdict and what nodes made of it",
      params: IdParams,
      answer: SharedVerdictDetails,
    },
    (ctx, { params }) => showAnswers({ ctx, input: params }),
  );
  route(
    app,
    services,
    "immunity.revoke",
    {
      summary: "Take a shared verdict back from every node",
      params: IdParams,
      query: z.object({ reason: z.string().min(1).max(500).default("revoked by a person") }),
    },
    (ctx, { params, query }) => revokeVerdict({ ctx, input: { ...params, ...query } }),
  );
  route(
    app,
    services,
    "immunity.stop",
    {
      summary: "Take everything shared back, and share nothing until released",
      body: SharingStopRequest,
      answer: ImmunityStatus,
    },
    (ctx, { body }) => stopSharing({ ctx, input: body }),
  );
  route(app, services, "immunity.release", { summary: "Share verdicts again", answer: ImmunityStatus }, ctx =>
    releaseSharing({ ctx }),
  );
}
