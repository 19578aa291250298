/**
 * One look at the TLS endpoint of a database: connect, upgrade, shake hands, read the leaf certificate.
 *
 * A handshake that does not complete is "failed". A certificate that no authority vouches for is not: self-signed
 * ones are everywhere on internal databases, and clients that need more pin an authority. Where an authority is
 * configured for the endpoint, a certificate it did not sign does fail. A server that is away, or that offers no
 * TLS, says nothing about certificates.
 */
import { createHash, X509Certificate } from "node:crypto";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Certificate } from "@picket/shared/detection";
import type { Dialect } from "@picket/shared/vocabulary";
import { leave, upgrade } from "./upgrade.ts";

/** `dialect` is null where only TLS was seen on the wire. */
export type Endpoint = { host: string; port: number; dialect: Dialect | null };

export type ProbeResult =
  | {
      kind: "succeeded";
      dialect: Dialect;
      certificate: Certificate;
      trusted: boolean;
      trustError: string | null;
      protocol: string;
    }
  | { kind: "failed"; dialect: Dialect; error: string; certificate: Certificate | null }
  | { kind: "no-tls" }
  | { kind: "unreachable"; error: string };

export async function probe(
  endpoint: Endpoint,
  options: { timeoutMs: number; authority?: string | undefined },
): Promise<ProbeResult> {
  const socket = connectTcp({ host: endpoint.host, port: endpoint.port });
  const timer = setTimeout(
    () => socket.destroy(new Error(`no answer within ${options.timeoutMs} ms`)),
    options.timeoutMs,
  );
  try {
    const prepared = await prepare(socket, endpoint);
    if (prepared.kind !== "ready") return prepared;
    return await shakeHands(socket, endpoint.host, prepared.dialect, options.authority);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** Until TLS may begin. */
async function prepare(
  socket: Socket,
  { dialect }: Endpoint,
): Promise<ProbeResult | { kind: "ready"; dialect: Dialect }> {
  try {
    await connected(socket);
    const upgraded = await upgrade(socket, dialect);
    switch (upgraded.kind) {
      case "ready":
      case "no-tls":
        return upgraded;
      case "not-a-database":
        return { kind: "unreachable", error: upgraded.detail };
    }
  } catch (error) {
    return { kind: "unreachable", error: (error as Error).message };
  }
}

async function shakeHands(
  socket: Socket,
  host: string,
  dialect: Dialect,
  authority?: string,
): Promise<ProbeResult> {
  const secure = connectTls({
    socket,
    rejectUnauthorized: false,
    // An expired protocol version is the handshake's to refuse, not this probe's.
    minVersion: "TLSv1",
    ...(authority ? { ca: authority } : {}),
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
  });
  try {
    await secured(secure);
    const certificate = leafOf(secure);
    if (!certificate)
      return { kind: "failed", dialect, error: "the server showed no certificate", certificate: null };
    const trustError = secure.authorized ? null : String(secure.authorizationError ?? "not trusted");
    const protocol = secure.getProtocol() ?? "unknown";
    await leave(secure, dialect);
    if (authority && trustError && !/ALTNAME/.test(trustError) && !/EXPIRED/.test(trustError))
      return {
        kind: "failed",
        dialect,
        error: `the configured authority did not sign it: ${trustError}`,
        certificate,
      };
    return { kind: "succeeded", dialect, certificate, trusted: trustError === null, trustError, protocol };
  } catch (error) {
    const reason = describe(error as NodeJS.ErrnoException);
    return { kind: "failed", dialect, error: reason, certificate: leafOf(secure) };
  } finally {
    secure.destroy();
  }
}

function leafOf(secure: TLSSocket): Certificate | null {
  // Null once the socket is gone, an empty object before the server has shown one.
  const peer = secure.getPeerCertificate() as { raw?: Buffer } | null;
  return peer?.raw ? describeCertificate(peer.raw) : null;
}

export function describeCertificate(der: Buffer): Certificate {
  const certificate = new X509Certificate(der);
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serial: certificate.serialNumber.slice(0, 128),
    fingerprint: createHash("sha256").update(der).digest("hex"),
    notBefore: new Date(certificate.validFrom).toISOString(),
    notAfter: new Date(certificate.validTo).toISOString(),
    names: (certificate.subjectAltName ?? "")
      .split(", ")
      .filter(name => name !== "")
      .map(name => name.replace(/^(DNS|IP Address|email|URI):/, "").slice(0, 255))
      .slice(0, 100),
  };
}

const oneLine = (name: string | undefined): string => (name ?? "").split("\n").join(", ").slice(0, 1_024);

/** OpenSSL's own reason, without its source files and line numbers. */
function describe(error: NodeJS.ErrnoException & { reason?: string }): string {
  return (error.reason ?? error.message).slice(0, 500);
}

const connected = (socket: Socket): Promise<void> => once(socket, "connect");
const secured = (secure: TLSSocket): Promise<void> => once(secure, "secureConnect");

function once(socket: Socket, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, resolve);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the server closed the connection")));
  });
}
