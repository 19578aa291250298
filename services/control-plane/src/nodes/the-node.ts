import { strict as assert } from "node:assert";
import type { NodeId } from "@picket/shared/ids";
import type { Ctx } from "../context.ts";

/** The node that asks. Its id is never read from a request, so it reaches only what is its own. */
export function theNode(ctx: Ctx): NodeId {
  assert(ctx.actor.kind === "node", "only a node's route leads here");
  return ctx.actor.node;
}
