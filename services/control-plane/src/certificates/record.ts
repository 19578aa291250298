/** Keeps the last word of each node on each endpoint's certificate. */
import { sql } from "drizzle-orm";
import type { Tx } from "../db/client.ts";

/** `sequences` are certificate detections; of several on one endpoint the latest by its own time counts. */
export async function recordCertificates(tx: Tx, sequences: readonly number[]): Promise<void> {
  await tx.execute(sql`
    insert into certificates (node, host, port, dialect, handshake, error, certificate, priority, causal_key, at)
    select distinct on (node, payload ->> 'host', payload ->> 'port')
      node, payload ->> 'host', (payload ->> 'port')::int, payload ->> 'dialect', payload ->> 'handshake',
      payload ->> 'error', payload -> 'certificate', priority, causal_key, at
    from detections
    where sequence in (${sql.join([...sequences], sql`, `)})
    order by node, payload ->> 'host', payload ->> 'port', at desc, sequence desc
    on conflict (node, host, port) do update set
      dialect = excluded.dialect, handshake = excluded.handshake, error = excluded.error,
      certificate = coalesce(excluded.certificate, certificates.certificate), priority = excluded.priority,
      causal_key = excluded.causal_key, at = excluded.at
    where certificates.at <= excluded.at`);
}
