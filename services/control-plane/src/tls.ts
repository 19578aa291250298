/**
 * TLS of the control plane's own, where no terminator stands in front, and the certificates of nodes: with a client CA
 * configured a node is heard only on a connection for which it has shown one. That stands before its signed token and
 * not in its place; people and their browsers show none.
 */
import { readFileSync, statSync } from "node:fs";
import type { Server } from "node:https";
import type { Socket } from "node:net";
import { createSecureContext, type SecureContextOptions, TLSSocket } from "node:tls";
import type { Logger } from "pino";
import type { Services } from "./context.ts";
import { Refusal } from "./refusal.ts";

/** Paths of PEM files. `clientCa`: who signs nodes' certificates; null: nodes show none. */
export interface TlsFiles {
  cert: string;
  key: string;
  clientCa: string | null;
}

/** Throws where a file cannot be read or certificate and key do not belong together. */
export function readTls({ cert, key, clientCa }: TlsFiles): SecureContextOptions {
  const options = {
    cert: readFileSync(cert),
    key: readFileSync(key),
    ...(clientCa !== null && { ca: readFileSync(clientCa) }),
  };
  createSecureContext(options);
  return options;
}

/**
 * New connections get what the files hold now; another client CA ends those that the one before has let in. A renewal
 * that is half written or wrong changes nothing.
 */
export function followRenewals(server: Server, files: TlsFiles, everyMs: number, log: Logger): void {
  const paths = Object.values(files).filter(path => path !== null);
  // What a path names may be exchanged as a whole, by a link to another directory: only looking again sees that.
  const state = () => paths.map(path => `${statSync(path).ino} ${statSync(path).mtimeMs}`).join(" ");
  let inForce = { state: state(), options: readTls(files) };
  const timer = setInterval(() => {
    try {
      const found = state();
      if (found === inForce.state) return;
      const options = readTls(files);
      server.setSecureContext(options);
      const sameAuthority = String(options.ca) === String(inForce.options.ca);
      inForce = { state: found, options };
      log.info({ sameAuthority }, "renewed TLS files are in force");
      if (!sameAuthority) server.closeAllConnections();
    } catch (error) {
      log.error({ said: (error as Error).message }, "renewed TLS files are not usable; the old ones go on");
    }
  }, everyMs);
  timer.unref();
  server.once("close", () => clearInterval(timer));
}

/** Until when, in milliseconds since the epoch: a node's connection may outlast its certificate. */
const vouchedUntil = new WeakMap<Socket, number>();

/** Throws unless the connection's other end has shown a certificate that the client CA has signed and that is valid. */
export function requireCertificate(
  { config: { tls }, clock }: Pick<Services, "config" | "clock">,
  socket: Socket | undefined,
): void {
  if (tls === null || tls.clientCa === null) return;
  if (socket !== undefined && clock() < (vouchedUntil.get(socket) ?? 0)) return;
  const refuse = (why: string) =>
    new Refusal("certificate-refused", `nodes need a certificate of this fleet's CA: ${why}`);
  if (!(socket instanceof TLSSocket)) throw refuse("the connection is not TLS");
  // A session that is resumed counts as authorized also where no certificate was ever shown.
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw refuse("none was shown");
  if (!socket.authorized) throw refuse(String(socket.authorizationError));
  const until = Date.parse(certificate.validTo);
  if (clock() >= until) throw refuse("CERT_HAS_EXPIRED");
  vouchedUntil.set(socket, until);
}
