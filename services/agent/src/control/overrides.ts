/**
 * Verdicts by hand, for the most urgent case: straight into the kernel's map of every version, ahead of any rule.
 * Each one expires, is audited, is reported up as a local override, and survives a restart of the agent.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { VerdictRequest, type VerdictResponse } from "@picket/shared/control-socket";
import type { ConnectionDetection } from "@picket/shared/detection";
import type { EventId } from "@picket/shared/ids";
import { durationMs } from "@picket/shared/vocabulary";
import { z } from "zod";
import type { ShapeVerdict } from "../capture/slot.ts";
import { Refused } from "../refusal.ts";
import type { Lexing } from "../rules/lexing.ts";
import type { Override } from "../rules/versions.ts";
import { readJson, writeDurably } from "../state/durable.ts";

const OVERRIDES_MAX = 100;
const TTL_MS_MAX = 7 * 86_400_000;

const Saved = z.array(VerdictRequest.extend({ id: z.string(), expiresAt: z.iso.datetime() }));
type Saved = z.infer<typeof Saved>[number];

export class Overrides {
  readonly #path: string;
  readonly #lexing: Lexing;
  readonly #set: (override: Override) => void;
  readonly #clear: (fingerprint: bigint) => void;
  readonly #tell: (detection: ConnectionDetection) => void;
  readonly #kept = new Map<string, Saved>();

  constructor(input: {
    stateDirectory: string;
    lexing: Lexing;
    set: (override: Override) => void;
    clear: (fingerprint: bigint) => void;
    tell: (detection: ConnectionDetection) => void;
    nowMs: number;
  }) {
    this.#path = join(input.stateDirectory, "overrides.json");
    this.#lexing = input.lexing;
    this.#set = input.set;
    this.#clear = input.clear;
    this.#tell = input.tell;
    for (const saved of readJson(this.#path, Saved) ?? [])
      if (Date.parse(saved.expiresAt) > input.nowMs) this.#kept.set(saved.id, saved);
  }

  list(): VerdictResponse[] {
    return [...this.#kept.values()].map(saved => this.#describe(saved));
  }

  put(request: VerdictRequest, nowMs: number): VerdictResponse {
    const ttlMs = durationMs(request.ttl);
    if (ttlMs > TTL_MS_MAX)
      throw new Refused("invalid", "a verdict by hand lives at most 7 days; write a rule for longer");
    const fingerprint = this.#fingerprint(request);
    if (fingerprint === 0n)
      throw new Refused(
        "never-known",
        "this statement's meaning depends on its literals or on the session, so it has no shape that the kernel could know",
      );
    const replaced = [...this.#kept.values()].find(saved => this.#fingerprint(saved) === fingerprint);
    if (!replaced && this.#kept.size >= OVERRIDES_MAX)
      throw new Refused("too-many", `there are ${OVERRIDES_MAX} verdicts by hand already; delete one first`);
    const saved: Saved = {
      ...request,
      id: replaced?.id ?? randomUUID(),
      expiresAt: new Date(nowMs + ttlMs).toISOString(),
    };
    this.#kept.set(saved.id, saved);
    this.#save();
    this.#set({ fingerprint, verdict: verdictOf(request.action) });
    const described = this.#describe(saved);
    this.#tell({
      id: randomUUID() as EventId,
      at: new Date(nowMs).toISOString(),
      kind: "connection",
      what: "local-override",
      priority: "P2",
      causalKey: `local-override:${saved.id}`,
      why: `by hand until ${saved.expiresAt}: ${request.action} ${described.shape}: ${request.reason}`.slice(
        0,
        500,
      ),
    });
    return described;
  }

  delete(id: string): void {
    const saved = this.#kept.get(id);
    if (!saved) throw new Refused("not-found", `there is no verdict ${id}`);
    this.#kept.delete(id);
    this.#save();
    this.#clear(this.#fingerprint(saved));
  }

  /** On a timer: what has expired goes back to the rules. Says whether anything has. */
  expire(nowMs: number): boolean {
    const expired = [...this.#kept.values()].filter(({ expiresAt }) => Date.parse(expiresAt) <= nowMs);
    for (const { id } of expired) this.delete(id);
    return expired.length > 0;
  }

  /** For a version that is being loaded. */
  *all(): Generator<Override> {
    for (const saved of this.#kept.values())
      yield { fingerprint: this.#fingerprint(saved), verdict: verdictOf(saved.action) };
  }

  #fingerprint({ sql, dialect }: Pick<VerdictRequest, "sql" | "dialect">): bigint {
    return this.#lexing.fingerprint(Buffer.from(sql), dialect, null);
  }

  #describe({ id, sql, dialect, action, reason, expiresAt }: Saved): VerdictResponse {
    return { id, shape: this.#lexing.redact(Buffer.from(sql), dialect, null), action, reason, expiresAt };
  }

  #save(): void {
    writeDurably(this.#path, JSON.stringify([...this.#kept.values()]));
  }
}

/** Rule 0 of every version is the control socket's. */
function verdictOf(action: VerdictRequest["action"]): ShapeVerdict {
  return action === "allow"
    ? { verdict: "benign", action: "observe", rule: null, source: "control-socket" }
    : { verdict: "attack", action, rule: 0, source: "control-socket" };
}
