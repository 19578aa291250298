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
  kind: "person",
  name,
  role,
  scope,
});

const principalOf = (actor: Exclude<Actor, { kind: "system" }>): Principal => {
  switch (actor.kind) {
    case "person":
      return personOf(actor);
    case "node":
      return { kind: "agent" };
    case "anyone":
      return { kind: "anyone" };
  }
};

export function authorise(ctx: Ctx, permission: Permission, resource = resourceFor(ctx, permission)): void {
  const { actor } = ctx;
  if (actor.kind === "system") return;
  const { group } = routeOf(permission);
  if (actor.kind === "anyone" && group !== "open")
    throw new Refusal("unauthenticated", "sign in, or send Authorization: Bearer pkt_…");
  const engine = actor.kind === "person" ? ctx.policies.forPeople(permission) : shipped;
  const decision = engine.decide(principalOf(actor), permission, resource);
  if (!decision.allow) throw new Refusal("forbidden", whyNot(ctx, permission, resource, decision.by));
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
  ctx: Ctx,
  permission: Permission,
  resource: Resource,
  forbiddenBy: readonly string[],
): string {
  const { actor } = ctx;
  if (actor.kind !== "person") return "this is for people, not for nodes";
  if (forbiddenBy.length > 0) return `the policy ${forbiddenBy.join(", ")} forbids it`;
  const { on, group } = routeOf(permission);
  if (group === "agent") return "this is for nodes";
  const scoped = Object.keys(actor.scope).length > 0;
  const unscoped = personOf({ ...actor, scope: {} });
  if (scoped && shipped.decide(unscoped, permission, resource).allow)
    return on === "fleet"
      ? `this concerns the whole fleet, and you are held to ${labelsText(actor.scope)}`
      : on.startsWith("body.")
        ? `${on.slice("body.".length)} must hold ${labelsText(actor.scope)}: you are held to these labels`
        : `it lies outside ${labelsText(actor.scope)}, the labels that you are held to`;
  const enough = Role.options.find(
    role => shipped.decide({ kind: "person", name: actor.name, role, scope: {} }, permission, resource).allow,
  );
  return `this needs the role ${enough ?? "of a node"}`;
}
