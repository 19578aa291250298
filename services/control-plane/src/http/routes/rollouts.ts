import { page, Rollout, RolloutDetails, RolloutRequest } from "@picket/shared/api";
import type { Ctx, Services } from "../../context.ts";
import { PageInput } from "../../page.ts";
import { abortRollout, pauseRollout, resumeRollout, rollBackRollout } from "../../rollouts/change.ts";
import { listRollouts, showRollout } from "../../rollouts/show.ts";
import { startRollout } from "../../rollouts/start.ts";
import { type App, IdParams, route } from "../route.ts";

export function rolloutRoutes(app: App, services: Services): void {
  route(
    app,
    services,
    "rollouts.list",
    { summary: "Rollouts, newest first", query: PageInput, answer: page(Rollout) },
    (ctx, { query }) => listRollouts({ ctx, input: query }),
  );
  route(
    app,
    services,
    "rollouts.show",
    {
      summary: "One rollout with its plan and the gate's decisions",
      params: IdParams,
      answer: RolloutDetails,
    },
    (ctx, { params }) => showRollout({ ctx, input: params }),
  );
  route(
    app,
    services,
    "rollouts.start",
    {
      summary: "Start a rollout",
      body: RolloutRequest,
      answer: RolloutDetails,
      status: 201,
      // The plan names every node, and the first step's are written: of a large fleet that is no outage.
      timeoutMs: 60_000,
    },
    (ctx, { body }) => startRollout({ ctx, input: body }),
  );

  const change = (
    permission: "rollouts.pause" | "rollouts.resume" | "rollouts.abort" | "rollouts.roll-back",
    summary: string,
    verb: (call: { ctx: Ctx; input: { id: string } }) => Promise<RolloutDetails>,
  ) =>
    route(
      app,
      services,
      permission,
      { summary, params: IdParams, answer: RolloutDetails },
      (ctx, { params }) => verb({ ctx, input: params }),
    );
  change("rollouts.pause", "Begin no further step", pauseRollout);
  change("rollouts.resume", "Go on; the step's soak begins anew", resumeRollout);
  change("rollouts.abort", "End it; reached nodes keep the version", abortRollout);
  change("rollouts.roll-back", "Give every reached node its previous version back", rollBackRollout);
}
