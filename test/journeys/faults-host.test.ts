/**
 * What goes wrong on the host itself: clients that send nonsense, a second agent in the way, a host that lacks what
 * an agent needs, and an agent that ends.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { AGENT_MAIN, type Agent, eventually, forget, startAgent } from "../harness/agent.ts";
import { type Cgroup, cgroup2Mount, makeCgroup, startMariaDB } from "../harness/index.ts";
import { joinCgroup } from "../harness/join-cgroup.ts";
import { comQuery, mysqlPacket, pgMessage, pgQuery, RawMySql } from "./raw.ts";
import { DATABASE, SCHEMA, SHOP_RULES } from "./shop-rules.ts";

const UNION = "SELECT id, name FROM picket_users WHERE id = 7 UNION SELECT id, secret FROM picket_secrets";

let mariadb: Awaited<ReturnType<typeof startMariaDB>>;
/** Takes every byte and answers none: what the client sends is all that matters. */
let sink: Server;
let parent: Cgroup;
/** The agent's, below the parent. */
let cgroup: string;
let agent: Agent;
let other: RawMySql;

beforeAll(async () => {
  parent = makeCgroup(`picket-test-hostile-${process.pid}`);
  cgroup = join(parent.path, "guarded");
  for (const name of ["guarded", "guarded/below", "sibling"]) mkdirSync(join(parent.path, name));
  sink = createServer(socket => socket.on("error", () => {}).resume());
  sink.listen(0, "127.0.0.1");
  mariadb = await startMariaDB({ database: DATABASE });
  await mariadb.exec(SCHEMA.mysql);
  agent = await startAgent({ cgroup, rules: SHOP_RULES });
  await agent.guard(cgroup);
  other = await guarded(() => RawMySql.connect(mariadb.port, "raw", DATABASE));
}, 120_000);

afterAll(async () => {
  other?.close();
  await agent?.stop();
  if (agent) forget(agent);
  sink?.close();
  await mariadb?.stop();
  await parent?.remove();
});

async function guarded<T>(open: () => Promise<T>): Promise<T> {
  const leave = joinCgroup(cgroup);
  return open().finally(leave);
}

async function dial(): Promise<Socket> {
  const { port } = sink.address() as AddressInfo;
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

const write = (socket: Socket, bytes: Uint8Array) =>
  new Promise<void>(resolve => socket.write(bytes, () => resolve()));

/** StartupMessage of protocol 3.0. */
const startup = (() => {
  const parameters = Buffer.from("user\0raw\0database\0raw\0client_encoding\0UTF8\0\0");
  const header = Buffer.alloc(8);
  header.writeUInt32BE(parameters.length + 8, 0);
  header.writeUInt32BE(196_608, 4);
  return Buffer.concat([header, parameters]);
})();

function announcing(type: string, length: number): Buffer {
  const header = Buffer.alloc(5);
  header.write(type, 0, "latin1");
  header.writeUInt32BE(length, 1);
  return Buffer.concat([header, Buffer.from("SELECT 1\0")]);
}

/** Another guarded connection: nothing of it may change. */
async function expectOthersGoOn(): Promise<void> {
  await other.send(comQuery("SELECT id FROM picket_users"));
  expect(await other.answer()).toEqual({ ok: true, rows: 2 });
  await other.send(comQuery(UNION));
  expect(await other.answer()).toMatchObject({ ok: false, code: "1644" });
}

const stateOf = async ({ localPort }: Socket) =>
  (await agent.status()).report.connections.find(one => one.endpoints?.localPort === localPort);
const framesLost = async () => (await agent.status()).report.losses.frame_unknown ?? 0;

const framingLost: [what: string, bytes: Buffer][] = [
  ["a length below its own four bytes", announcing("Q", 3)],
  ["a length of zero", announcing("P", 0)],
  ["a length of 4 GB", announcing("Q", 0xffff_ffff)],
  ["a length of 2 GB", announcing("Q", 0x7fff_ffff)],
  ["a type that no client sends", pgMessage("\x01", Buffer.from("x"))],
  ["an empty query without its closing zero", announcing("Q", 4).subarray(0, 5)],
  ["64 KB of noise", Buffer.concat([Buffer.of(0), randomBytes(65_535)])],
];

test.each(framingLost)(
  "%s: the connection goes on unseen, the loss is counted, others go on",
  async (_, bytes) => {
    const lost = await framesLost();
    const socket = await guarded(dial);
    await write(socket, startup);
    await write(socket, bytes);
    await write(socket, pgQuery("SELECT 1")); // It still may send.
    const state = await eventually(async () => {
      const found = await stateOf(socket);
      return found?.guarantee === "unseen" ? found : undefined;
    }, "the connection is unseen");
    expect(state).toMatchObject({ dialect: "pg", why: expect.stringContaining("boundaries") });
    expect(await framesLost()).toBe(lost + 1);
    expect(socket.destroyed).toBe(false);
    await expectOthersGoOn();
    socket.destroy();
  },
);

const halfOpen: [what: string, open: () => Promise<Socket>][] = [
  [
    "a PostgreSQL client that stops within a header",
    async () => {
      const socket = await dial();
      await write(socket, startup);
      await write(socket, pgQuery("SELECT 1").subarray(0, 3));
      return socket;
    },
  ],
  [
    "a PostgreSQL client that stops within a statement",
    async () => {
      const socket = await dial();
      await write(socket, startup);
      await write(socket, pgQuery(`SELECT '${"x".repeat(10_000)}'`).subarray(0, 5_000));
      return socket;
    },
  ],
  [
    "a client that sends one byte",
    async () => {
      const socket = await dial();
      await write(socket, Buffer.of(0));
      return socket;
    },
  ],
  [
    "a MySQL client that stops within a header",
    async () => {
      const { socket } = await RawMySql.connect(mariadb.port, "raw", DATABASE);
      await write(socket, Buffer.of(0x20, 0));
      return socket;
    },
  ],
  [
    "a MySQL client that announces 16 MB and sends ten bytes",
    async () => {
      const { socket } = await RawMySql.connect(mariadb.port, "raw", DATABASE);
      await write(socket, Buffer.concat([Buffer.of(0xff, 0xff, 0xff, 0, 3), Buffer.from("SELECT ")]));
      return socket;
    },
  ],
  [
    "a MySQL client whose sequence numbers are wrong",
    async () => {
      const { socket } = await RawMySql.connect(mariadb.port, "raw", DATABASE);
      await write(socket, mysqlPacket(77, randomBytes(1_000)));
      await write(socket, mysqlPacket(0, Buffer.alloc(0)));
      return socket;
    },
  ],
  [
    "noise from the first byte",
    async () => {
      const socket = await dial();
      await write(socket, randomBytes(65_536));
      return socket;
    },
  ],
];

test.each(halfOpen)("%s holds up nothing, neither open nor reset", async (_, open) => {
  const socket = await guarded(open);
  socket.on("error", () => {});
  await expectOthersGoOn();
  socket.resetAndDestroy();
  await expectOthersGoOn();
  expect(agent.process.exitCode).toBeNull();
});

test("lost framing is told once, and no event was lost over all this", async () => {
  const told = (await agent.detections()).filter(d => d.kind === "connection" && d.what === "framing-lost");
  expect(told).toHaveLength(1);
  const { events } = (await agent.status()).report;
  expect(events.lost).toBe(0);
});

test.each([
  ["the same cgroup", () => cgroup],
  ["one above it", () => parent.path],
  ["one below it", () => join(cgroup, "below")],
  ["the root", () => cgroup2Mount()],
])("a second agent on %s is refused in plain words", async (_, where) => {
  await expect(startAgent({ cgroup: where(), rules: SHOP_RULES })).rejects.toThrow(
    /ended with code 78[\s\S]*picket agent: agent "test-[^"]+" \(pid \d+\) watches the cgroup \S+, which overlaps \S+: one socket cannot be judged twice\. Stop it, or give this agent another PICKET_CGROUP/,
  );
  await expectOthersGoOn();
});

test("a second agent beside it, on a sibling, is welcome", async () => {
  const second = await startAgent({ cgroup: join(parent.path, "sibling"), rules: SHOP_RULES });
  await second.stop();
  expect(second.process.exitCode).toBe(0);
  forget(second);
});

test("an agent and its keeper that run inside what they watch are no part of it", async () => {
  const place = makeCgroup(`picket-test-inside-${process.pid}`);
  const leave = joinCgroup(place.path);
  const inside = await startAgent({ cgroup: place.path, rules: SHOP_RULES }).finally(leave);
  onTestFinished(async () => {
    await inside.stop();
    forget(inside);
    await place.remove();
  });
  await inside.guard(place.path); // All open sockets are walked.
  const { losses, connections } = (await inside.status()).report;
  expect(connections.filter(({ guarantee }) => guarantee !== "unseen")).toEqual([]);
  expect(losses).toEqual({});
});

test("an agent that is told to end leaves no program, map, link, pin or attachment behind", async () => {
  const place = makeCgroup(`picket-test-sigterm-${process.pid}`);
  const attached = () => execFileSync("bpftool", ["-j", "cgroup", "list", place.path], { encoding: "utf8" });
  const before = attached();
  const ending = await startAgent({ cgroup: place.path, rules: SHOP_RULES });
  onTestFinished(async () => {
    await ending.kill();
    forget(ending);
    await place.remove();
  });
  const pins = `/sys/fs/bpf/picket-${ending.instance}`;
  await ending.guard(place.path);
  const leave = joinCgroup(place.path);
  const client = await RawMySql.connect(mariadb.port, "raw", DATABASE);
  leave();
  await client.send(comQuery(UNION));
  expect(await client.answer()).toMatchObject({ ok: false });
  expect(existsSync(pins)).toBe(true);
  expect(attached()).not.toBe(before);
  const held = heldBy(ending.process.pid!);
  expect(held.size).toBeGreaterThan(20);

  client.close();
  await eventually(async () => {
    const { connections } = (await ending.status()).report;
    return !connections.some(({ guarantee }) => guarantee === "prevented") || undefined;
  }, "it is closed");
  await ending.stop();
  expect(ending.process.exitCode).toBe(0);
  expect(existsSync(pins)).toBe(false);
  expect(attached()).toBe(before);
  expect(existsSync(`/run/picket/agents/${ending.instance}.json`)).toBe(false);
  expect(existsSync(join(ending.state, "agent.sock"))).toBe(false);
  // The kernel frees programs after a grace period.
  await eventually(() => {
    const loaded = loadedOnHost();
    return [...held].every(id => !loaded.has(id)) || undefined;
  }, "every program, map and link is gone");
});

/** Ids of the BPF programs, maps and links that a process holds. */
function heldBy(pid: number): Set<string> {
  const directory = `/proc/${pid}/fdinfo`;
  return new Set(
    readdirSync(directory).flatMap(fd => {
      const info = readFileSync(join(directory, fd), "utf8");
      return [...info.matchAll(/^(prog|map|link)_id:\s*(\d+)$/gm)].map(([, kind, id]) => `${kind} ${id}`);
    }),
  );
}

function loadedOnHost(): Set<string> {
  return new Set(
    ["prog", "map", "link"].flatMap(kind => {
      const list = execFileSync("bpftool", ["-j", kind, "list"], { encoding: "utf8" });
      return (JSON.parse(list) as { id: number }[]).map(({ id }) => `${kind} ${id}`);
    }),
  );
}

const MAIN = [process.execPath, AGENT_MAIN];
const inNamespace = (script: string) => ["unshare", "-m", "sh", "-c", `${script} && exec "$0" "$@"`, ...MAIN];

test.each([
  [
    "root",
    ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", ...MAIN],
    "picket agent: the agent needs root: it loads programs into the kernel\n",
  ],
  [
    "BTF",
    inNamespace("mount -t tmpfs none /sys/kernel/btf"),
    "picket agent: kernel types (BTF): /sys/kernel/btf/vmlinux is not there: this kernel was built without CONFIG_DEBUG_INFO_BTF\n",
  ],
  [
    "cgroup2",
    inNamespace(`umount -l ${cgroup2Mount()}`),
    "picket agent: cgroup2: no cgroup2 is mounted; as root: mkdir -p",
  ],
])("an agent without %s says so in plain words and ends", (_, [command, ...args], words) => {
  const { status, stderr } = spawnSync(command!, args, {
    encoding: "utf8",
    env: { ...process.env, PICKET_INSTANCE: `test-${process.pid}-lacking`, PICKET_METRICS: "off" },
    timeout: 30_000,
  });
  expect(stderr).toContain(words);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(status).toBe(78);
});
