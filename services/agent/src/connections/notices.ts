/**
 * Which connection events are worth a detection: what is unseen and why, framing that was lost, a database that
 * refuses connections. One per cause and hour, since a pool opens hundreds alike.
 */
import { randomUUID } from "node:crypto";
import type { ConnectionDetection, Process } from "@picket/shared/detection";
import type { EventId } from "@picket/shared/ids";
import type { Priority } from "@picket/shared/vocabulary";
import type { ConnectionEvent } from "../capture/kernel-event.ts";
import { guaranteeOf } from "./guarantee.ts";

const REPEAT_MS = 3_600_000;
const CAUSES_MAX = 1_024;

type Noticed = Pick<ConnectionDetection, "what" | "why"> & { priority: Priority };

export class Notices {
  readonly #told = new Map<string, number>();
  /** Where a database was recognised: a failing connect there is a database's. */
  readonly #databases = new Set<string>();

  feed(event: ConnectionEvent, context: { process: () => Process; nowMs: number }): ConnectionDetection[] {
    const where = `${event.endpoints.remoteAddress}:${event.endpoints.remotePort}`;
    if (event.dialect && this.#databases.size < CAUSES_MAX) this.#databases.add(where);
    const noticed = this.#notice(event, where);
    if (!noticed) return [];
    const causalKey = `connection:${noticed.what}:${event.notice}:${event.process.comm}:${where}`.slice(
      0,
      255,
    );
    const before = this.#told.get(causalKey);
    if (before !== undefined && context.nowMs - before < REPEAT_MS) return [];
    if (this.#told.size >= CAUSES_MAX) this.#told.clear();
    this.#told.set(causalKey, context.nowMs);
    return [
      {
        id: randomUUID() as EventId,
        at: new Date(context.nowMs).toISOString(),
        kind: "connection",
        causalKey,
        ...noticed,
        process: context.process(),
        endpoints: event.endpoints,
      },
    ];
  }

  #notice(event: ConnectionEvent, where: string): Noticed | null {
    const isDatabase = this.#databases.has(where) || [3306, 5432].includes(event.endpoints.remotePort);
    if (event.connectFailed)
      return isDatabase
        ? { what: "refused", why: `the database at ${where} could not be reached`, priority: "P2" }
        : null;
    if (event.reason === "refused" && !isDatabase) return null;
    if (event.reason !== "recognised" && event.reason !== "refused") return null;
    const { guarantee, why } = guaranteeOf({ ...event, judged: true });
    switch (event.notice) {
      case "framing-lost":
        return { what: "framing-lost", why, priority: "P2" };
      case "encrypted":
      case "compressed":
        return { what: "unseen", why, priority: "P3" };
      case "none":
        return guarantee === "unseen" && event.reason === "refused"
          ? { what: "unseen", why, priority: "P3" }
          : null;
      case "replication":
      case "cancel":
      case "not-a-database":
        return null; // Known and meant to be let alone.
    }
  }
}
