/**
 * Clients that speak just enough of both protocols to send bytes exactly as a journey wants them: byte by byte,
 * two messages in one send, a frame whose header is split. MySQL: protocol::Packet, HandshakeResponse41 with
 * an empty password (mysql_native_password). PostgreSQL: protocol 3.0 with trust authentication.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const CAPABILITIES =
  0x00000001 /* LONG_PASSWORD */ |
  0x00000200 /* PROTOCOL_41 */ |
  0x00002000 /* TRANSACTIONS */ |
  0x00008000 /* SECURE_CONNECTION */ |
  0x00080000; /* PLUGIN_AUTH */

/** Bytes of a socket, taken in exact amounts. */
class Reader {
  #chunks = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #ended: Error | undefined;
  constructor(socket: Socket) {
    socket.on("data", chunk => {
      this.#chunks = Buffer.concat([this.#chunks, chunk]);
      this.#wake?.();
    });
    const end = (error?: Error) => {
      this.#ended = error ?? new Error("the connection was closed");
      this.#wake?.();
    };
    socket.on("error", end);
    socket.on("close", () => end());
  }
  async take(bytes: number): Promise<Buffer> {
    while (this.#chunks.length < bytes) {
      if (this.#ended) throw this.#ended;
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
    const taken = this.#chunks.subarray(0, bytes);
    this.#chunks = this.#chunks.subarray(bytes);
    return taken;
  }
}

/** Sends each piece in a send() of its own: Nagle is off and each write is awaited. */
async function sendPieces(socket: Socket, pieces: Iterable<Uint8Array>): Promise<void> {
  for (const piece of pieces)
    await new Promise<void>((resolve, reject) =>
      socket.write(piece, error => (error ? reject(error) : resolve())),
    );
}

function* bytewise(message: Buffer): Iterable<Uint8Array> {
  for (let i = 0; i < message.length; i++) yield message.subarray(i, i + 1);
}

export const comQuery = (sql: string): Buffer =>
  mysqlPacket(0, Buffer.concat([Buffer.of(3), Buffer.from(sql)]));

export function mysqlPacket(sequence: number, body: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(body.length, 0, 3);
  header[3] = sequence;
  return Buffer.concat([header, body]);
}

export const pgQuery = (sql: string): Buffer => pgMessage("Q", Buffer.from(`${sql}\0`));

export function pgMessage(type: string, body: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.write(type, 0, "latin1");
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

export type Answer = { ok: true; rows: number } | { ok: false; code: string; message: string };

abstract class RawClient {
  readonly socket: Socket;
  protected readonly reader: Reader;
  constructor(socket: Socket) {
    this.socket = socket;
    this.reader = new Reader(socket);
  }
  send(...messages: Buffer[]): Promise<void> {
    return sendPieces(this.socket, [Buffer.concat(messages)]);
  }
  sendByteByByte(message: Buffer): Promise<void> {
    return sendPieces(this.socket, bytewise(message));
  }
  sendPieces(...pieces: Buffer[]): Promise<void> {
    return sendPieces(this.socket, pieces);
  }
  close(): void {
    this.socket.destroy();
  }
  abstract answer(): Promise<Answer>;
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await once(socket, "connect");
  return socket;
}

/** An OK or ERR packet. */
const answered = (packet: Buffer): Answer =>
  packet[0] === 0x00
    ? { ok: true, rows: 0 }
    : { ok: false, code: String(packet.readUInt16LE(1)), message: packet.subarray(9).toString() };

export class RawMySql extends RawClient {
  static async connect(port: number, user: string, database: string): Promise<RawMySql> {
    const client = new RawMySql(await dial(port));
    await client.#packet();
    const settings = Buffer.alloc(32);
    settings.writeUInt32LE(CAPABILITIES | 0x8 /* CONNECT_WITH_DB */, 0);
    settings.writeUInt32LE(1 << 26, 4);
    settings[8] = 45; // utf8mb4_general_ci
    await client.send(
      mysqlPacket(
        1,
        Buffer.concat([
          settings,
          Buffer.from(`${user}\0`),
          Buffer.of(0),
          Buffer.from(`${database}\0mysql_native_password\0`),
        ]),
      ),
    );
    const reply = await client.#login();
    if (!reply.ok) throw new Error(`MySQL refused the login: ${reply.message}`);
    return client;
  }

  /** MySQL asks for its own way to log in (AuthSwitchRequest, 0xfe), in which one zero byte says that there is no password. */
  async #login(): Promise<Answer> {
    const first = await this.#packet();
    if (first[0] !== 0xfe) return answered(first);
    await this.send(mysqlPacket(3, Buffer.of(0)));
    return answered(await this.#packet());
  }

  async #packet(): Promise<Buffer> {
    const header = await this.reader.take(4);
    return this.reader.take(header.readUIntLE(0, 3));
  }

  /** One OK, ERR or text result set (no multi-results). */
  async answer(): Promise<Answer> {
    const first = await this.#packet();
    if (first[0] === 0x00 || first[0] === 0xff) return answered(first);
    for (let eofs = 0, rows = 0; ; ) {
      const packet = await this.#packet();
      if (packet[0] === 0xfe && packet.length < 9) {
        if (++eofs === 2) return { ok: true, rows };
      } else if (packet[0] === 0xff) return answered(packet);
      else if (eofs === 1) rows++;
    }
  }
}

export class RawPostgres extends RawClient {
  /** With `sslRequest`, asks for TLS first and goes on in plain text when the server answers N. */
  static async connect(
    port: number,
    user: string,
    database: string,
    { sslRequest = false } = {},
  ): Promise<RawPostgres> {
    const client = new RawPostgres(await dial(port));
    if (sslRequest) {
      await client.send(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
      const answered = (await client.reader.take(1)).toString();
      if (answered !== "N") throw new Error(`expected N to the SSLRequest, got ${answered}`);
    }
    const parameters = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
    const startup = Buffer.alloc(8);
    startup.writeUInt32BE(parameters.length + 8, 0);
    startup.writeUInt32BE(196_608, 4);
    await client.send(Buffer.concat([startup, parameters]));
    const reply = await client.answer();
    if (!reply.ok) throw new Error(`PostgreSQL refused the login: ${reply.message}`);
    return client;
  }

  /** Everything up to ReadyForQuery. */
  async answer(): Promise<Answer> {
    let rows = 0;
    let failed: Answer | undefined;
    for (;;) {
      const header = await this.reader.take(5);
      const body = await this.reader.take(header.readUInt32BE(1) - 4);
      const type = String.fromCharCode(header[0]!);
      if (type === "D") rows++;
      if (type === "E") {
        const fields = new Map(
          body
            .toString()
            .split("\0")
            .map(field => [field[0], field.slice(1)]),
        );
        failed = { ok: false, code: fields.get("C") ?? "", message: fields.get("M") ?? "" };
      }
      if (type === "Z") return failed ?? { ok: true, rows };
    }
  }
}
