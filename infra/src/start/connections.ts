import type { ConnectionState } from "@picket/shared/contract";
import type { Doctor } from "@picket/shared/control-socket";
import type { Screen } from "../../bootstrap/screen.mjs";
import { callAgent } from "./control-socket.ts";

const SHOWN_MAX = 20;

/** Every database connection found on this host, with its guarantee or why it is unseen. */
export async function printConnections(options: {
  socket: string;
  home: string;
  screen: Screen;
}): Promise<void> {
  const { socket, home, screen } = options;
  const { connections } = await callAgent<Doctor>(socket, "GET", "/v1/doctor");
  // The control plane's own connections to the embedded server are nobody's application.
  const foreign = connections.filter(({ path }) => path?.startsWith(home) !== true);
  for (const line of describeConnections(foreign)) screen.note(line);
}

export function describeConnections(connections: ConnectionState[]): string[] {
  if (connections.length === 0)
    return ["No database connection on this host yet; the console shows them as they appear."];
  const groups = new Map<string, number>();
  for (const connection of connections) {
    const line = describe(connection);
    groups.set(line, (groups.get(line) ?? 0) + 1);
  }
  const lines = [...groups].map(([line, count]) => `  ${line}${count > 1 ? `  (× ${count})` : ""}`);
  const more =
    lines.length > SHOWN_MAX ? [`  … and ${lines.length - SHOWN_MAX} more: npx picket doctor`] : [];
  return [`${connections.length} database connections on this host:`, ...lines.slice(0, SHOWN_MAX), ...more];
}

function describe({ process, endpoints, path, dialect, guarantee, why }: ConnectionState): string {
  const server =
    endpoints === undefined ? (path ?? "?") : `${endpoints.remoteAddress}:${endpoints.remotePort}`;
  const protocol = dialect === null ? "" : dialect === "mysql" ? " MySQL" : " PostgreSQL";
  return `${process.comm} → ${server}${protocol}: ${guarantee}${why === "" ? "" : `, ${why}`}`;
}
