/**
 * Policies of the fleet's own, beside the shipped ones (policies/*.cedar). Each change is a row, so a policy's history
 * stays; every process notices a change with the next request of a person, before it decides. Nodes are decided by
 * their routes alone (policy.ts): nothing that is written here can cut a fleet off.
 */
import type { Policy, PolicyRequest, ShippedPolicy } from "@picket/shared/api";
import { asc, desc, eq, max, sql } from "drizzle-orm";
import { record } from "../audit/record.ts";
import { actorName, type Ctx, now } from "../context.ts";
import type { Db, Tx } from "../db/client.ts";
import { policies } from "../db/schema.ts";
import { notFound, Refusal } from "../refusal.ts";
import { checkPolicy, Engine, type PolicyText, SHIPPED, shipped } from "./engine.ts";
import type { Permission } from "./permissions.ts";
import { authorise, personOf } from "./policy.ts";

const POLICIES_MAX = 100;

export class Policies {
  #people: Engine | undefined;
  readonly #db: Db;
  #revision = 0;
  #fault: string | null = null;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Before a person's request is decided. */
  async refresh(): Promise<void> {
    const [newest] = await this.#db.select({ sequence: max(policies.sequence) }).from(policies);
    const revision = newest?.sequence ?? 0;
    if (revision === this.#revision) return;
    const own = await current(this.#db);
    try {
      this.#engine().load(own);
      this.#fault = null;
    } catch (error) {
      this.#fault = (error as Error).message;
    }
    this.#revision = revision;
  }

  #engine(): Engine {
    this.#people ??= new Engine();
    return this.#people;
  }

  /** Policies that no longer hold (of another version of Picket) decide nothing, and nothing is decided without them. */
  forPeople(permission: Permission): Engine {
    if (this.#fault === null) return this.#engine();
    if (permission.startsWith("policies.") || permission.startsWith("identity.")) return shipped();
    throw new Refusal(
      "forbidden",
      `an own policy does not hold any more; an admin must change it: ${this.#fault}`,
    );
  }
}

/** Of each name; a removal has no text. */
const newest = (db: Db | Tx) =>
  db.selectDistinctOn([policies.name]).from(policies).orderBy(asc(policies.name), desc(policies.sequence));

async function current(db: Db | Tx): Promise<PolicyText[]> {
  return (await newest(db)).flatMap(({ name, text }) => (text === null ? [] : [{ name, text }]));
}

/** With `history`, every version and removal, newest first. */
export async function listPolicies({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: { history: boolean };
}): Promise<Policy[]> {
  authorise(ctx, "policies.list");
  if (input.history)
    return (await ctx.db.select().from(policies).orderBy(desc(policies.sequence)).limit(1_000)).map(show);
  return (await newest(ctx.db)).filter(({ text }) => text !== null).map(show);
}

const show = (row: typeof policies.$inferSelect): Policy => ({
  name: row.name,
  version: row.version,
  text: row.text,
  createdAt: row.createdAt.toISOString(),
  createdBy: row.createdBy,
});

export function listShipped({ ctx }: { ctx: Ctx }): ShippedPolicy[] {
  authorise(ctx, "policies.shipped");
  return [SHIPPED];
}

export async function putPolicy({
  ctx,
  input,
}: {
  ctx: Ctx;
  input: PolicyRequest & { name: string };
}): Promise<Policy> {
  authorise(ctx, "policies.put");
  const checked = checkPolicy(input.text);
  if (!checked.ok)
    throw new Refusal(
      "policy-invalid",
      checked.error
        .slice(0, 20)
        .map(
          ({ line, column, message, hint }) =>
            `line ${line}, column ${column}: ${message}${hint === null ? "" : ` (${hint})`}`,
        )
        .join("\n"),
    );
  return change(ctx, input.name, input.text);
}

export async function removePolicy({ ctx, input }: { ctx: Ctx; input: { name: string } }): Promise<void> {
  authorise(ctx, "policies.remove");
  await change(ctx, input.name, null);
}

async function change(ctx: Ctx, name: string, text: string | null): Promise<Policy> {
  return ctx.db.transaction(async tx => {
    // One change at a time: what is checked together is stored together.
    await tx.execute(sql`lock table ${policies} in exclusive mode`);
    const [last] = await tx
      .select()
      .from(policies)
      .where(eq(policies.name, name))
      .orderBy(desc(policies.sequence))
      .limit(1);
    if (text === null && (last?.text ?? null) === null) throw notFound(`policy ${name}`);
    const others = (await current(tx)).filter(policy => policy.name !== name);
    if (others.length >= POLICIES_MAX)
      throw new Refusal("invalid", `there are ${POLICIES_MAX} policies already: remove some`);
    if (text !== null) refuseLockOut(ctx, [...others, { name, text }]);
    const [row] = await tx
      .insert(policies)
      .values({
        name,
        version: (last?.version ?? 0) + 1,
        text,
        createdAt: now(ctx),
        createdBy: actorName(ctx.actor),
      })
      .returning();
    await record(ctx, tx, {
      verb: text === null ? "remove-policy" : "put-policy",
      subject: `policy:${name}/${row!.version}`,
      detail: { text },
    });
    return show(row!);
  });
}

let trial: Engine | undefined;

/** Whoever stores it must still be able to take it back. */
function refuseLockOut({ actor }: Ctx, all: PolicyText[]): void {
  if (actor.kind !== "person") return;
  trial ??= new Engine();
  trial.load(all);
  const fleet = { type: "Fleet", id: "fleet", labels: {} } as const;
  for (const permission of ["policies.put", "policies.remove"] as const)
    if (!trial.decide(personOf(actor), permission, fleet).allow)
      throw new Refusal("wrong-state", "you could not change policies any more: this would lock you out");
}
