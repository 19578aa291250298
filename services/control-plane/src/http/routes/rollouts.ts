import { z } from "@hono/zod-openapi";
import {
  DecisionDetails,
  EmergencyStopRequest,
  EmergencyStopState,
  Freeze,
  FreezeRequest,
  page,
  RollBackRequest,
  Rollout,
  RolloutDetails,
  RolloutRequest,
} from "@picket/shared/api";
import type { Ctx, Services } from "../../context.ts";
import { PageInput } from "../../page.ts";
import {
  abortRollout,
  approveRollout,
  pauseRollout,
  promoteRollout,
  resumeRollout,
  rollBackRollout,
} from "../../rollouts/change.ts";
import { explainDecision } from "../../rollouts/explain.ts";
import { addFreeze, listFreezes, removeFreeze } from "../../rollouts/freezes.ts";
import { listRollouts, showRollout } from "../../rollouts/show.ts";
import { startRollout } from "../../rollouts/start.ts";
import { releaseFleet, showStop, stopFleet } from "../../rollouts/stops.ts";
import { type App, IdParams, route } from "../route.ts";

/** Of a large fleet, a plan that names every node, a roll back, or waiting for a pass that tells all: no outage. */
const LONG_MS = 60_000;

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
      timeoutMs: LONG_MS,
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
      timeoutMs: LONG_MS,
    },
    (ctx, { body }) => startRollout({ ctx, input: body }),
  );

  const change = (
    permission:
      | "rollouts.pause"
      | "rollouts.resume"
      | "rollouts.abort"
      | "rollouts.approve"
      | "rollouts.promote",
    summary: string,
    verb: (call: { ctx: Ctx; input: { id: string } }) => Promise<RolloutDetails>,
  ) =>
    route(
      app,
      services,
      permission,
      { summary, params: IdParams, answer: RolloutDetails, timeoutMs: LONG_MS },
      (ctx, { params }) => verb({ ctx, input: params }),
    );
  change("rollouts.pause", "Begin no further step", pauseRollout);
  change("rollouts.resume", "Go on; the step's soak begins anew", resumeRollout);
  change("rollouts.abort", "End it; reached nodes keep the version", abortRollout);
  change("rollouts.approve", "Let the step begin that waits for a person", approveRollout);
  change("rollouts.promote", "On to the next step without the rest of the soak", promoteRollout);
  route(
    app,
    services,
    "rollouts.roll-back",
    {
      summary: "Give every reached node its previous version back",
      params: IdParams,
      body: RollBackRequest,
      bodyOptional: true,
      answer: RolloutDetails,
      timeoutMs: LONG_MS,
    },
    (ctx, { params, body }) => rollBackRollout({ ctx, input: { ...params, to: body.to } }),
  );
  route(
    app,
    services,
    "rollouts.explain",
    {
      summary: "One decision of the gate with its evidence, and the same evidence judged anew",
      params: IdParams.extend({ decision: z.coerce.number().int().min(1) }),
      answer: DecisionDetails,
    },
    (ctx, { params }) => explainDecision({ ctx, input: params }),
  );

  route(
    app,
    services,
    "stops.show",
    { summary: "The last emergency stop, in force or released", answer: EmergencyStopState },
    ctx => showStop({ ctx }),
  );
  route(
    app,
    services,
    "stops.stop",
    {
      summary: "Halt all rollouts of the fleet, or roll them back as well",
      body: EmergencyStopRequest,
      answer: EmergencyStopState,
      timeoutMs: LONG_MS,
    },
    (ctx, { body }) => stopFleet({ ctx, input: body }),
  );
  route(app, services, "stops.release", { summary: "Let rollouts go on", answer: EmergencyStopState }, ctx =>
    releaseFleet({ ctx }),
  );
  route(app, services, "freezes.list", { summary: "Freeze windows", answer: page(Freeze) }, async ctx => ({
    items: await listFreezes({ ctx }),
    nextCursor: null,
  }));
  route(
    app,
    services,
    "freezes.add",
    { summary: "No step begins in this window", body: FreezeRequest, answer: Freeze, status: 201 },
    (ctx, { body }) => addFreeze({ ctx, input: body }),
  );
  route(
    app,
    services,
    "freezes.remove",
    { summary: "Remove a freeze window", params: IdParams },
    (ctx, { params }) => removeFreeze({ ctx, input: params }),
  );
}
