import type { CertificateRow } from "@picket/shared/api";
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { certificates, nodes } from "../db/schema.ts";
import { authorise } from "../identity/policy.ts";
import { inScope } from "../identity/scope.ts";

/** As every node saw it last, the one that ends first in front. */
export async function listCertificates({ ctx }: { ctx: Ctx }): Promise<CertificateRow[]> {
  authorise(ctx, "certificates.list");
  const rows = await ctx.db
    .select({ certificate: certificates, hostname: nodes.hostname })
    .from(certificates)
    .innerJoin(nodes, eq(certificates.node, nodes.id))
    .where(and(isNull(nodes.retiredAt), inScope(ctx, nodes.labels)))
    .orderBy(sql`${certificates.certificate} ->> 'notAfter' nulls first`, asc(certificates.host))
    .limit(2_000);
  return rows.map(({ certificate: row, hostname }) => ({
    node: row.node,
    hostname,
    at: row.at.toISOString(),
    host: row.host,
    port: row.port,
    dialect: row.dialect,
    handshake: row.handshake,
    error: row.error,
    certificate: row.certificate,
    priority: row.priority,
  }));
}
