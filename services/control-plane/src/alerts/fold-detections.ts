/**
 * Carries detections into alerts and into the certificates' state, exactly once: how far it got is a row that is
 * written in the same transaction. A nudge, the sweep or two workers at once may call it; the row is locked.
 */
import type { Detection } from "@picket/shared/detection";
import { and, eq, inArray, isNotNull, isNull, sql } from "drizzle-orm";
import { recordCertificates } from "../certificates/record.ts";
import type { Ctx } from "../context.ts";
import type { Tx } from "../db/client.ts";
import { certificates, cursors, detections, nodes } from "../db/schema.ts";
import { OWN_CAUSE } from "../nodes/alerts.ts";
import { describe } from "./describe.ts";
import { type Fold, foldSightings, type Sighting } from "./fold.ts";
import { type Effects, type Raised, raiseAlerts, resolveAlerts } from "./raise.ts";

const CURSOR = "alerts";
const ROWS_AT_ONCE = 5_000;

/** Folds until nothing is left; how many detections that were. */
export async function foldDetections({ ctx }: { ctx: Ctx }): Promise<number> {
  for (let folded = 0; ; ) {
    if (ctx.closing.aborted) return folded;
    const { rows, effects } = await ctx.db.transaction(tx => foldOnce(ctx, tx));
    for (const effect of effects) effect.nudge();
    folded += rows;
    if (rows < ROWS_AT_ONCE) return folded;
  }
}

async function foldOnce(ctx: Ctx, tx: Tx): Promise<{ rows: number; effects: Effects[] }> {
  await tx.insert(cursors).values({ name: CURSOR, sequence: 0 }).onConflictDoNothing();
  const [cursor] = await tx.select().from(cursors).where(eq(cursors.name, CURSOR)).for("update");
  const rows = await readSightings(tx, cursor!.sequence);
  const last = rows.at(-1);
  if (!last) return { rows: 0, effects: [] };

  const certified = rows.filter(({ kind }) => kind === "certificate").map(({ sequence }) => sequence);
  if (certified.length > 0) await recordCertificates(tx, certified);
  const folds = foldSightings(rows);
  const words = await wordsOf(tx, folds);
  const effects = await carryOut(ctx, tx, folds, words);
  await tx.update(cursors).set({ sequence: last.sequence }).where(eq(cursors.name, CURSOR));
  return { rows: rows.length, effects };
}

/** Straight from the driver, as they come: mapping and copying rows costs as much as all the rest of folding a flood. */
async function readSightings(tx: Tx, after: number): Promise<(Sighting & { kind: Detection["kind"] })[]> {
  const { rows } = await tx.execute<Sighting & { kind: Detection["kind"] } & Record<string, unknown>>(sql`
    select sequence::float8, node, kind, (extract(epoch from at) * 1000)::float8 as "atMs", priority,
      causal_key as "causalKey", count
    from detections where sequence > ${after}
    order by detections.sequence -- By the column, which has an index, not by what is selected under its name.
    limit ${ROWS_AT_ONCE}`);
  for (const row of rows) row.causalKey = nodesOwnCause(row.causalKey);
  return rows;
}

/** A node names its causes; it must not name one of the control plane's, and so resolve another node's alert. */
const nodesOwnCause = (causalKey: string): string =>
  causalKey.startsWith(OWN_CAUSE) ? `node:${causalKey}`.slice(0, 255) : causalKey;

type Words = Map<number, { detection: Detection; hostname: string }>;

/** Only those that speak for their cause: a flood is read by its columns. */
async function wordsOf(tx: Tx, folds: readonly Fold[]): Promise<Words> {
  const speakers = folds.flatMap(fold => (fold.kind === "raise" ? [fold.spokesman] : []));
  if (speakers.length === 0) return new Map();
  const rows = await tx
    .select({ sequence: detections.sequence, detection: detections.payload, hostname: nodes.hostname })
    .from(detections)
    .innerJoin(nodes, eq(detections.node, nodes.id))
    .where(inArray(detections.sequence, speakers));
  return new Map(rows.map(row => [row.sequence, row]));
}

/** Raises together what follows one another; a cause that is gone is ended in its place between them. */
async function carryOut(ctx: Ctx, tx: Tx, folds: readonly Fold[], words: Words): Promise<Effects[]> {
  const effects: Effects[] = [];
  let raises: Raised[] = [];
  const flush = async () => {
    effects.push(await raiseAlerts(ctx, tx, raises));
    raises = [];
  };
  for (const fold of folds) {
    switch (fold.kind) {
      case "raise":
        raises.push(raisedBy(fold, words));
        break;
      case "gone":
        await flush();
        effects.push(await resolveIfGone(ctx, tx, fold.causalKey));
        break;
    }
  }
  await flush();
  return effects;
}

function raisedBy(fold: Extract<Fold, { kind: "raise" }>, words: Words): Raised {
  const { detection, hostname } = words.get(fold.spokesman)!;
  return {
    causalKey: fold.causalKey,
    priority: fold.priority,
    ...describe(detection, hostname),
    nodes: fold.nodes,
    count: fold.count,
    at: new Date(fold.atMs),
  };
}

/** Another node may still see the old certificate: the cause is gone when it is gone for all. */
async function resolveIfGone(ctx: Ctx, tx: Tx, causalKey: string): Promise<Effects> {
  const [seen] = await tx
    .select({ node: certificates.node })
    .from(certificates)
    .innerJoin(nodes, eq(certificates.node, nodes.id))
    .where(
      and(eq(certificates.causalKey, causalKey), isNotNull(certificates.priority), isNull(nodes.retiredAt)),
    )
    .limit(1);
  return resolveAlerts(ctx, tx, seen ? [] : [causalKey], { statesOnly: true });
}
