/**
 * The plaintext steps before a database's TLS handshake, and the polite way out after it.
 *
 * MySQL: the server greets, the client answers with an SSLRequest (Protocol::SSLRequest of the MySQL protocol
 * manual) and starts TLS. A client that hangs up during the handshake counts towards max_connect_errors and may in
 * the end lock this host out, so after TLS the probe logs in as a user that does not exist and takes the clean
 * refusal, which does not count. PostgreSQL: SSLRequest, answered S or N (manual, "Message Flow", SSL Session
 * Encryption); hanging up after it is expected there.
 */
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Dialect } from "@picket/shared/vocabulary";

export type Upgrade =
  | { kind: "ready"; dialect: Dialect }
  | { kind: "no-tls" }
  | { kind: "not-a-database"; detail: string };

const CLIENT_LONG_PASSWORD = 0x1;
const CLIENT_PROTOCOL_41 = 0x200;
const CLIENT_SSL = 0x800;
const CLIENT_SECURE_CONNECTION = 0x8000;
const CLIENT_PLUGIN_AUTH = 0x80000;
const CAPABILITIES =
  CLIENT_LONG_PASSWORD | CLIENT_PROTOCOL_41 | CLIENT_SSL | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH;
const UTF8MB4 = 45;
const PROBE_USER = "picket-certificate-probe";
const POSTGRESQL_SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** How long a MySQL server may take to greet before the other end is taken for one that waits to be asked. */
const GREETING_MS = 1_000;

/** Without a dialect (the kernel saw only TLS) it shows by who speaks first: MySQL greets, PostgreSQL waits. */
export async function upgrade(socket: Socket, dialect: Dialect | null): Promise<Upgrade> {
  const spoken = dialect ?? ((await speaksFirst(socket, GREETING_MS)) ? "mysql" : "pg");
  switch (spoken) {
    case "mysql":
      return upgradeMysql(socket);
    case "pg":
      return upgradePostgresql(socket);
  }
}

async function speaksFirst(socket: Socket, withinMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<void>(resolve => {
    timer = setTimeout(resolve, withinMs);
  });
  await Promise.race([readable(socket), silence]);
  clearTimeout(timer);
  return socket.readableLength > 0;
}

async function upgradeMysql(socket: Socket): Promise<Upgrade> {
  const header = await read(socket, 4);
  const length = header.readUIntLE(0, 3);
  if (length < 1 || length > 4_096) return { kind: "not-a-database", detail: "the greeting is not MySQL's" };
  const greeting = await read(socket, length);
  if (greeting[0] === 0xff)
    return { kind: "not-a-database", detail: `the server refused: ${greeting.toString("latin1", 3, 120)}` };
  if (greeting[0] !== 10) return { kind: "not-a-database", detail: "the greeting is not MySQL protocol 10" };
  const afterVersion = greeting.indexOf(0, 1) + 1;
  // connection id 4, auth data 8, filler 1, then the lower half of the server's capabilities
  const at = afterVersion + 13;
  if (afterVersion === 0 || at + 2 > greeting.length)
    return { kind: "not-a-database", detail: "the greeting is cut" };
  if ((greeting.readUInt16LE(at) & CLIENT_SSL) === 0) return { kind: "no-tls" };
  socket.write(packet(1, mysqlPrefix()));
  return { kind: "ready", dialect: "mysql" };
}

async function upgradePostgresql(socket: Socket): Promise<Upgrade> {
  socket.write(POSTGRESQL_SSL_REQUEST);
  const [answer] = await read(socket, 1);
  if (answer === 0x53) return { kind: "ready", dialect: "pg" };
  if (answer === 0x4e) return { kind: "no-tls" };
  return { kind: "not-a-database", detail: "the answer to SSLRequest is neither S nor N" };
}

/** Ends the probe in a way that the server does not hold against this host. */
export async function leave(secure: TLSSocket, dialect: Dialect): Promise<void> {
  if (dialect === "mysql") {
    try {
      secure.write(packet(2, mysqlLogin()));
      const [, , , sequence] = await read(secure, 4);
      const [kind] = await read(secure, 1);
      // AuthSwitchRequest: an empty answer, then the refusal.
      if (kind === 0xfe) {
        secure.write(packet((sequence ?? 0) + 1, Buffer.alloc(0)));
        await readSome(secure);
      }
    } catch {
      // It hung up first: there is nothing left to be polite to.
    }
  }
  secure.destroy();
}

function packet(sequence: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(payload.length, 0, 3);
  header[3] = sequence;
  return Buffer.concat([header, payload]);
}

/** Capabilities, largest packet, character set, filler: all of an SSLRequest, the start of a login. */
function mysqlPrefix(): Buffer {
  const prefix = Buffer.alloc(32);
  prefix.writeUInt32LE(CAPABILITIES, 0);
  prefix.writeUInt32LE(1 << 24, 4);
  prefix[8] = UTF8MB4;
  return prefix;
}

function mysqlLogin(): Buffer {
  return Buffer.concat([mysqlPrefix(), Buffer.from(`${PROBE_USER}\0\0mysql_native_password\0`)]);
}

async function read(socket: Socket, bytes: number): Promise<Buffer> {
  for (;;) {
    const chunk = socket.read(bytes) as Buffer | null;
    if (chunk && chunk.length === bytes) return chunk;
    if (chunk || socket.readableEnded || socket.destroyed)
      throw new Error("the server closed the connection");
    await readable(socket);
  }
}

async function readSome(socket: Socket): Promise<void> {
  if (socket.read() === null) await readable(socket);
}

function readable(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      socket.off("readable", done);
      socket.off("end", ended);
      socket.off("close", ended);
      socket.off("error", settle);
      if (error) reject(error);
      else resolve();
    };
    const done = () => settle();
    const ended = () => settle(new Error("the server closed the connection"));
    socket.on("readable", done);
    socket.on("end", ended);
    socket.on("close", ended);
    socket.on("error", settle);
  });
}
