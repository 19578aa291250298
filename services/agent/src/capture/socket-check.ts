/**
 * Whether membership in a socket map changes how an application reads (WIRE §1), tried on a loopback connection of
 * the agent's own: some kernels answer FIONREAD with 0 while bytes wait, a no-op stream_verdict program repairs that,
 * and freeing a map that has one loses what was not read yet.
 */
import { BpfError, type BpfMap, BpfObject, u64, waitingBytes } from "@picket/native/bpf";
import { HostRefused } from "../host/requirements.ts";
import { openPair } from "./loopback.ts";

export type SocketCheck = {
  /** FIONREAD of a member socket: right by itself, right with the stream_verdict program, or wrong either way. */
  fionread: "right" | "repaired" | "wrong";
  /** A reader that sleeps in epoll is woken. */
  wakes: boolean;
  /** Bytes that wait survive the socket's leaving the map. */
  unreadSurvives: boolean;
  /** Whether a socket whose program never asks FIONREAD needs no repair: all else is right without it. */
  plain: boolean;
};

const BYTES = 1_000;
const WAIT_MS = 300;

export async function checkSockets(dispatcher: Buffer): Promise<SocketCheck> {
  const plain = await tryMembership(dispatcher, false);
  if (plain.fionread)
    return { fionread: "right", wakes: plain.wakes, unreadSurvives: plain.unreadSurvives, plain: false };
  const repaired = await tryMembership(dispatcher, true);
  return {
    fionread: repaired.fionread ? "repaired" : "wrong",
    wakes: repaired.wakes,
    unreadSurvives: repaired.unreadSurvives,
    plain: repaired.fionread && plain.wakes && plain.unreadSurvives,
  };
}

async function tryMembership(
  dispatcher: Buffer,
  streamVerdict: boolean,
): Promise<{ fionread: boolean; wakes: boolean; unreadSurvives: boolean }> {
  // A dispatcher and maps of its own: nothing else on this host is touched.
  const only = new Set(["dispatcher", ...(streamVerdict ? ["keep_fionread"] : [])]);
  const probe = BpfObject.open(dispatcher, { name: "socket-check" });
  const names = probe.programs.map(({ name }) => name);
  probe.close();
  const object = BpfObject.open(dispatcher, {
    name: "socket-check",
    autoload: Object.fromEntries(names.map(name => [name, only.has(name)])),
    maxEntries: {
      sockets: 16,
      sockets_plain: 1,
      events: 4_096,
      owners: 1,
      listening: 1,
      workloads: 1,
      workload_pids: 1,
    },
  });
  const pairs: Awaited<ReturnType<typeof openPair>>[] = [];
  try {
    await object.loadAsync();
    const sockets = object.map("sockets").as({ key: u64, value: u64 });
    const links = [object.program("dispatcher").attachSkMsg(sockets)];
    if (streamVerdict) links.push(object.program("keep_fionread").attachSkSkb(sockets));

    const first = await openPair();
    const second = await openPair();
    pairs.push(first, second);
    for (const { cookie, clientFd } of pairs) join(sockets, cookie, clientFd);

    first.server.write(Buffer.alloc(BYTES));
    const fionread = await eventually(() => waitingBytes(first.clientFd) === BYTES);
    // Still unread while the socket leaves the map.
    sockets.delete(first.cookie);
    const unreadSurvives = (await readAll(first.client, BYTES)) === BYTES;

    const reading = readAll(second.client, BYTES);
    await new Promise(resolve => setTimeout(resolve, 10));
    second.server.write(Buffer.alloc(BYTES));
    const wakes = (await reading) === BYTES;
    sockets.delete(second.cookie);
    for (const link of links) link.close();
    sockets.close();
    return { fionread, wakes, unreadSurvives };
  } finally {
    for (const pair of pairs) pair.close();
    object.close();
  }
}

function join(sockets: BpfMap<bigint, bigint>, cookie: bigint, fd: number): void {
  try {
    sockets.setSocket(cookie, fd);
  } catch (error) {
    if (!(error instanceof BpfError && error.errno === "EBUSY")) throw error;
    throw new HostRefused(
      "another program on this host takes every new TCP connection into its own socket map (Cilium, Envoy, or another agent of this kind); a socket can be in one only, so Picket could watch none",
    );
  }
}

async function readAll(
  socket: NodeJS.ReadableStream & { resume(): unknown },
  bytes: number,
): Promise<number> {
  let read = 0;
  socket.on("data", (chunk: Buffer) => {
    read += chunk.length;
  });
  socket.resume();
  await eventually(() => read >= bytes);
  return read;
}

async function eventually(met: () => boolean): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += 5) {
    if (met()) return true;
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  return met();
}
