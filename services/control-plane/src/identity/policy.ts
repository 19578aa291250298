/**
 * May this caller do this to that? HTTP asks before a verb runs, with what the request acts on (http/route.ts); verbs
 * ask again, so that a verb is never reached under another permission than its own. The answer is the policies'
 * (engine.ts); a refusal says what is missing.
 */
import { Role } from "@picket/shared/api";
import type { Actor, Ctx } from "../context.ts";
import { Refusal } from "../refusal.ts";
import { type Principal, type Resource, resourceType, shipped } from "./engine.ts";
import { type Permission, routeOf } from "./permissions.ts";
import { ofTheirOwn } from "./resources.ts";
import { labelsText } from "./scope.ts";

/** What policies may look at: nothing of the session or the token. */
export const personOf = ({ name, role, scope }: Extract<Actor, { kind: "person" }>): Principal => ({
  name,
  role,
  scope,
});

export function authorise(ctx: Ctx, permission: Permission, resource = resourceFor(ctx, permission)): void {
  const { actor } = ctx;
  if (actor.kind === "system") return;
  const { group } = routeOf(permission);
  if (group === "open") return;
  if (actor.kind === "anyone")
    throw new Refusal("unauthenticated", "sign in, or send Authorization: Bearer pkt_…");
  // A node reaches what is its own and nothing else: no policy says otherwise.
  if (actor.kind === "node") {
    if (group === "agent") return;
    throw new Refusal("forbidden", "this is for people, not for nodes");
  }
  if (group === "agent") throw new Refusal("forbidden", "this is for nodes");
  const decision = ctx.policies.forPeople(permission).decide(personOf(actor), permission, resource);
  if (!decision.allow) throw new Refusal("forbidden", whyNot(actor, permission, resource, decision.by));
}

/** What the route was asked about, where it is of this permission's kind; else what the caller may reach at all. */
function resourceFor(ctx: Ctx, permission: Permission): Resource {
  const { on } = routeOf(permission);
  const { resource } = ctx;
  if (resource?.type === resourceType(on)) return resource;
  return on === "own" || on === "catalogue"
    ? ofTheirOwn(ctx, on)
    : { type: resourceType(on), id: on, labels: {} };
}

function whyNot(
  actor: Extract<Actor, { kind: "person" }>,
  permission: Permission,
  resource: Resource,
  forbiddenBy: readonly string[],
): string {
  if (forbiddenBy.length > 0) return `the policy ${forbiddenBy.join(", ")} forbids it`;
  const { on } = routeOf(permission);
  const person = { ...personOf(actor), scope: {} };
  if (Object.keys(actor.scope).length > 0 && shipped().decide(person, permission, resource).allow)
    return on === "fleet"
      ? `this concerns the whole fleet, and you are held to ${labelsText(actor.scope)}`
      : on.startsWith("body.")
        ? `${on.slice("body.".length)} must hold ${labelsText(actor.scope)}: you are held to these labels`
        : `it lies outside ${labelsText(actor.scope)}, the labels that you are held to`;
  const enough = Role.options.find(role => shipped().decide({ ...person, role }, permission, resource).allow);
  return `this needs the role ${enough ?? "admin"}`;
}
