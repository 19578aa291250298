/** A node's connections, those that are alike in one row, and what needs attention first. Pure. */
import type { ConnectionState } from "@picket/shared/contract";
import { guarantees } from "../../ui/words.ts";

export interface ConnectionGroup {
  /** What all of the group say, taken from its first. */
  like: ConnectionState;
  count: number;
  pids: number[];
}

function keyOf({ endpoints, path, dialect, process, mode, guarantee, why }: ConnectionState): string {
  const server = endpoints ? `${endpoints.remoteAddress}:${endpoints.remotePort}` : path;
  return JSON.stringify([guarantee, why, mode, dialect, server, process.workload, process.comm]);
}

/** Weakest guarantee first: what is unseen is why one opens this list. */
export function connectionGroups(connections: readonly ConnectionState[]): ConnectionGroup[] {
  const groups = new Map<string, ConnectionGroup>();
  for (const connection of connections) {
    const key = keyOf(connection);
    const group = groups.get(key);
    if (!group) groups.set(key, { like: connection, count: 1, pids: [connection.process.pid] });
    else {
      group.count++;
      if (!group.pids.includes(connection.process.pid)) group.pids.push(connection.process.pid);
    }
  }
  const weakness = ({ like }: ConnectionGroup) => guarantees.indexOf(like.guarantee);
  return [...groups.values()].sort((a, b) => weakness(b) - weakness(a) || b.count - a.count);
}
