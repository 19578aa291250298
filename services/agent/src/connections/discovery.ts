/**
 * Finds the database connections of this host that the programs do not see, so that the listing shows them with the
 * reason. This is for people only: a port or a process name never decides what is judged.
 */
import { readFileSync } from "node:fs";
import type { ConnectionState } from "@picket/shared/contract";
import type { Dialect } from "@picket/shared/vocabulary";
import {
  comm,
  describeProcess,
  parentAndStart,
  pids,
  socketInodes,
  socketOwners,
} from "../host/processes.ts";
import { procAddress } from "./addresses.ts";

export type TcpSocket = {
  localAddress: string;
  localPort: number;
  remoteAddress: string;
  remotePort: number;
  state: "established" | "listening" | "other";
  inode: number;
};
export type UnixSocket = { path: string; state: "listening" | "connected" | "other"; inode: number };

/** proc_net_tcp: sl local rem st tx:rx tr:tm retrnsmt uid timeout inode … */
export function parseProcNetTcp(text: string): TcpSocket[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap(line => {
      const fields = line.trim().split(/\s+/);
      if (fields.length < 10) return [];
      const [localAddress, localPort] = fields[1]!.split(":") as [string, string];
      const [remoteAddress, remotePort] = fields[2]!.split(":") as [string, string];
      const state = fields[3] === "01" ? "established" : fields[3] === "0A" ? "listening" : "other";
      return [
        {
          localAddress: procAddress(localAddress),
          localPort: Number.parseInt(localPort, 16),
          remoteAddress: procAddress(remoteAddress),
          remotePort: Number.parseInt(remotePort, 16),
          state,
          inode: Number(fields[9]),
        },
      ];
    });
}

/** Num RefCount Protocol Flags Type St Inode Path; Flags 00010000 is SO_ACCEPTCON, St 03 connected. */
export function parseProcNetUnix(text: string): UnixSocket[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap(line => {
      const match = /^\S+ \S+ \S+ (\S+) \S+ (\S+)\s+(\d+) (\/.*)$/.exec(line);
      if (!match) return [];
      const [, flags, state, inode, path] = match as unknown as [string, string, string, string, string];
      const kind = flags === "00010000" ? "listening" : state === "03" ? "connected" : "other";
      return [{ path, state: kind, inode: Number(inode) }];
    });
}

export function dialectOfPath(path: string): Dialect | null {
  if (/(^|\/)\.s\.PGSQL\.\d+$/.test(path)) return "pg";
  if (/(mysqld?|mariadb)[^/]*\.sock$/i.test(path)) return "mysql";
  return null;
}

export function dialectOfProcess(name: string): Dialect | null {
  if (/^(mysqld|mariadbd)/.test(name)) return "mysql";
  if (/^(postgres|postmaster)$/.test(name)) return "pg";
  return null;
}

export type DatabaseServer = { pid: number; dialect: Dialect; ports: number[]; sockets: Set<number> };

/** Database servers that run here, each with the ports it listens on. PostgreSQL's children count as their parent. */
export function findServers(tcp: readonly TcpSocket[]): DatabaseServer[] {
  const listening = new Map(
    tcp.flatMap(({ state, inode, localPort }) => (state === "listening" ? [[inode, localPort]] : [])),
  );
  const named = new Map<number, Dialect>();
  for (const pid of pids()) {
    const dialect = dialectOfProcess(comm(pid) ?? "");
    if (dialect) named.set(pid, dialect);
  }
  return [...named].flatMap(([pid, dialect]) => {
    if (named.has(parentAndStart(pid)?.parent ?? 0)) return [];
    const sockets = new Set(socketInodes(pid));
    const ports = [...sockets].flatMap(inode => listening.get(inode) ?? []);
    return [{ pid, dialect, ports: [...new Set(ports)], sockets }];
  });
}

const WELL_KNOWN: Record<number, Dialect> = { 3306: "mysql", 5432: "pg" };

/**
 * Connections to databases that are not among `seen` (keys as `endpointKey` makes them). Reads all of /proc: for a
 * request or a slow timer.
 */
export function discoverUnseen(input: {
  seen: ReadonlySet<string>;
  attachedCgroup: string;
  max: number;
}): ConnectionState[] {
  const tcp = [...parseProcNetTcp(readOr("/proc/net/tcp")), ...parseProcNetTcp(readOr("/proc/net/tcp6"))];
  const servers = findServers(tcp);
  const ports = new Map(servers.flatMap(({ ports, dialect }) => ports.map(port => [port, dialect] as const)));
  const serverPids = new Set(servers.map(({ pid }) => pid));
  const isServers = (pid: number) => serverPids.has(pid) || serverPids.has(parentAndStart(pid)?.parent ?? 0);

  const clients = tcp.filter(
    socket =>
      socket.state === "established" &&
      (ports.has(socket.remotePort) || WELL_KNOWN[socket.remotePort] !== undefined) &&
      !input.seen.has(endpointKey(socket)),
  );
  const unix = parseProcNetUnix(readOr("/proc/net/unix")).filter(
    ({ state, path }) => state === "connected" && dialectOfPath(path) !== null,
  );
  if (clients.length === 0 && unix.length === 0) return [];
  const owners = socketOwners(new Set([...clients, ...unix].map(({ inode }) => inode)));

  const overTcp = clients.flatMap((socket): ConnectionState[] => {
    const pid = owners.get(socket.inode);
    if (pid === undefined || pid === process.pid || isServers(pid)) return [];
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    return [
      {
        endpoints: { localAddress, localPort, remoteAddress, remotePort },
        dialect: ports.get(remotePort) ?? WELL_KNOWN[remotePort] ?? null,
        process: describeProcess(pid),
        mode: "off",
        guarantee: "unseen",
        why:
          input.attachedCgroup === "/"
            ? "its process belongs to no watched workload, or it has not sent a statement since the agent started"
            : `its process is outside ${input.attachedCgroup}, where this agent watches, or has not sent a statement since the agent started`,
      },
    ];
  });
  const overUnix = unix.map((socket): ConnectionState => {
    const pid = owners.get(socket.inode);
    return {
      path: socket.path,
      dialect: dialectOfPath(socket.path),
      // The end that has the path is the server's; the kernel does not show the client's here.
      process: pid === undefined ? { pid: 0, comm: "?" } : describeProcess(pid),
      mode: "off",
      guarantee: "unseen",
      why: `a client of this server uses the UNIX socket ${socket.path.slice(0, 120)}, which passes the TCP hooks by; connect to 127.0.0.1 to be seen`,
    };
  });
  return [...overTcp, ...overUnix].slice(0, input.max);
}

export function endpointKey(endpoints: {
  localAddress: string;
  localPort: number;
  remoteAddress: string;
  remotePort: number;
}): string {
  return `${endpoints.localAddress}:${endpoints.localPort}>${endpoints.remoteAddress}:${endpoints.remotePort}`;
}

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
