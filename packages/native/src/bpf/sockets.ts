import { addressBytes, addressText, isMapped } from "./addresses.ts";
import { BpfError } from "./errors.ts";
import { native } from "./native.ts";

/*
 * TCP sockets of this host by SOCK_DIAG (man 7 sock_diag): a list of them, and the end of one. Layouts are
 * those of include/uapi/linux/netlink.h and inet_diag.h.
 */

export const TCP_STATES = [
  undefined,
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
] as const;
export type TcpState = NonNullable<(typeof TCP_STATES)[number]>;

export interface TcpSocket {
  /** As bpf_get_socket_cookie gives it. */
  cookie: bigint;
  state: TcpState;
  /** Of the socket; an IPv6 socket may carry IPv4 addresses. */
  family: 4 | 6;
  localAddress: string;
  localPort: number;
  remoteAddress: string;
  remotePort: number;
  /** As in /proc/<pid>/fd; 0 when no process holds it. */
  inode: number;
  uid: number;
  receiveQueueBytes: number;
  sendQueueBytes: number;
  /** cgroup2 id; absent where the kernel does not tell (before 5.9). */
  cgroupId?: bigint;
  /** Upper-layer protocol: "tls" for kernel TLS, "mptcp". */
  ulp?: string;
}

export interface ListOptions {
  states?: readonly TcpState[];
  /** Of another network namespace: "/proc/<pid>/ns/net". */
  netns?: string;
}

const AF = { 4: 2, 6: 10 } as const;
const IPPROTO_TCP = 6;
const TYPE = { error: 2, done: 3, byFamily: 20, destroy: 21 } as const;
const FLAG = { request: 1, ack: 4, dump: 0x300 } as const;
const ATTRIBUTE = { ulpInfo: 19, cgroupId: 21 } as const;
const HEADER_BYTES = 16;
const REQUEST_BYTES = 56;
const MESSAGE_BYTES = 72;

/** What ioctl(FIONREAD) says of a socket of this process. */
export function waitingBytes(fd: number): number {
  return native.waitingBytes(fd);
}

export function listTcpSockets({ states, netns }: ListOptions = {}): TcpSocket[] {
  const mask =
    states === undefined
      ? 0xffff_ffff
      : states.reduce((bits, state) => bits | (1 << TCP_STATES.indexOf(state)), 0);
  return ([4, 6] as const).flatMap(family => {
    const request = newRequest(TYPE.byFamily, FLAG.request | FLAG.dump, family);
    request.writeUInt32LE(mask >>> 0, HEADER_BYTES + 4);
    return [...messages(native.sockDiag(request, netns), "list")].map(readSocket);
  });
}

/** Exactly one connection: `cookie` alone is looked up in a list first. */
export interface SocketIdentity {
  cookie?: bigint;
  localAddress?: string | Uint8Array;
  localPort?: number;
  remoteAddress?: string | Uint8Array;
  remotePort?: number;
  netns?: string;
}

/**
 * Ends a TCP connection: both sides get a reset, the application ECONNABORTED. Returns whether there was
 * one. With a cookie, a later connection of the same addresses is not hit.
 */
export function destroySocket(identity: SocketIdentity): boolean {
  const found = resolveIdentity(identity);
  if (found === undefined) return false;
  const { local, remote, localPort, remotePort, family } = found;
  const request = newRequest(TYPE.destroy, FLAG.request | FLAG.ack, family);
  const id = HEADER_BYTES + 8;
  request.writeUInt16BE(localPort, id);
  request.writeUInt16BE(remotePort, id + 2);
  request.set(family === 4 ? local.subarray(12) : local, id + 4);
  request.set(family === 4 ? remote.subarray(12) : remote, id + 20);
  // All ones: any cookie (INET_DIAG_NOCOOKIE).
  request.writeBigUInt64LE(identity.cookie ?? 0xffff_ffff_ffff_ffffn, id + 40);
  try {
    for (const _ of messages(native.sockDiag(request, identity.netns), "destroy"));
    return true;
  } catch (error) {
    if (error instanceof BpfError && error.errno === "ENOENT") return false;
    throw error;
  }
}

interface Connection {
  family: 4 | 6;
  local: Uint8Array;
  remote: Uint8Array;
  localPort: number;
  remotePort: number;
}

function resolveIdentity(identity: SocketIdentity): Connection | undefined {
  const { cookie, localAddress, localPort, remoteAddress, remotePort, netns } = identity;
  if (
    localAddress === undefined ||
    localPort === undefined ||
    remoteAddress === undefined ||
    remotePort === undefined
  ) {
    if (cookie === undefined)
      throw badInput("a socket is named by its cookie, or by both addresses and ports");
    const socket = listTcpSockets(netns === undefined ? {} : { netns }).find(each => each.cookie === cookie);
    return socket === undefined ? undefined : resolveIdentity({ ...identity, ...socket });
  }
  const local = bytesOf(localAddress);
  const remote = bytesOf(remoteAddress);
  // An IPv6 socket with mapped addresses is found by its IPv4 addresses too.
  const family = isMapped(local) && isMapped(remote) ? 4 : 6;
  return { local, remote, localPort, remotePort, family };
}

function bytesOf(address: string | Uint8Array): Uint8Array {
  const bytes = typeof address === "string" ? addressBytes(address) : address;
  if (bytes?.length !== 16) throw badInput(`"${address}" is not an IP address (text, or 16 bytes)`);
  return bytes;
}

function badInput(message: string): BpfError {
  return new BpfError(message, { code: "BPF_BAD_INPUT", step: "destroy" });
}

function newRequest(type: number, flags: number, family: 4 | 6): Buffer {
  const request = Buffer.alloc(HEADER_BYTES + REQUEST_BYTES);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(type, 4);
  request.writeUInt16LE(flags, 6);
  request[HEADER_BYTES] = AF[family];
  request[HEADER_BYTES + 1] = IPPROTO_TCP;
  request.writeUInt32LE(0xffff_ffff, HEADER_BYTES + 4);
  return request;
}

/** Payloads of the socket messages of a reply. */
function* messages(reply: Buffer, step: string): Generator<Buffer> {
  for (let at = 0; at + HEADER_BYTES <= reply.length; ) {
    const length = reply.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > reply.length) throw netlinkError("EBADMSG", step);
    const type = reply.readUInt16LE(at + 4);
    const payload = reply.subarray(at + HEADER_BYTES, at + length);
    if (type === TYPE.error || type === TYPE.done) {
      const error = payload.length >= 4 ? -payload.readInt32LE(0) : 0;
      if (error !== 0) throw netlinkError(ERRNO[error] ?? String(error), step);
    } else if (type === TYPE.byFamily && payload.length >= MESSAGE_BYTES) {
      yield payload;
    }
    at += (length + 3) & ~3;
  }
}

const ERRNO: Record<number, string> = { 1: "EPERM", 2: "ENOENT", 22: "EINVAL", 95: "EOPNOTSUPP" };

function netlinkError(errno: string, step: string): BpfError {
  switch (errno) {
    case "EPERM":
      return new BpfError(`SOCK_DIAG ${step} needs CAP_NET_ADMIN: run as root`, {
        code: "BPF_NO_PERMISSION",
        step,
        errno,
      });
    case "ENOENT":
      // Of a socket that is asked for by its cookie it would mean that there is none; a listing names none.
      if (step !== "list") break;
      return new BpfError(
        "this kernel cannot list its TCP sockets: `modprobe tcp_diag`, or a kernel with CONFIG_INET_TCP_DIAG, is needed",
        { code: "BPF_UNSUPPORTED", step, errno },
      );
    case "EOPNOTSUPP":
      return new BpfError("this kernel cannot destroy sockets (CONFIG_INET_DIAG_DESTROY is not set)", {
        code: "BPF_UNSUPPORTED",
        step,
        errno,
      });
  }
  return new BpfError(`SOCK_DIAG ${step} failed: ${errno}`, { code: "BPF_NETLINK_FAILED", step, errno });
}

function readSocket(message: Buffer): TcpSocket {
  const family = message[0] === AF[6] ? 6 : 4;
  const address = (at: number) => {
    if (family === 6) return addressText(message.subarray(at, at + 16));
    return message.subarray(at, at + 4).join(".");
  };
  const socket: TcpSocket = {
    cookie: message.readBigUInt64LE(44),
    state: TCP_STATES[message[1]!] ?? "CLOSE",
    family,
    localAddress: address(8),
    localPort: message.readUInt16BE(4),
    remoteAddress: address(24),
    remotePort: message.readUInt16BE(6),
    receiveQueueBytes: message.readUInt32LE(56),
    sendQueueBytes: message.readUInt32LE(60),
    uid: message.readUInt32LE(64),
    inode: message.readUInt32LE(68),
  };
  for (const [type, value] of attributes(message, MESSAGE_BYTES)) {
    if (type === ATTRIBUTE.cgroupId) socket.cgroupId = value.readBigUInt64LE(0);
    if (type === ATTRIBUTE.ulpInfo)
      for (const [inner, name] of attributes(value, 0))
        if (inner === 1) socket.ulp = name.toString("utf8").replace(/\0.*$/s, "");
  }
  return socket;
}

/** Netlink attributes: length, type (its top bits are flags), value, padding to 4. */
function* attributes(bytes: Buffer, start: number): Generator<[type: number, value: Buffer]> {
  for (let at = start; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) return;
    yield [bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + 4, at + length)];
    at += (length + 3) & ~3;
  }
}
