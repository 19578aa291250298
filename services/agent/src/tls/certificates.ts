/**
 * The certificates of the databases that this host talks to, kept as state: an endpoint is probed when it is first
 * seen and then on a timer, a detection goes out when what is known of it changes, and the certificate of the last
 * good handshake is remembered, so that "the handshake fails and six days were left" can be said at all.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { certificatePriority } from "@picket/shared/certificate-matrix";
import { Certificate, type CertificateDetection } from "@picket/shared/detection";
import type { EventId } from "@picket/shared/ids";
import { Dialect, Priority } from "@picket/shared/vocabulary";
import { z } from "zod";
import { readJson, writeDurably } from "../state/durable.ts";
import type { Endpoint, ProbeResult } from "./probe.ts";

/** What is known of one endpoint; `told` is what the last detection said. */
const Known = z.strictObject({
  host: z.string(),
  port: z.int(),
  dialect: Dialect.nullable(),
  certificate: Certificate.nullable(),
  told: z
    .strictObject({
      priority: Priority.nullable(),
      fingerprint: z.string().nullable(),
      handshake: z.enum(["succeeded", "failed"]),
    })
    .nullable(),
  seenMs: z.number(),
});
export type Known = z.infer<typeof Known>;

/** The next state of an endpoint, and the detection that its change is worth, if any. */
export function learn(
  known: Known,
  result: ProbeResult,
  at: { nowMs: number; noticeMs: number },
): { known: Known; detection: Omit<CertificateDetection, "id"> | null } {
  switch (result.kind) {
    case "unreachable":
    case "no-tls":
      return { known, detection: null };
    case "succeeded":
    case "failed": {
      const certificate = result.certificate ?? known.certificate;
      const handshake = result.kind;
      const priority = certificatePriority({
        handshake,
        notAfterMs: certificate ? Date.parse(certificate.notAfter) : null,
        ...at,
      });
      const told = { priority, fingerprint: certificate?.fingerprint ?? null, handshake };
      const { dialect } = result;
      const next = { ...known, dialect, certificate, told };
      if (same(known.told, told)) return { known: next, detection: null };
      const { host, port } = known;
      return {
        known: next,
        detection: {
          kind: "certificate",
          at: new Date(at.nowMs).toISOString(),
          priority,
          causalKey: `certificate:${dialect}:${host}:${port}`,
          host,
          port,
          dialect,
          handshake,
          ...(certificate ? { certificate } : {}),
          ...(result.kind === "failed" ? { error: result.error } : {}),
        },
      };
    }
  }
}

function same(left: Known["told"], right: NonNullable<Known["told"]>): boolean {
  return (
    left !== null &&
    left.priority === right.priority &&
    left.fingerprint === right.fingerprint &&
    left.handshake === right.handshake
  );
}

const ENDPOINTS_MAX = 256;
/** An endpoint that no connection went to for so long is forgotten. */
const FORGET_MS = 7 * 86_400_000;
const PROBE_TIMEOUT_MS = 10_000;

export class Certificates {
  readonly #path: string;
  readonly #known = new Map<string, Known>();
  readonly #lastProbeMs = new Map<string, number>();
  #running = false;

  readonly #emit: (detection: CertificateDetection) => void;
  readonly #probe: (endpoint: Endpoint, timeoutMs: number) => Promise<ProbeResult>;

  constructor(input: {
    stateDirectory: string;
    emit: (detection: CertificateDetection) => void;
    probe: (endpoint: Endpoint, timeoutMs: number) => Promise<ProbeResult>;
  }) {
    this.#path = join(input.stateDirectory, "certificates.json");
    this.#emit = input.emit;
    this.#probe = input.probe;
    for (const known of readJson(this.#path, z.array(Known)) ?? []) this.#known.set(keyOf(known), known);
  }

  /** A recognised connection went there. */
  saw({ host, port, dialect }: Endpoint, nowMs: number): void {
    const key = keyOf({ host, port });
    const known = this.#known.get(key);
    if (known) this.#known.set(key, { ...known, dialect: dialect ?? known.dialect, seenMs: nowMs });
    else if (this.#known.size < ENDPOINTS_MAX)
      this.#known.set(key, { host, port, dialect, certificate: null, told: null, seenMs: nowMs });
  }

  get endpoints(): readonly Known[] {
    return [...this.#known.values()];
  }

  /** Probes what is due, one endpoint after the other: a database never meets two probes at once. */
  async round(at: {
    nowMs: () => number;
    noticeMs: number;
    intervalMs: number;
    signal: AbortSignal;
  }): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      let changed = false;
      for (const [key, known] of this.#known) {
        const nowMs = at.nowMs();
        if (at.signal.aborted) break;
        if (nowMs - known.seenMs > FORGET_MS) {
          this.#known.delete(key);
          changed = true;
          continue;
        }
        if (nowMs - (this.#lastProbeMs.get(key) ?? Number.NEGATIVE_INFINITY) < at.intervalMs) continue;
        this.#lastProbeMs.set(key, nowMs);
        const result = await this.#probe(known, PROBE_TIMEOUT_MS);
        const learned = learn(known, result, { nowMs: at.nowMs(), noticeMs: at.noticeMs });
        this.#known.set(key, learned.known);
        if (learned.detection) {
          this.#emit({ ...learned.detection, id: randomUUID() as EventId });
          changed = true;
        }
      }
      if (changed) writeDurably(this.#path, JSON.stringify([...this.#known.values()]));
    } finally {
      this.#running = false;
    }
  }
}

const keyOf = ({ host, port }: Pick<Endpoint, "host" | "port">): string => `${host}:${port}`;
