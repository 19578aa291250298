import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testCgroup } from "../../test/host.ts";
import { findCgroup2Mount } from "./cgroup.ts";
import { addressBytes, addressText, cgroup2Mount, cgroupId, destroySocket, listTcpSockets } from "./index.ts";

describe("addresses", () => {
  for (const [text, canonical] of [
    ["127.0.0.1", "127.0.0.1"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
    ["::1", "::1"],
    ["::", "::"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8::", "2001:db8::"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["fe80::0:1", "fe80::1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ] as const)
    test(`${text} is ${canonical}`, () => expect(addressText(addressBytes(text)!)).toBe(canonical));
  test("what is no address is none", () => {
    for (const text of ["", "localhost", "1.2.3", "fe80::1%eth0"]) expect(addressBytes(text)).toBeUndefined();
  });
});

describe("TCP sockets", () => {
  let server: Server;
  let port: number;
  let cgroup: ReturnType<typeof testCgroup>;
  const accepted: Socket[] = [];
  const clients: Socket[] = [];

  beforeAll(async () => {
    cgroup = testCgroup("sockets");
    server = createServer(socket => {
      socket.on("error", () => {});
      accepted.push(socket);
    });
    server.listen(0, "::");
    await once(server, "listening");
    port = (server.address() as { port: number }).port;
  });
  afterAll(() => {
    for (const socket of [...accepted, ...clients]) socket.destroy();
    server.close();
    cgroup.remove();
  });

  async function client(host: string): Promise<Socket> {
    const socket = connect(port, host);
    await once(socket, "connect");
    clients.push(socket);
    return socket;
  }
  const find = (socket: Socket) =>
    listTcpSockets().find(each => each.localPort === socket.localPort && each.remotePort === port);

  test("a connection is listed with its addresses, state, inode and cookie", async () => {
    const socket = await client("127.0.0.1");
    const found = find(socket);
    expect(found).toMatchObject({
      family: 4,
      state: "ESTABLISHED",
      localAddress: "127.0.0.1",
      remoteAddress: "127.0.0.1",
      uid: 0,
    });
    expect(found!.cookie).toBeGreaterThan(0n);
    expect(found!.inode).toBeGreaterThan(0);
    const listening = listTcpSockets({ states: ["LISTEN"] });
    expect(listening.every(each => each.state === "LISTEN")).toBe(true);
    expect(listening.find(each => each.localPort === port)).toMatchObject({ family: 6, localAddress: "::" });
  });

  test("a socket of a process in a cgroup carries that cgroup's id", async () => {
    const script = `process.stdin.once("data", () => {
      const s = require("node:net").connect(${port}, "127.0.0.1", () => console.log(s.localPort));
    });
    console.log("ready");`;
    const child = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "pipe", "inherit"] });
    await once(child.stdout, "data");
    cgroup.add(child.pid!);
    child.stdin.write("go\n");
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const found = listTcpSockets().find(each => each.localPort === Number(line) && each.remotePort === port);
    expect(found?.cgroupId).toBe(cgroupId(cgroup.path));
    child.kill("SIGKILL");
    await once(child, "exit");
  });

  for (const host of ["127.0.0.1", "::1"])
    test(`a connection to ${host} is destroyed by its cookie, once`, async () => {
      const socket = await client(host);
      const { cookie } = find(socket)!;
      const error = once(socket, "error");
      expect(destroySocket({ cookie })).toBe(true);
      expect((await error)[0]).toMatchObject({ code: "ECONNABORTED" });
      expect(destroySocket({ cookie })).toBe(false);
    });

  test("a connection is destroyed by its addresses only if the cookie fits", async () => {
    const socket = await client("127.0.0.1");
    const identity = {
      localAddress: "127.0.0.1",
      localPort: socket.localPort!,
      remoteAddress: addressBytes("127.0.0.1")!,
      remotePort: port,
    };
    const { cookie } = find(socket)!;
    expect(destroySocket({ ...identity, cookie: cookie + 1n })).toBe(false);
    expect(find(socket)?.state).toBe("ESTABLISHED");
    const error = once(socket, "error");
    expect(destroySocket({ ...identity, cookie })).toBe(true);
    await error;
    expect(destroySocket(identity)).toBe(false);
  });

  test("another network namespace has other sockets", async () => {
    const child = spawn("unshare", ["-n", "sleep", "60"], { stdio: "ignore" });
    await once(child, "spawn");
    const netns = `/proc/${child.pid}/ns/net`;
    // unshare enters the namespace a moment after it was started.
    const { readlinkSync } = await import("node:fs");
    while (readlinkSync(netns) === readlinkSync("/proc/self/ns/net")) await new Promise(setImmediate);
    expect(listTcpSockets({ netns })).toEqual([]);
    expect(listTcpSockets().length).toBeGreaterThan(0);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(() => listTcpSockets({ netns: "/nowhere" })).toThrow(/\/nowhere.*ENOENT/);
  });

  test("a socket must be named fully", () => {
    expect(() => destroySocket({ localPort: 1 })).toThrow(/by its cookie, or by both addresses/);
    expect(() =>
      destroySocket({ localAddress: "x", localPort: 1, remoteAddress: "::1", remotePort: 2 }),
    ).toThrow(/"x" is not an IP address/);
  });
});

describe("cgroup2", () => {
  const line = (root: string, mount: string, type: string) =>
    `36 35 0:30 ${root} ${mount} rw - ${type} none rw`;
  const cases: [string, string[], string | undefined][] = [
    [
      "beside v1",
      [line("/", "/sys/fs/cgroup/cpu", "cgroup"), line("/", "/sys/fs/cgroup/unified", "cgroup2")],
      "/sys/fs/cgroup/unified",
    ],
    ["alone", [line("/", "/sys/fs/cgroup", "cgroup2")], "/sys/fs/cgroup"],
    ["the whole tree before a part", [line("/part", "/a", "cgroup2"), line("/", "/b", "cgroup2")], "/b"],
    ["a path with a blank", [line("/", "/with\\040blank", "cgroup2")], "/with blank"],
    ["absent", [line("/", "/sys/fs/cgroup/cpu", "cgroup")], undefined],
    ["an empty file", [""], undefined],
  ];
  for (const [what, lines, expected] of cases)
    test(`is found: ${what}`, () => expect(findCgroup2Mount(lines.join("\n"))).toBe(expected));

  test("of this host has an id per directory", () => {
    expect(cgroupId(cgroup2Mount())).toBe(1n);
    expect(() => cgroupId("/nowhere")).toThrow(/no cgroup \/nowhere/);
    expect(() => cgroup2Mount("")).toThrow(/mount -t cgroup2/);
  });
});
