/**
 * One keep-alive HTTP/1.1 connection, one request at a time: a socket and a few fields. node:http would hold about
 * 8 KB more for each of a hundred thousand simulated nodes. It reads only what our own server answers with: a
 * Content-Length, chunks, or no body. Unlike an agent's it is not probed while it waits (TCP keep-alive): the kernel's
 * timers of a minute go off two seconds' worth at a time, and the probes of so many nodes in one kernel overflow its
 * queue of received packets (net.core.netdev_max_backlog), until they are taken for dead.
 */
import { connect, type Socket } from "node:net";

export interface Answer {
  status: number;
  body: string;
  retryAfterS: number | null;
  /** The other end's clock. */
  date: string | undefined;
}

export interface Address {
  host: string;
  port: number;
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export class Connection {
  readonly #to: Address;
  readonly #from: string | undefined;
  #socket: Socket | null = null;
  #waiting: Waiting | null = null;
  #read: Buffer | null = null;

  /** `from`: the loopback address to come from; each has about 28,000 ports for one destination. */
  constructor(to: Address, from?: string) {
    this.#to = to;
    this.#from = from;
  }

  get busy(): boolean {
    return this.#waiting !== null;
  }

  request(method: string, path: string, token: string | null, body?: string): Promise<Answer> {
    const head =
      `${method} ${path} HTTP/1.1\r\nhost: picket\r\naccept: application/json\r\n` +
      (token === null ? "" : `authorization: Bearer ${token}\r\n`) +
      (body === undefined
        ? "\r\n"
        : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket ??= this.#open();
      this.#socket.write(head);
    });
  }

  /** Whoever waits for an answer gets none. */
  close(): void {
    const socket = this.#socket;
    this.#lost(new Error("closed here"));
    socket?.destroy();
  }

  #open(): Socket {
    const socket = connect({ ...this.#to, ...(this.#from !== undefined && { localAddress: this.#from }) });
    socket.setNoDelay(true);
    socket.on("data", chunk => this.#take(chunk));
    socket.on("error", error => this.#lost(error));
    socket.on("close", () => {
      if (this.#socket === socket) this.#lost(new Error("the other end closed"));
    });
    return socket;
  }

  #lost(error: Error): void {
    const waiting = this.#waiting;
    this.#socket = null;
    this.#waiting = null;
    this.#read = null;
    waiting?.reject(error);
  }

  #take(chunk: Buffer): void {
    const bytes = this.#read === null ? chunk : Buffer.concat([this.#read, chunk]);
    const answer = parse(bytes);
    this.#read = answer === null ? bytes : null;
    if (answer === null) return;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (answer.closes) {
      this.#socket?.destroy();
      this.#socket = null;
    }
    waiting?.resolve(answer);
  }
}

/** Null while there is more to come. */
function parse(bytes: Buffer): (Answer & { closes: boolean }) | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const head = bytes.toString("latin1", 0, end).toLowerCase();
  const status = Number(head.slice(9, 12));
  const header = (name: string): string | null =>
    new RegExp(`\r\n${name}: *([^\r]*)`).exec(head)?.[1] ?? null;
  const body =
    status === 204
      ? ""
      : header("transfer-encoding") === "chunked"
        ? chunks(bytes.subarray(end + 4))
        : exactly(bytes.subarray(end + 4), Number(header("content-length") ?? 0));
  if (body === null) return null;
  const retryAfter = header("retry-after");
  return {
    status,
    body,
    retryAfterS: retryAfter === null ? null : Number(retryAfter),
    date: header("date") ?? undefined,
    closes: header("connection") === "close",
  };
}

const exactly = (bytes: Buffer, length: number): string | null =>
  bytes.length < length ? null : bytes.toString("utf8", 0, length);

function chunks(bytes: Buffer): string | null {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = bytes.indexOf("\r\n", at);
    if (line < 0) return null;
    const size = Number.parseInt(bytes.toString("latin1", at, line), 16);
    const from = line + 2;
    if (bytes.length < from + size + 2) return null;
    if (size === 0) return Buffer.concat(parts).toString("utf8");
    parts.push(bytes.subarray(from, from + size));
    at = from + size + 2;
  }
}
