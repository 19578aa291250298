import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bpfFileSystem, testCgroup, tracingFileSystem } from "../../test/host.ts";
import { executablePath, objectBytes } from "../../test/objects.ts";
import { type BpfError, BpfLink, BpfObject, u32, u64 } from "./index.ts";

const COUNTER = { sockops: 0, messages: 1, exec: 2, tracepoint: 3, uprobe: 4, uretprobe: 5, cookie: 6 };

tracingFileSystem();
const object = BpfObject.open(objectBytes("handles"), { name: "handles" }).load();
const counters = object.map("counters").as({ key: u32, value: u64 });
const count = (name: keyof typeof COUNTER) => Number(counters.get(COUNTER[name]));
const probed = executablePath("probed");
const pins = `${bpfFileSystem()}/picket-test-link-${process.pid}`;
const cgroup = testCgroup("link");

let server: Server;
let port: number;
const accepted: Socket[] = [];

beforeAll(async () => {
  mkdirSync(pins, { recursive: true });
  server = createServer(socket => {
    accepted.push(socket);
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as { port: number }).port;
});

afterEach(() => {
  for (const index of counters.keys()) counters.set(index, 0n);
});

afterAll(() => {
  object.close();
  for (const socket of accepted) socket.destroy();
  server.close();
  cgroup.remove();
  rmdirSync(pins);
});

/** Connects from a process inside the test's cgroup, sends three messages, and waits for the echo. */
async function clientInCgroup(): Promise<void> {
  const script = `
    process.stdin.once("data", () => {
      const socket = require("node:net").connect(${port}, "127.0.0.1");
      let seen = 0, sent = 0;
      const next = () => socket.write("message " + ++sent);
      socket.on("connect", next);
      socket.on("data", () => ++seen < 3 ? next() : socket.end());
      socket.on("close", () => process.exit(0));
    });
    console.log("ready");`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  cgroup.add(child.pid!);
  child.stdin.write("go\n");
  expect(await once(child, "exit")).toEqual([0, null]);
}

describe("sockops on a cgroup with sk_msg on the map", () => {
  test("sees the connections and messages of that cgroup, and none after close", async () => {
    const enrol = object.program("enrol").attachCgroup(cgroup.path);
    const message = object.program("on_message").attachSkMsg(object.map("sockets"));
    await clientInCgroup();
    expect([count("sockops"), count("messages")]).toEqual([1, 3]);
    message.close();
    await clientInCgroup();
    expect([count("sockops"), count("messages")]).toEqual([2, 3]);
    enrol.close();
    await clientInCgroup();
    expect([count("sockops"), count("messages")]).toEqual([2, 3]);
  });

  test("two programs live side by side on one cgroup", async () => {
    const links = [1, 2].map(() => object.program("enrol").attachCgroup(cgroup.path));
    await clientInCgroup();
    expect(count("sockops")).toBe(2);
    for (const link of links) link.close();
  });

  test("a cgroup link takes another program in place; a socket map says why it does not", () => {
    const other = BpfObject.open(objectBytes("handles"), { name: "handles" }).load();
    const link = object.program("enrol").attachCgroup(cgroup.path);
    const before = link.info();
    link.update(other.program("enrol"));
    expect(link.info().id).toBe(before.id);
    expect(link.info().programId).toBe(other.program("enrol").info().id);
    link.close();
    const message = object.program("on_message").attachSkMsg(object.map("sockets"));
    expect(() => message.update(other.program("on_message"))).toThrow(/PROG_ARRAY slot/);
    expect(message.info()).toEqual({ type: "sockmap" });
    message.close();
    other.close();
  });

  test("a stream verdict attaches beside the message program", () => {
    const map = object.map("sockets");
    const links = [
      object.program("on_message").attachSkMsg(map),
      object.program("on_stream").attachSkSkb(map),
    ];
    for (const link of links) link.close();
    expect(() => object.program("enrol").attachSkMsg(map)).toThrow(/no sk_msg or sk_skb program/);
  });

  test("a released program stays on the map until another link takes its place", async () => {
    const other = BpfObject.open(objectBytes("handles"), { name: "handles" }).load();
    const enrol = other.program("enrol").attachCgroup(cgroup.path);
    const link = other.program("on_message").attachSkMsg(other.map("sockets"));
    link.release();
    expect(link.isOpen).toBe(false);
    await clientInCgroup();
    expect(other.map("counters").as({ key: u32, value: u64 }).get(COUNTER.messages)).toBe(3n);
    enrol.close();
    other.close();
  });
});

test("sockets enter a socket map by descriptor; a type without batches is walked by key", async () => {
  const sockets = await Promise.all(
    [1, 2, 3].map(async () => {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      return socket;
    }),
  );
  const fdOf = (socket: Socket) => (socket as unknown as { _handle: { fd: number } })._handle.fd;
  const map = object.map("sockets").as({ key: u64, value: u64 });
  for (const [index, socket] of sockets.entries()) map.setSocket(BigInt(index), fdOf(socket), "create");
  const cookies = new Map(map.entries());
  expect([...cookies.keys()].sort()).toEqual([0n, 1n, 2n]);
  expect(new Set(cookies.values()).size).toBe(3);
  expect(map.deleteMany([0n, 7n, 1n, 2n])).toBe(3);
  expect([...map.keys()]).toEqual([]);

  const storage = object.map("storage").as({ key: u32, value: u64 });
  const fd = fdOf(sockets[0]!);
  expect(storage.getBySocket(fd)).toBeUndefined();
  storage.setBySocket(fd, 42n);
  expect(storage.getBySocket(fd)).toBe(42n);
  expect([storage.deleteBySocket(fd), storage.deleteBySocket(fd)]).toEqual([true, false]);
  for (const socket of sockets) socket.destroy();
});

describe("a pinned link", () => {
  test("stays attached when closed, and goes when its pin and handles are gone", async () => {
    const link = object.program("enrol").attachCgroup(cgroup.path);
    link.pin(`${pins}/enrol`);
    expect(link.info().pinPath).toBe(`${pins}/enrol`);
    link.close();
    await clientInCgroup();
    expect(count("sockops")).toBe(1);
    const again = BpfLink.openPinned(`${pins}/enrol`);
    again.unpin();
    again.close();
    await clientInCgroup();
    expect(count("sockops")).toBe(1);
  });
  test("is detached by force while the pin still stands", async () => {
    const link = object.program("enrol").attachCgroup(cgroup.path);
    link.pin(`${pins}/forced`);
    link.detach();
    await clientInCgroup();
    expect(count("sockops")).toBe(0);
    rmSync(`${pins}/forced`);
  });
});

describe("tracing", () => {
  test("tp_btf and tracepoint count what happens between attach and close", () => {
    const links = [object.program("on_exec").attach(), object.program("on_exec_tracepoint").attach()];
    execFileSync("/bin/true");
    for (const link of links) link.close();
    const seen = [count("exec"), count("tracepoint")];
    expect(seen[0]).toBeGreaterThanOrEqual(1);
    expect(seen[1]).toBeGreaterThanOrEqual(1);
    execFileSync("/bin/true");
    expect([count("exec"), count("tracepoint")]).toEqual(seen);
  });

  test("a task iterator lists this process; with a pid only its threads", () => {
    const all = object.program("list_tasks").attachIter();
    const line = `${process.pid} ${process.pid}\n`;
    expect(all.readIter("utf8")).toContain(line);
    expect(all.readIter().toString()).toContain(line);
    const one = object.program("list_tasks").attachIter({ pid: process.pid });
    const tgids = new Set(
      one
        .readIter("utf8")
        .trim()
        .split("\n")
        .map(task => task.split(" ")[0]),
    );
    expect(tgids).toEqual(new Set([String(process.pid)]));
    all.close();
    one.close();
  });

  test("a map iterator walks the elements of the map it was given", () => {
    const map = object.map("pairs");
    map.set(Buffer.from([5, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([1, 0, 0, 0, 2, 0, 0, 0]));
    const link = object.program("list_pairs").attachIter({ map });
    expect(link.readIter("utf8")).toBe("5=1,2\n");
    link.close();
  });

  test("uprobes by symbol fire at entry and return, with their cookie", () => {
    const links = [
      object.program("on_entry").attachUprobe({ path: probed, symbol: "picket_probe_me", cookie: 1000n }),
      object.program("on_return").attachUprobe({ path: probed, symbol: "picket_probe_me", retprobe: true }),
    ];
    execFileSync(probed, ["5"]);
    for (const link of links) link.close();
    expect([count("uprobe"), count("uretprobe"), count("cookie")]).toEqual([5, 5, 5000]);
    execFileSync(probed, ["5"]);
    expect(count("uprobe")).toBe(5);
  });

  test("a uprobe by file offset fires, and one for another process does not", () => {
    const symbols = execFileSync("nm", [probed], { encoding: "utf8" });
    const address = Number.parseInt(/^([0-9a-f]+) T picket_probe_me$/m.exec(symbols)![1]!, 16);
    const here = object.program("on_entry").attachUprobe({ path: probed, offset: address });
    const elsewhere = object.program("on_return").attachUprobe({
      path: probed,
      offset: address,
      pid: process.pid,
    });
    execFileSync(probed, ["2"]);
    expect([count("uprobe"), count("uretprobe")]).toEqual([2, 0]);
    here.close();
    elsewhere.close();
  });
});

describe("an attachment that cannot be made says where it failed", () => {
  const cases: [string, () => unknown, string, RegExp][] = [
    [
      "a cgroup that is not there",
      () => object.program("enrol").attachCgroup("/nowhere"),
      "ENOENT",
      /\/nowhere/,
    ],
    ["a file in place of a cgroup", () => object.program("enrol").attachCgroup("/tmp"), "EBADF", /\/tmp/],
    [
      "a symbol that is not there",
      () => object.program("on_entry").attachUprobe({ path: probed, symbol: "no_such" }),
      "ENOENT",
      /no_such/,
    ],
    [
      "a library that is not there",
      () => object.program("on_entry").attachUprobe({ path: "/no/lib.so", symbol: "x" }),
      "ENOENT",
      /\/no\/lib\.so/,
    ],
    [
      "a map that holds no sockets",
      () => object.program("on_message").attachSkMsg(object.map("pairs")),
      "EOPNOTSUPP",
      /socket map/,
    ],
  ];
  for (const [what, act, errno, text] of cases)
    test(what, () => {
      let error: BpfError | undefined;
      try {
        act();
      } catch (caught) {
        error = caught as BpfError;
      }
      expect(error).toMatchObject({ code: "BPF_ATTACH_FAILED", step: "attach", errno });
      expect(error?.message).toMatch(text);
    });
});
