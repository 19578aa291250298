/** A detection in words: what an alert says at first sight. SQL in it was redacted on the node. */
import type { Detection } from "@picket/shared/detection";

export interface Description {
  title: string;
  summary: string;
  /** An incident ends by falling quiet; a state ends when it is reported gone. */
  endsQuietly: boolean;
}

export function describe(detection: Detection, hostname: string): Description {
  switch (detection.kind) {
    case "statement": {
      const { process, rules, dialect } = detection;
      const where = process.workload ?? process.comm;
      return {
        title: `${outcome(detection)} in ${where} on ${hostname}`,
        summary: `${dialect} ${detection.message} by ${process.comm} (pid ${process.pid}): ${rules.join(", ") || detection.stage}. ${cut(detection.sql, 600)}`,
        endsQuietly: true,
      };
    }
    case "connection":
      return {
        title: `Connection ${detection.what} on ${hostname}`,
        summary: cut(detection.why, 600),
        endsQuietly: true,
      };
    case "handshake":
      return {
        title: `TLS handshake with ${detection.host}:${detection.port} fails`,
        summary: `Seen from ${hostname}: ${detection.error}`,
        endsQuietly: true,
      };
    case "certificate": {
      const { certificate, host, port, handshake, error } = detection;
      const expiry = certificate ? ` Its certificate is valid until ${certificate.notAfter}.` : "";
      return {
        title:
          handshake === "failed"
            ? `TLS handshake with ${host}:${port} fails`
            : `The certificate of ${host}:${port} expires`,
        summary: `Seen from ${hostname}.${error ? ` ${error}.` : ""}${expiry}${certificate ? ` Subject ${cut(certificate.subject, 200)}.` : ""}`,
        endsQuietly: false,
      };
    }
  }
}

function outcome(detection: Extract<Detection, { kind: "statement" }>): string {
  const what = detection.verdict === "probe" ? "Probe" : "SQL injection";
  if (detection.wouldBlock) return `${what} seen, not blocked (observing)`;
  switch (detection.guarantee) {
    case "prevented":
      return `${what} blocked`;
    case "severed":
      return `${what}: connection severed`;
    case "observed":
    case "unseen":
      return `${what} seen, not blocked`;
  }
}

const cut = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;
