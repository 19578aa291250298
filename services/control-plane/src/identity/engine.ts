/**
 * Policies as code (Cedar): a request goes in, allow or deny comes out, with the policies that decided it. The schema
 * is made from the permission table, so that a policy which names an action that does not exist is refused where it
 * is written. Deny by default; a `forbid` beats every `permit`.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";
import type { DetailedError, EntityJson } from "@cedar-policy/cedar-wasm/nodejs";
import type { Role } from "@picket/shared/api";
import { err, ok, type Result } from "@picket/shared/result";
import type { Labels } from "@picket/shared/vocabulary";
import { type Group, type On, type Permission, permissions } from "./permissions.ts";

type Cedar = typeof import("@cedar-policy/cedar-wasm/nodejs");
let loaded: Cedar | undefined;

/** When a person first asks: a gateway, which only nodes ask, does without its 50 MB. */
function cedar(): Cedar {
  if (loaded) return loaded;
  // Node 20's compiler inlines calls from JavaScript into WebAssembly once they are hot, and cannot undo that for a
  // function that returns a reference: the process then dies ("unreachable code", Deoptimizer). It is told before the
  // first call; engine.test.ts dies without this line.
  if (Number.parseInt(process.versions.node, 10) < 22) setFlagsFromString("--no-turbo-inline-js-wasm-calls");
  loaded = createRequire(import.meta.url)("@cedar-policy/cedar-wasm/nodejs") as Cedar;
  return loaded;
}

/** A person; nodes and strangers have no policies (policy.ts). */
export interface Principal {
  name: string;
  role: Role;
  scope: Labels;
}

/** What is acted on: its type in policies, who it is, and its labels. */
export interface Resource {
  type: ResourceType;
  id: string;
  labels: Labels;
}

export interface Decision {
  allow: boolean;
  /** The policies that decided it, as `file/id` or `own-policy/#number`; none: nothing permits it. */
  by: string[];
}

/** A policy text with the name that it is stored under. */
export interface PolicyText {
  name: string;
  text: string;
}

export interface PolicyFault {
  line: number;
  column: number;
  message: string;
  hint: string | null;
}

const typeOf = {
  catalogue: "Catalogue",
  fleet: "Fleet",
  own: "Own",
  node: "Node",
  rollout: "Rollout",
  "join-token": "JoinToken",
  "api-token": "ApiToken",
  alert: "Alert",
  delivery: "Alert",
  "rule-set": "RuleSet",
  "body.selector": "Rollout",
  "body.labels": "JoinToken",
  "body.scope": "ApiToken",
} as const satisfies Record<On, string>;
export type ResourceType = (typeof typeOf)[On];
export const resourceType = (on: On): ResourceType => typeOf[on];

/** Which role stands on which. */
const below: Record<Role, Role[]> = {
  viewer: [],
  operator: ["viewer"],
  approver: ["viewer"],
  author: ["operator"],
  admin: ["author", "approver"],
};

const cedarGroup = (group: Group): string => (group === "local" ? "view" : group);

const people = Object.entries(permissions).filter(([, [, group]]) => group !== "agent" && group !== "open");

const SCHEMA = [
  "entity Role in [Role];",
  "entity Person in [Role] { name: String, scope: Set<String> };",
  ...[...new Set(Object.values(typeOf))].map(type => `entity ${type} { labels: Set<String> };`),
  ...[...new Set(people.map(([, [, group]]) => cedarGroup(group)))].map(group => `action "${group}";`),
  ...people.map(
    ([permission, [, group, on]]) =>
      `action "${permission}" in [Action::"${cedarGroup(group)}"] appliesTo { principal: [Person], resource: [${typeOf[on]}] };`,
  ),
].join("\n");

export const SHIPPED: PolicyText = {
  name: "people",
  text: readFileSync(new URL("../../policies/people.cedar", import.meta.url), "utf8"),
};

/** Decisions are the same for the same question: a fleet's pages ask few different ones, very often. */
const KEPT_MAX = 10_000;
let engines = 0;

export class Engine {
  readonly #id = `picket-${++engines}`;
  readonly #kept = new Map<string, Decision>();

  constructor() {
    this.load([]);
  }

  /** The shipped policies and these; throws when one does not hold (they were checked when they were stored). */
  load(own: readonly PolicyText[]): void {
    const all = Object.fromEntries(
      [SHIPPED, ...own].flatMap(({ name, text }) => {
        const parts = cedar().policySetTextToParts(text);
        if (parts.type === "failure") throw new Error(`policy ${name}: ${words(parts.errors)}`);
        return namesOf(parts.policies).map((id, i) => [`${name}/${id}`, parts.policies[i]!] as const);
      }),
    );
    // The shipped ones are held against the schema by a test: it costs some 35 MB to do so.
    if (own.length > 0) {
      const valid = cedar().validate({ schema: SCHEMA, policies: { staticPolicies: all } });
      if (valid.type === "failure") throw new Error(words(valid.errors));
      const [fault] = valid.validationErrors;
      if (fault) throw new Error(fault.error.message);
    }
    const parsed = cedar().preparsePolicySet(this.#id, { staticPolicies: all });
    if (parsed.type === "failure") throw new Error(words(parsed.errors));
    this.#kept.clear();
  }

  decide(principal: Principal, permission: Permission, resource: Resource): Decision {
    const key = JSON.stringify([principal, permission, resource]);
    const known = this.#kept.get(key);
    if (known) return known;
    const decision = this.#ask(principal, permission, resource);
    if (this.#kept.size >= KEPT_MAX) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(key, decision);
    return decision;
  }

  #ask(principal: Principal, permission: Permission, resource: Resource): Decision {
    const who = entityOf(principal);
    const what: EntityJson = {
      uid: { type: resource.type, id: resource.id },
      attrs: { labels: labelSet(resource.labels) },
      parents: [],
    };
    const answer = cedar().statefulIsAuthorized({
      principal: who.uid,
      action: actionOf(permission).uid,
      resource: what.uid,
      context: {},
      preparsedPolicySetId: this.#id,
      entities: [who, what, actionOf(permission), ...ROLES],
    });
    if (answer.type === "failure") throw new Error(`policies cannot be asked: ${words(answer.errors)}`);
    const { decision, diagnostics } = answer.response;
    return { allow: decision === "allow" && diagnostics.errors.length === 0, by: diagnostics.reason };
  }
}

const ROLES: EntityJson[] = Object.entries(below).map(([role, stands]) => ({
  uid: { type: "Role", id: role },
  attrs: {},
  parents: stands.map(id => ({ type: "Role", id })),
}));

/** With its group: without a schema at hand, which costs more than all the rest, nobody else says so. */
const actionOf = (permission: Permission) => ({
  uid: { type: "Action", id: permission },
  attrs: {},
  parents: [{ type: "Action", id: cedarGroup(permissions[permission][1]) }],
});

const entityOf = ({ name, role, scope }: Principal): EntityJson & { uid: { type: string; id: string } } => ({
  uid: { type: "Person", id: name },
  attrs: { name, scope: labelSet(scope) },
  parents: [{ type: "Role", id: role }],
});

/** A key may hold a `=`: it is doubled, so that no two labels are written alike. */
const labelSet = (labels: Labels): string[] =>
  Object.entries(labels)
    .map(([key, value]) => `${key.replaceAll("=", "==")}=${value}`)
    .sort();

/** Whether a text can be a policy of its own, or where it is wrong. */
export function checkPolicy(text: string): Result<{ policies: number }, PolicyFault[]> {
  const parts = cedar().policySetTextToParts(text);
  const answer = cedar().validate({ schema: SCHEMA, policies: { staticPolicies: text } });
  if (answer.type === "failure") return err(answer.errors.map(error => faultOf(text, error)));
  // A policy that can never apply does nothing, and its author thinks that it does.
  const faults = [...answer.validationErrors, ...answer.validationWarnings];
  if (faults.length > 0) return err(faults.map(({ error }) => faultOf(text, error)));
  if (parts.type === "failure") return err(parts.errors.map(error => faultOf(text, error)));
  if (parts.policy_templates.length > 0)
    return err([{ line: 1, column: 1, message: "templates are of no use here", hint: "write out who" }]);
  if (parts.policies.length === 0)
    return err([{ line: 1, column: 1, message: "there is no policy in it", hint: null }]);
  const ids = namesOf(parts.policies);
  const twice = ids.find((id, i) => ids.indexOf(id) < i);
  if (twice !== undefined)
    return err([{ line: 1, column: 1, message: `two policies are called @id("${twice}")`, hint: null }]);
  return ok({ policies: parts.policies.length });
}

/** What has no id is called by its number, which no id of another may take: of two with one name only one holds. */
const namesOf = (policies: readonly string[]): string[] =>
  policies.map((policy, i) => idOf(policy) ?? `#${i + 1}`);
const idOf = (policy: string): string | null => /^\s*@id\("([^"]{1,60})"\)/m.exec(policy)?.[1] ?? null;

/** Cedar counts bytes; people count lines. */
function faultOf(text: string, { message, help, sourceLocations }: DetailedError): PolicyFault {
  const [at] = sourceLocations ?? [];
  const before = Buffer.from(text)
    .subarray(0, at?.start ?? 0)
    .toString("utf8");
  const label = at?.label ? `: ${at.label}` : "";
  return {
    line: before.split("\n").length,
    column: before.length - before.lastIndexOf("\n"),
    message: `${message.replace(/^for policy `policy\d+`, /, "")}${label}`,
    hint: help,
  };
}

const words = (errors: readonly DetailedError[]): string => errors.map(({ message }) => message).join("; ");

let shippedEngine: Engine | undefined;

/** The shipped policies alone. */
export function shipped(): Engine {
  shippedEngine ??= new Engine();
  return shippedEngine;
}
