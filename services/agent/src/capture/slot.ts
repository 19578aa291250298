/**
 * One rule version in the kernel: its program with its settings burnt in, its verdicts, its counters, the names of
 * its rules. Maps are its own, so that two versions never share a verdict.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BpfMap, BpfObject, type BpfProgram, u32, u64 } from "@picket/native/bpf";
import {
  Action as KernelAction,
  Responses as KernelResponses,
  Verdict as KernelVerdict,
  LATENCY_BUCKETS,
  NO_RULE,
  OnFailure,
  RuleText,
  SlotCounters,
  SlotSettings,
  VerdictEntry,
} from "@picket/native/events";
import type { Responses } from "@picket/shared/contract";
import type { Action, Verdict } from "@picket/shared/vocabulary";

/** source of struct picket_verdict_entry. */
export type VerdictSource = "bundle" | "learned" | "judged" | "control-socket" | "shared";
const SOURCES: readonly VerdictSource[] = ["bundle", "learned", "judged", "control-socket", "shared"];

const ACTIONS: Record<Action, KernelAction> = {
  observe: KernelAction.OBSERVE,
  alert: KernelAction.ALERT,
  block: KernelAction.BLOCK,
};
const VERDICTS: Record<Verdict, KernelVerdict> = {
  benign: KernelVerdict.BENIGN,
  attack: KernelVerdict.ATTACK,
  probe: KernelVerdict.PROBE,
};

const namesOf = <T extends string>(codes: Record<T, number>): Record<number, T> =>
  Object.fromEntries(Object.entries<number>(codes).map(([name, code]) => [code, name as T]));
const ACTION_NAMES = namesOf(ACTIONS);
const VERDICT_NAMES = namesOf(VERDICTS);

export type ShapeVerdict = {
  verdict: Verdict;
  action: Action;
  /** Index into the version's rules; null: none. */
  rule: number | null;
  source: VerdictSource;
};

export type SlotRequest = {
  object: Buffer;
  index: number;
  /** Ordinal of the rule version on this node. */
  ordinal: number;
  hashKey: bigint;
  hashStart: bigint;
  /** Rule ids by index, for the error that a client reads. */
  rules: readonly string[];
  shared: Readonly<
    Record<string, BpfMap<Buffer, Buffer>> & Record<"events" | "responses", BpfMap<Buffer, Buffer>>
  >;
  pins: string;
  /** One known use in so many, a power of two, is shown with its text; absent: none. */
  compareOneIn?: number | undefined;
  /** Statements that nobody has judged are held for the keeper; absent: they pass and are reported. */
  hold?: HoldSettings | undefined;
};

export type HoldSettings = Pick<SlotSettings, "holdBytesMax" | "holdBurst" | "failMask" | "onFailure">;

const NOT_HELD: HoldSettings = { holdBytesMax: 0, holdBurst: 0, failMask: 0, onFailure: OnFailure.OPEN };

export type Counters = {
  statements: number;
  known: number;
  unknown: number;
  neverKnown: number;
  blocked: number;
  severed: number;
  wouldBlock: number;
};

/** An unknown shape is told of once a second: its verdict is there long before. */
const REPORT_INTERVAL_NS = 1_000_000_000n;
const TEXT_BYTES_MAX = 65_536;
/** Statements per connection and second that can never become known and are told of all the same. */
const NEVER_KNOWN_BURST = 100;
/** rule_texts of slot.bpf.c; the last index stands for every rule beyond. */
export const RULE_TEXTS_MAX = 1_024;
const RULE_TEXT_BYTES_MAX = 30;

export class Slot {
  readonly index: number;
  readonly ordinal: number;
  readonly #object: BpfObject;
  readonly #verdicts: BpfMap<bigint, VerdictEntry>;
  readonly #counters: BpfMap<number, SlotCounters[]>;
  readonly #pins: string;
  readonly #responses: BpfMap<number, KernelResponses[]>;
  #tested: Counters | undefined;
  #responsesBefore: Responses;
  /** Verdicts that did not fit and were not written: those shapes are judged again at each use. */
  refusedVerdicts = 0;

  private constructor(object: BpfObject, request: SlotRequest) {
    this.#object = object;
    this.index = request.index;
    this.ordinal = request.ordinal;
    this.#pins = join(request.pins, "slots", String(request.index));
    this.#verdicts = object.map("verdicts").as({ key: u64, value: VerdictEntry });
    this.#counters = object.map("slot_counters").perCpu({ key: u32, value: SlotCounters });
    this.#responses = request.shared.responses.perCpu({ key: u32, value: KernelResponses });
    // By index: what an earlier version in this slot left is not this one's.
    this.#responsesBefore = this.#readResponses();
  }

  static async load(request: SlotRequest): Promise<Slot> {
    const object = BpfObject.open(request.object, {
      name: `slot${request.index}`,
      rodata: {
        settings: SlotSettings.encode({
          hashKey: request.hashKey,
          hashStart: request.hashStart,
          reportIntervalNs: REPORT_INTERVAL_NS,
          version: request.ordinal,
          slot: request.index,
          textBytesMax: TEXT_BYTES_MAX,
          neverKnownBurst: NEVER_KNOWN_BURST,
          compareMask: (request.compareOneIn ?? 2 ** 32) - 1,
          ...(request.hold ?? NOT_HELD),
        }),
      },
      mapReuse: mapsOf(request.object, request.shared),
      maxEntries: { events: request.shared.events.info.maxEntries },
    });
    try {
      await object.loadAsync();
      const slot = new Slot(object, request);
      slot.#writeRuleTexts(request.rules);
      slot.#pin();
      return slot;
    } catch (error) {
      object.close();
      throw error;
    }
  }

  get program(): BpfProgram {
    return this.#object.program("slot");
  }

  setVerdict(fingerprint: bigint, verdict: ShapeVerdict): void {
    if (fingerprint === 0n) return; // "Never known" would be one verdict for all such statements.
    const entry = encodeVerdict(verdict);
    try {
      this.#verdicts.set(fingerprint, entry);
    } catch (error) {
      if ((error as { code?: string }).code !== "BPF_MAP_FULL") throw error;
      this.#forgetIdle();
      try {
        this.#verdicts.set(fingerprint, entry);
      } catch {
        this.refusedVerdicts += 1;
      }
    }
  }

  setVerdicts(verdicts: readonly (readonly [bigint, ShapeVerdict])[]): void {
    const known = verdicts.filter(([fingerprint]) => fingerprint !== 0n);
    if (known.length === 0) return;
    this.#verdicts.setMany(
      known.map(([fingerprint, verdict]) => [fingerprint, encodeVerdict(verdict)] as const),
    );
  }

  /** As they stood in a predecessor's slot of the same rules. */
  inherit(entries: Iterable<readonly [bigint, VerdictEntry]>): void {
    const list = [...entries];
    if (list.length > 0) this.#verdicts.setMany(list);
  }

  knows(fingerprint: bigint): boolean {
    return this.#verdicts.get(fingerprint) !== undefined;
  }

  verdictOf(fingerprint: bigint): { verdict: Verdict; source: VerdictSource } | null {
    const entry = this.#verdicts.get(fingerprint);
    if (!entry) return null;
    return { verdict: VERDICT_NAMES[entry.verdict]!, source: SOURCES[entry.source]! };
  }

  deleteVerdict(fingerprint: bigint): void {
    this.#verdicts.delete(fingerprint);
  }

  *verdicts(): Generator<[bigint, VerdictEntry]> {
    yield* this.#verdicts.entries();
  }

  /** Everything that it knows, and how often each was used. */
  *known(): Generator<ShapeVerdict & { key: bigint; count: number }> {
    for (const [key, { verdict, action, rule, source, count }] of this.#verdicts.entries())
      yield {
        key,
        verdict: VERDICT_NAMES[verdict]!,
        action: ACTION_NAMES[action]!,
        rule: rule === NO_RULE ? null : rule,
        source: SOURCES[source]!,
        count: Number(count),
      };
  }

  /** What the agent had judged is judged anew at its next use; the rule set's own word stays. */
  forgetJudged(): void {
    this.#verdicts.deleteMany(
      [...this.#verdicts.entries()]
        .filter(([, { source }]) => SOURCES[source] === "judged" || SOURCES[source] === "learned")
        .map(([fingerprint]) => fingerprint),
    );
  }

  /** What the self-test did is nobody's traffic. */
  startCounting(): void {
    this.#tested = this.#read();
    this.#responsesBefore = this.#readResponses();
  }

  /** What databases answered to the statements that this version judged. */
  responses(): Responses {
    const before = this.#responsesBefore;
    const now = this.#readResponses();
    return {
      ok: now.ok - before.ok,
      errors: now.errors - before.errors,
      latencyLog2Us: now.latencyLog2Us.map((count, bucket) => count - before.latencyLog2Us[bucket]!),
    };
  }

  #readResponses(): Responses {
    const cpus = this.#responses.get(this.index) ?? [];
    const sum = (of: (cpu: KernelResponses) => bigint) =>
      cpus.reduce((total, cpu) => total + Number(of(cpu)), 0);
    return {
      ok: sum(cpu => cpu.ok),
      errors: sum(cpu => cpu.errors),
      latencyLog2Us: Array.from({ length: LATENCY_BUCKETS }, (_, bucket) => sum(cpu => cpu.latency[bucket]!)),
    };
  }

  counters(): Counters {
    const now = this.#read();
    for (const name of Object.keys(now) as (keyof Counters)[]) now[name] -= this.#tested?.[name] ?? 0;
    return now;
  }

  #read(): Counters {
    const sum = { statements: 0, known: 0, unknown: 0, neverKnown: 0, blocked: 0, severed: 0, wouldBlock: 0 };
    for (const cpu of this.#counters.get(0) ?? [])
      for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += Number(cpu[name]);
    return sum;
  }

  close({ keepPins }: { keepPins: boolean }): void {
    if (!keepPins) rmSync(this.#pins, { recursive: true, force: true });
    this.#verdicts.close();
    this.#counters.close();
    this.#object.close();
  }

  /** A shape that the kernel has not met for longest is the first to be judged again; hostile ones stay. */
  #forgetIdle(): void {
    const benign = [...this.#verdicts.entries()]
      .filter(([, entry]) => entry.verdict === KernelVerdict.BENIGN && SOURCES[entry.source] !== "bundle")
      .sort(([, left], [, right]) => Number(left.lastNs - right.lastNs));
    this.#verdicts.deleteMany(
      benign.slice(0, Math.max(1, benign.length >> 2)).map(([fingerprint]) => fingerprint),
    );
  }

  #writeRuleTexts(rules: readonly string[]): void {
    const texts = this.#object.map("rule_texts").as({ key: u32, value: RuleText });
    texts.setMany(
      rules.slice(0, RULE_TEXTS_MAX).map((rule, index) => {
        const text = index === RULE_TEXTS_MAX - 1 ? "rule-set" : rule.slice(0, RULE_TEXT_BYTES_MAX);
        return [index, { bytes: Buffer.byteLength(text), text }] as const;
      }),
    );
    texts.close();
  }

  /** For a successor, which takes the verdicts over. */
  #pin(): void {
    rmSync(this.#pins, { recursive: true, force: true });
    mkdirSync(this.#pins, { recursive: true, mode: 0o700 });
    this.#verdicts.pin(join(this.#pins, "verdicts"));
  }
}

/** Verdicts that the agent itself had come to, of a slot that a predecessor left. */
export function* pinnedVerdicts(pins: string, index: number): Generator<[bigint, VerdictEntry]> {
  const path = join(pins, "slots", String(index), "verdicts");
  if (!existsSync(path)) return;
  const map = BpfMap.openPinned(path).as({ key: u64, value: VerdictEntry });
  try {
    for (const [fingerprint, entry] of map.entries()) {
      const source = SOURCES[entry.source];
      if (source === "learned" || source === "judged") yield [fingerprint, entry];
    }
  } finally {
    map.close();
  }
}

/** Which of the shared maps the object declares: a slot of an older bundle may know fewer. */
function mapsOf(object: Buffer, shared: SlotRequest["shared"]): Record<string, BpfMap<Buffer, Buffer>> {
  const probe = BpfObject.open(object, { name: "slot" });
  try {
    const declared = new Set(probe.maps.map(({ name }) => name));
    return Object.fromEntries(Object.entries(shared).filter(([name]) => declared.has(name)));
  } finally {
    probe.close();
  }
}

export function encodeVerdict({ verdict, action, rule, source }: ShapeVerdict): VerdictEntry {
  return {
    count: 0n,
    lastNs: 0n,
    rule: rule === null ? NO_RULE : Math.min(rule, RULE_TEXTS_MAX - 1),
    verdict: VERDICTS[verdict],
    action: ACTIONS[action],
    source: SOURCES.indexOf(source),
  };
}
