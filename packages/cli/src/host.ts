/**
 * The host as far as files under /proc and /sys tell, for `picket doctor` where no agent answers. Nothing is
 * loaded or tried here: whether a program really loads only the agent can say.
 */
import { accessSync, constants, existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { release } from "node:os";
import type { ConnectionState } from "@picket/shared/contract";
import type { Doctor, DoctorCheck } from "@picket/shared/control-socket";
import type { Dialect } from "@picket/shared/vocabulary";

const usualPorts: Record<number, Dialect> = {
  3306: "mysql",
  3307: "mysql",
  33060: "mysql",
  5432: "pg",
  5433: "pg",
  6432: "pg",
};

export function inspectHost(): Doctor {
  return {
    kernel: release(),
    checks: [...kernelChecks(), ...mountChecks(), privilegeCheck()],
    connections: connections(),
  };
}

function kernelChecks(): DoctorCheck[] {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const old = major < 6 || (major === 6 && minor < 1);
  const btf = existsSync("/sys/kernel/btf/vmlinux");
  return [
    {
      name: "kernel",
      state: old ? "missing" : "ok",
      detail: old ? "Picket needs Linux 6.1 or newer" : "new enough to hold the programs",
    },
    {
      name: "btf",
      state: btf ? "ok" : "missing",
      detail: btf
        ? "the kernel describes its types"
        : "/sys/kernel/btf/vmlinux is absent: a kernel with CONFIG_DEBUG_INFO_BTF=y is needed",
    },
    {
      name: "killing connections",
      state: major > 6 || (major === 6 && minor >= 5) ? "ok" : "degraded",
      detail:
        major > 6 || (major === 6 && minor >= 5)
          ? "bpf_sock_destroy is there"
          : "before 6.5 connections are killed through SOCK_DIAG",
    },
  ];
}

function mountChecks(): DoctorCheck[] {
  const mounts = readLines("/proc/self/mountinfo").map(line => {
    const [before = "", after = ""] = line.split(" - ");
    return { point: before.split(" ")[4] ?? "", type: after.split(" ")[0] ?? "" };
  });
  const cgroup2 = mounts.find(({ type }) => type === "cgroup2");
  const bpf = mounts.find(({ type }) => type === "bpf");
  return [
    {
      name: "cgroup2",
      state: cgroup2 ? "ok" : "missing",
      detail: cgroup2
        ? `mounted at ${cgroup2.point}`
        : "not mounted: mount -t cgroup2 none /sys/fs/cgroup/unified",
    },
    {
      name: "bpffs",
      state: bpf ? "ok" : "degraded",
      detail: bpf ? `mounted at ${bpf.point}` : "not mounted: the agent mounts it at /sys/fs/bpf",
    },
  ];
}

/** CAP_BPF (39) and CAP_NET_ADMIN (12) in the effective set, see capabilities(7). */
function privilegeCheck(): DoctorCheck {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(read("/proc/self/status"))?.[1] ?? "0"}`);
  const able = [12n, 39n].every(bit => (effective >> bit) & 1n);
  return {
    name: "privileges",
    state: able ? "ok" : "degraded",
    detail: able ? "this user may load programs" : "this user may not load programs; the agent runs as root",
  };
}

function connections(): ConnectionState[] {
  const owners = socketOwners();
  const why = "no agent runs here; taken for a database connection by its port";
  const tcp = [...tcpSockets("/proc/net/tcp"), ...tcpSockets("/proc/net/tcp6")].flatMap(socket => {
    const dialect = usualPorts[socket.remotePort];
    if (dialect === undefined) return [];
    const { inode, ...endpoints } = socket;
    return [state({ endpoints, dialect, process: owners.get(inode), why })];
  });
  const unix = readLines("/proc/net/unix").flatMap(line => {
    const [, , , , , connected, inode = "", path = ""] = line.trim().split(/\s+/);
    const dialect = /\.s\.PGSQL\.\d+$/.test(path) ? "pg" : /mysqld?\.sock$/.test(path) ? "mysql" : null;
    if (dialect === null || connected !== "03") return [];
    return [
      state({
        path,
        dialect,
        process: owners.get(inode),
        why: "a UNIX socket: no kernel program of Picket sees its bytes (the server's end is shown)",
      }),
    ];
  });
  return [...tcp, ...unix].slice(0, 500);
}

type Owner = { pid: number; comm: string };

function state({
  endpoints,
  path,
  dialect,
  process,
  why,
}: Pick<ConnectionState, "endpoints" | "path" | "dialect" | "why"> & {
  process: Owner | undefined;
}): ConnectionState {
  return {
    ...(endpoints ? { endpoints } : {}),
    ...(path ? { path } : {}),
    dialect,
    process: process ?? { pid: 0, comm: "?" },
    mode: "off",
    guarantee: "unseen",
    why,
  };
}

type TcpSocket = NonNullable<ConnectionState["endpoints"]> & { inode: string };

/** ESTABLISHED sockets of a /proc/net/tcp file; addresses are 32-bit words in host order (little-endian here). */
function tcpSockets(file: string): TcpSocket[] {
  return readLines(file).flatMap(line => {
    const [, local = "", remote = "", status, , , , , , inode = ""] = line.trim().split(/\s+/);
    if (status !== "01") return [];
    const [localAddress, localPort] = endpoint(local);
    const [remoteAddress, remotePort] = endpoint(remote);
    return [{ localAddress, localPort, remoteAddress, remotePort, inode }];
  });
}

export function endpoint(text: string): [address: string, port: number] {
  const [address = "", port = "0"] = text.split(":");
  const bytes = (address.match(/.{8}/g) ?? []).flatMap(word => [...Buffer.from(word, "hex").reverse()]);
  const mapped = bytes.length === 16 && bytes.slice(0, 10).every(byte => byte === 0) && bytes[10] === 0xff;
  const v4 = bytes.length === 4 ? bytes : mapped ? bytes.slice(12) : null;
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((bytes[2 * i] ?? 0) * 256 + (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return [v4 ? v4.join(".") : groups.join(":").replace(/(^|:)0(:0)+(:|$)/, "::"), Number.parseInt(port, 16)];
}

/** inode → process, as far as this user may look. */
function socketOwners(): Map<string, Owner> {
  const owners = new Map<string, Owner>();
  for (const pid of readdirSync("/proc").filter(name => /^\d+$/.test(name))) {
    try {
      accessSync(`/proc/${pid}/fd`, constants.R_OK);
      const comm = read(`/proc/${pid}/comm`).trim();
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
        const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
        if (inode) owners.set(inode, { pid: Number(pid), comm });
      }
    } catch {
      // Gone, or another user's: its sockets are shown without a name.
    }
  }
  return owners;
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

const readLines = (file: string): string[] => read(file).split("\n").filter(Boolean);
