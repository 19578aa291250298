/**
 * The connections of watched workloads as the kernel told of them, each with its guarantee. Bounded: what does not
 * fit is counted, not silently missing. Pure state: events go in, states come out.
 */
import type { ConnectionState } from "@picket/shared/contract";
import type { Endpoints } from "@picket/shared/detection";
import type { Dialect, Guarantee, WorkloadMode } from "@picket/shared/vocabulary";
import type {
  ConnectionEvent,
  KernelProcess,
  LoginEvent,
  StatementFragment,
} from "../capture/kernel-event.ts";
import { endpointKey } from "./discovery.ts";
import { guaranteeOf, type Notice } from "./guarantee.ts";

export type Connection = {
  cookie: bigint;
  process: KernelProcess;
  endpoints: Endpoints;
  dialect: Dialect | null;
  notice: Notice;
  enrolled: boolean;
  adopted: boolean;
  mode: WorkloadMode;
  workload: number;
  statements: number;
  /** From its login; null: not seen. */
  user: string | null;
  /** Null: not seen, or none named; PostgreSQL then takes the user's name (manual 34.1.2, dbname). */
  database: string | null;
};

const CONNECTIONS_MAX = 16_384;

export class ConnectionTable {
  readonly #connections = new Map<bigint, Connection>();
  readonly #max: number;
  /** Connections that did not fit. */
  overflowed = 0;

  constructor(max = CONNECTIONS_MAX) {
    this.#max = max;
  }

  /** The connection as it is after the event; undefined when it is gone, is no database's, or does not fit. */
  feed(event: ConnectionEvent): Connection | undefined {
    const known = this.#connections.get(event.cookie);
    if (event.reason === "closed" || event.reason === "killed" || event.notice === "not-a-database") {
      this.#connections.delete(event.cookie);
      return undefined;
    }
    if (!known && this.#connections.size >= this.#max) {
      this.overflowed += 1;
      return undefined;
    }
    const connection: Connection = {
      cookie: event.cookie,
      process: event.process,
      endpoints: event.endpoints,
      dialect: event.dialect ?? known?.dialect ?? null,
      notice: event.notice,
      enrolled: event.enrolled,
      adopted: event.adopted,
      mode: event.mode,
      workload: event.workload,
      statements: Math.max(event.statements, known?.statements ?? 0),
      user: known?.user ?? null,
      database: known?.database ?? null,
    };
    this.#connections.set(event.cookie, connection);
    return connection;
  }

  /** A statement says more than a state: its protocol is certain, and its connection may have been missed. */
  saw(fragment: StatementFragment): void {
    const known = this.#connections.get(fragment.cookie);
    if (known) {
      known.dialect = fragment.dialect;
      known.statements = Math.max(known.statements, Number(fragment.statement));
      return;
    }
    if (this.#connections.size >= this.#max) {
      this.overflowed += 1;
      return;
    }
    const { cookie, process, endpoints, dialect, adopted, workload, statement } = fragment;
    this.#connections.set(cookie, {
      cookie,
      process,
      endpoints,
      dialect,
      notice: "none",
      enrolled: true,
      adopted,
      mode: "observe",
      workload,
      statements: Number(statement),
      user: null,
      database: null,
    });
  }

  /** A login comes after its connection was told of; one that did not fit stays unnamed. */
  loggedIn({ cookie, user, database }: LoginEvent): void {
    const known = this.#connections.get(cookie);
    if (!known) return;
    known.user = user;
    known.database = database;
  }

  get(cookie: bigint): Connection | undefined {
    return this.#connections.get(cookie);
  }

  /** All that are a database's, or may yet turn out to be one. */
  get size(): number {
    return this.#connections.size;
  }

  /** `modeOf` is the workload's mode now: it may have changed since the connection was told of. */
  states(context: {
    modeOf: (workload: number) => WorkloadMode | undefined;
    nameOf: (workload: number) => string | undefined;
    cgroupOf: (process: KernelProcess) => string | undefined;
    judged: boolean;
    max: number;
  }): {
    states: ConnectionState[];
    total: number;
    guarantees: Partial<Record<Guarantee, number>>;
    keys: Set<string>;
  } {
    const states: ConnectionState[] = [];
    const guarantees: Partial<Record<Guarantee, number>> = {};
    const keys = new Set<string>();
    let total = 0;
    for (const connection of this.#connections.values()) {
      keys.add(endpointKey(connection.endpoints));
      if (!isListed(connection)) continue;
      const mode = context.modeOf(connection.workload) ?? connection.mode;
      const { guarantee, why } = guaranteeOf({ ...connection, mode, judged: context.judged });
      total += 1;
      guarantees[guarantee] = (guarantees[guarantee] ?? 0) + 1;
      if (states.length >= context.max) continue;
      const cgroup = context.cgroupOf(connection.process);
      const workload = context.nameOf(connection.workload);
      states.push({
        endpoints: connection.endpoints,
        dialect: connection.dialect,
        process: {
          pid: connection.process.pid,
          comm: connection.process.comm,
          ...(cgroup ? { cgroup } : {}),
          ...(workload ? { workload } : {}),
        },
        mode,
        guarantee,
        why,
      });
    }
    return { states, total, guarantees, keys };
  }
}

/** What is known to be a database's, and what by its port may be and cannot be known: it is not hidden. */
function isListed({ dialect, notice, adopted, enrolled, endpoints }: Connection): boolean {
  if (dialect !== null || notice !== "none") return true;
  return (adopted || !enrolled) && (endpoints.remotePort === 3306 || endpoints.remotePort === 5432);
}
