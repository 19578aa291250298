import { chownSync, existsSync, lstatSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { assertReachable, serverAccount } from "../account.ts";
import { claim, endOrphan } from "../claim.ts";
import { type Exit, InfraError, launch, untilReady } from "../process.ts";
import { place } from "./place.ts";
import { socketDirectory } from "./socket-dir.ts";

export type EmbeddedRedis = {
  /** The socket's path, which ioredis takes in the place of an URL. */
  url: string;
  pid: number;
  exited: Promise<Exit>;
  logFile: string;
  stop(): Promise<void>;
};

// Debian's redis-tools holds the whole server under another name (it looks at argv[0]) and, unlike
// the redis-server package, starts no service of its own.
const CANDIDATES = ["/usr/bin/redis-check-rdb", "/usr/bin/redis-server"];

export type RedisOptions = {
  /** Absent: a temporary directory that stop() removes, and not durable. */
  dir?: string;
  /** false: nothing is written to disk. */
  durable?: boolean;
};

export async function startRedis(options: RedisOptions = {}): Promise<EmbeddedRedis> {
  const { dir, durable, discard } = place(options);
  const data = join(dir, "data");
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  const account = serverAccount({ data });
  assertReachable(dir, account);
  const held = claim(dir);
  try {
    if (held.orphan !== undefined) await endOrphan(held.orphan, "SIGTERM");
    mkdirSync(data, { recursive: true, mode: 0o700 });
    if (account.uid !== userInfo().uid) chownSync(data, account.uid, account.gid);
    const socket = join(socketDirectory({ dir, account }), "redis.sock");
    rmSync(socket, { force: true });
    const logFile = join(dir, "redis.log");
    const server = launch({
      name: "Redis",
      command: linkServer(dir),
      args: settings({ data, socket, durable }),
      env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
      cwd: data,
      account,
      logFile,
    });
    if (server.pid !== -1) held.serverIs(server.pid);
    await untilReady({ child: server, logFile, ready: () => answersPing(socket) });
    return {
      url: socket,
      pid: server.pid,
      exited: server.exited,
      logFile,
      async stop() {
        await server.stop();
        held.release();
        discard();
      },
    };
  } catch (error) {
    held.release();
    discard();
    throw error;
  }
}

function settings({ data, socket, durable }: { data: string; socket: string; durable: boolean }): string[] {
  const values: Record<string, string> = {
    port: "0",
    unixsocket: socket,
    unixsocketperm: "700",
    dir: data,
    daemonize: "no",
    save: "",
    appendonly: durable ? "yes" : "no",
    "maxmemory-policy": "noeviction", // BullMQ's jobs must not be evicted.
  };
  return Object.entries(values).flatMap(([key, value]) => [`--${key}`, value]);
}

function linkServer(dir: string): string {
  const program = CANDIDATES.find(path => existsSync(path));
  if (program === undefined) {
    throw new InfraError("no-redis", "Redis is not installed: apt-get install redis-tools");
  }
  const link = join(dir, "redis-server");
  if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) rmSync(link);
  symlinkSync(program, link);
  return link;
}

/** While it loads its file, Redis accepts connections and answers -LOADING. */
function answersPing(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ path });
    const finish = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => finish(false));
    socket.once("error", () => finish(false));
    socket.once("connect", () => socket.write("PING\r\n"));
    socket.once("data", reply => finish(reply.toString("latin1").startsWith("+PONG")));
  });
}
