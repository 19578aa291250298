/** On the real kernel, in a cgroup of this test's own. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { makeCgroup } from "@picket/infra/cgroup";
import { BpfMap } from "@picket/native/bpf";
import { OnFailure } from "@picket/native/events";
import { randomHashKey } from "@picket/native/lexer";
import type { BundleDigest, RuleSetName, RuleVersion } from "@picket/shared/ids";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { corruptProgram } from "../../test/corrupt.ts";
import { areGone, held } from "../../test/host.ts";
import { mountPoint } from "../host/cgroups.ts";
import type { CompiledRules, Judgement } from "../rules/judging.ts";
import { LearnedShapes } from "../rules/learned.ts";
import { createLexing } from "../rules/lexing.ts";
import { frame, selfTest } from "../rules/self-test.ts";
import { type HoldingRules, type Remembered, Versions } from "../rules/versions.ts";
import { Bench } from "./bench.ts";
import { Kernel } from "./kernel.ts";
import { SequenceTracker } from "./sequence.ts";
import { checkSockets } from "./socket-check.ts";

const object = (name: string) =>
  readFileSync(new URL(`../../../../packages/bpf/dist/${name}.bpf.o`, import.meta.url));
const pins = `/sys/fs/bpf/picket-test-kernel-${process.pid}`;
const key = randomHashKey();
const lexing = createLexing(key);

let cgroup: ReturnType<typeof makeCgroup>;
let kernel: Kernel;
let bench: Bench;
let versions: Versions;
let learned: LearnedShapes;

const open = async (takeOver = false, predecessor: Remembered | null = null) => {
  kernel = await Kernel.open({
    dispatcher: object("dispatcher"),
    pins,
    cgroupPath: cgroup.path,
    takeOver,
    sameDispatcher: takeOver,
    streamVerdict: true,
    plainSockets: true,
    enrolSockets: true,
  });
  bench = new Bench({ dispatcher: () => object("dispatcher"), kernel });
  kernel.read(
    event => void bench.feed(event),
    () => {},
    error => {
      throw error;
    },
  );
  learned = new LearnedShapes();
  versions = new Versions({
    kernel,
    learned,
    secrets: { hashKey: key.key, hashStart: key.start },
    predecessor,
    overrides: () => [],
    selfTest: selfTest(bench, lexing, () => new Set()),
    remember: () => {},
    holding: NOT_HELD,
  });
};

/** No keeper here: test/journeys/hold.test.ts has one. */
const NOT_HELD: HoldingRules = {
  settings: () => ({ holdBytesMax: 0, holdBurst: 0, failMask: 0, onFailure: OnFailure.OPEN }),
  prepare: () => {},
  switched: () => {},
  discard: () => {},
};

beforeAll(() => {
  if (mountPoint("bpf") === null) execFileSync("mount", ["-t", "bpf", "bpf", "/sys/fs/bpf"]);
  cgroup = makeCgroup(`picket-test-kernel-${process.pid}`);
});
afterAll(() => cgroup.remove());
beforeEach(() => open());
afterEach(async () => {
  versions.close();
  await kernel.close({ keep: false });
  rmSync(pins, { recursive: true, force: true });
});

const BLOCKED = "SELECT name FROM users WHERE id = 1 UNION SELECT secret FROM vault";
const judgement = (change: Partial<Judgement>): Judgement => ({
  verdict: "benign",
  action: "observe",
  rules: [],
  stage: "token-rules",
  danger: [],
  severity: "high",
  holdsForShape: true,
  evidence: () => [],
  ...change,
});
const rules = (change: Partial<CompiledRules> = {}): CompiledRules => ({
  ruleSet: "test" as RuleSetName,
  precedence: 0,
  ruleIds: ["union-secret", "honest"],
  shapes: (["mysql", "pg"] as const).map(dialect => ({
    rule: "union-secret",
    dialect,
    sql: BLOCKED,
    action: "block",
    fingerprint: lexing.fingerprint(Buffer.from(BLOCKED), dialect, null),
  })),
  examples: [],
  certificateNoticeMs: 1,
  keeper: { table: new Uint32Array(), rules: [] },
  holdFor: () => ({
    held: false,
    maxHeldBytes: 0,
    policy: { deadlineMs: 50, consult: "never", onFailure: "open" },
  }),
  holdAny: { held: false, maxHeldBytes: 0 },
  driftFor: () => ({ mode: "learn", locked: false, learnForMs: 1, learnStatements: 1 }),
  drifts: false,
  learn: () => null,
  judge: () => judgement({}),
  ...change,
});
const part = (version: number, compiled = rules()) => ({
  ruleSet: "test" as RuleSetName,
  version: version as RuleVersion,
  bundle: String(version).repeat(64).slice(0, 64) as BundleDigest,
  rules: compiled,
});
const prepare = async (version: number, compiled = rules(), slot = object("slot")) => {
  const loaded = await versions.prepare([part(version, compiled)], slot);
  if (!loaded.ok) throw new Error(`${loaded.error.code}: ${loaded.error.detail}`);
  return loaded.value;
};

describe("a slot is tried before anybody is judged by it", () => {
  test("kernel and agent hash alike, what is blocked is replaced, the event says so", async () => {
    const loaded = await prepare(1);
    expect(versions.stable).toBeNull();
    for (const dialect of ["mysql", "pg"] as const) {
      const sent = await bench.with(loaded.slot, trial => trial.send(frame(dialect, BLOCKED)));
      expect(sent.arrived.toString()).toContain("Picket blocked: union-secret");
      expect(sent.told).toMatchObject({
        verdict: "attack",
        action: "block",
        guarantee: "prevented",
        substituted: true,
        version: 1,
      });
    }
    versions.discard(loaded);
  });

  test.each([
    { above: 9, beside: 0, passes: true },
    { above: 0, beside: 0, passes: false },
    { above: 0, beside: 9, passes: false },
  ])(
    "a shape that one rule set (precedence $above) allows and another ($beside) blocks: passes $passes",
    async ({ above, beside, passes }) => {
      const allowing = rules({
        ruleIds: [],
        precedence: above,
        shapes: rules().shapes.map(entry => ({ ...entry, rule: "allowed", action: "allow" as const })),
      });
      const loaded = await versions.prepare(
        [part(1, allowing), { ...part(1, rules({ precedence: beside })), ruleSet: "other" as RuleSetName }],
        object("slot"),
      );
      if (!loaded.ok) throw new Error(loaded.error.detail);
      const sent = await bench.with(loaded.value.slot, trial =>
        trial.send(frame("mysql", BLOCKED), { quiet: passes }),
      );
      expect(sent.arrived.equals(frame("mysql", BLOCKED))).toBe(passes);
      versions.discard(loaded.value);
    },
  );

  const attack = "SELECT name FROM users WHERE id = 1 OR 1=1";
  const withExamples = (rule: string) =>
    rules({
      examples: (["mysql", "pg"] as const).flatMap(dialect => [
        { rule: "honest", dialect, sql: attack, attack: true },
        { rule: "honest", dialect, sql: "SELECT name FROM users WHERE id = 2", attack: false },
      ]),
      judge: ({ sql }) =>
        judgement(sql.toString() === attack ? { verdict: "attack", action: "block", rules: [rule] } : {}),
    });
  test("the examples of its rules pass or are replaced in the kernel, and leave nothing behind", async () => {
    const loaded = await prepare(1, withExamples("honest"));
    expect([...loaded.slot.verdicts()]).toHaveLength(loaded.bundled.size);
    const sent = await bench.with(loaded.slot, trial => trial.send(frame("mysql", attack)));
    expect(sent.arrived).toEqual(frame("mysql", attack));
    versions.discard(loaded);
  });
  test("a version whose rule does not block its own example as it says is refused", async () => {
    const refused = await versions.prepare([part(1, withExamples("not-among-the-rules"))], object("slot"));
    expect(refused).toMatchObject({
      ok: false,
      error: { code: "self-test-failed", detail: expect.stringMatching(/the attack example of honest/) },
    });
  });

  test("a kernel that hashes otherwise than the agent is refused, and the slot is free again", async () => {
    const lying = selfTest(bench, { ...lexing, fingerprint: () => 7n }, () => new Set());
    const failing = new Versions({
      kernel,
      learned,
      secrets: { hashKey: key.key, hashStart: key.start },
      predecessor: null,
      overrides: () => [],
      selfTest: lying,
      remember: () => {},
      holding: NOT_HELD,
    });
    const refused = await failing.prepare([part(1)], object("slot"));
    expect(refused).toMatchObject({
      ok: false,
      error: { code: "self-test-failed", detail: expect.stringContaining("fingerprint") },
    });
    expect(existsSync(`${pins}/slots/0`)).toBe(false);
  });

  test("an object that the verifier refuses is refused with its last lines, and the old version goes on", async () => {
    versions.makeStable(await prepare(1), 0);
    const broken = Buffer.from(object("slot"));
    // An ELF whose program begins with an instruction that no verifier takes.
    corruptProgram(broken);
    const refused = await versions.prepare([part(2)], broken);
    expect(refused).toMatchObject({ ok: false, error: { code: "verifier-refused" } });
    if (!refused.ok) expect(refused.error.detail.length).toBeGreaterThan(20);
    expect(kernel.dispatched()).toEqual({ stable: 0, candidate: 0 });
  });
});

describe("versions", () => {
  test("going back to a version that is still loaded needs no load", async () => {
    const one = await prepare(1);
    versions.makeStable(one, 0);
    const two = await prepare(2);
    versions.makeCandidate(two, 2_000, false, 0);
    expect(kernel.dispatched()).toEqual({ stable: 0, candidate: 1 });
    versions.dropCandidate(0);
    expect(kernel.dispatched()).toEqual({ stable: 0, candidate: 0 });
    expect(versions.find(Versions.key([part(2)]))).toBe(two);
    versions.makeStable(two, 0);
    expect(kernel.dispatched()).toEqual({ stable: 1, candidate: 1 });
    expect(versions.byOrdinal(1)).toBe(one);
    versions.retire(60_000);
    expect(versions.byOrdinal(1)).toBeUndefined();
  });

  test("more versions than slots: the oldest retired ones are given up, never a live one", async () => {
    for (let version = 1; version <= 20; version++) versions.makeStable(await prepare(version), 0);
    expect(versions.stable!.ordinal).toBe(20);
    expect(versions.byOrdinal(20)).toBeDefined();
  });

  test("what was learned is judged again by the new rules, and the rule set's own word stands above it", async () => {
    const sample = (sql: string) => ({ sql: Buffer.from(sql), dialect: "mysql" as const, session: 0 });
    const once = "SELECT a FROM once_benign WHERE id = 1";
    const fingerprint = lexing.fingerprint(Buffer.from(once), "mysql", null);
    learned.learn(fingerprint, {
      fingerprint,
      verdict: "benign",
      action: "observe",
      rules: [],
      workload: "",
      sample: sample(once),
    });
    const blocked = rules().shapes[0]!.fingerprint;
    learned.learn(blocked, {
      fingerprint: blocked,
      verdict: "benign",
      action: "observe",
      rules: [],
      workload: "",
      sample: sample(BLOCKED),
    });
    const stricter = rules({
      judge: ({ sql }) =>
        sql.includes("once_benign")
          ? judgement({ verdict: "attack", action: "block", rules: ["honest"] })
          : judgement({}),
    });
    const loaded = await prepare(1, stricter);
    const entries = new Map(loaded.slot.verdicts());
    expect(entries.get(fingerprint)).toMatchObject({ verdict: 2, action: 2 });
    expect(loaded.ruleIds[entries.get(fingerprint)!.rule]).toBe("honest");
    expect(entries.get(blocked)).toMatchObject({ verdict: 2, action: 2, source: 0 });
  });

  test("fingerprint 0 is never written", async () => {
    const loaded = await prepare(1);
    loaded.slot.setVerdict(0n, { verdict: "attack", action: "block", rule: 0, source: "judged" });
    loaded.slot.setVerdicts([[0n, { verdict: "attack", action: "block", rule: 0, source: "judged" }]]);
    expect(new Map(loaded.slot.verdicts()).has(0n)).toBe(false);
  });
});

describe("the end", () => {
  test("stopping leaves no program, no map, no link and no pin", async () => {
    // Slots that earlier tests prepared and let be are theirs.
    await kernel.close({ keep: false });
    const others = held();
    await open();
    versions.makeStable(await prepare(1), 0);
    kernel.attach();
    const whileRunning = new Set([...held()].filter(each => !others.has(each)));
    expect(whileRunning.size).toBeGreaterThan(20);
    versions.close();
    await kernel.close({ keep: false });
    expect(existsSync(pins)).toBe(false);
    expect([...held()].filter(each => !others.has(each))).toEqual([]);
    await areGone(whileRunning);
    await open();
  });

  test("told to keep enforcing, the programs stay and the next agent takes them over", async () => {
    const first = await prepare(1);
    first.slot.setVerdict(77n, { verdict: "attack", action: "block", rule: 1, source: "judged" });
    versions.makeStable(first, 0);
    kernel.attach();
    await kernel.close({ keep: true });
    expect(existsSync(`${pins}/links/enrol`)).toBe(true);
    await open(true, { ordinal: 1, stable: { slot: 0, ordinal: 1, parts: Versions.key(first.parts) } });
    expect(kernel.tookOver).toBe(true);
    expect(kernel.dispatched()).toEqual({ stable: 0, candidate: 0 });
    // The slot of the predecessor runs until the successor's own is ready.
    const loaded = await prepare(1);
    expect(loaded).toMatchObject({ ordinal: 2, slot: { index: 1 } });
    // What had been judged is still known: no attack gets a second first time.
    expect(new Map(loaded.slot.verdicts()).get(77n)).toMatchObject({ verdict: 2, action: 2, rule: 1 });
    versions.makeStable(loaded, 0);
    kernel.attach();
    await kernel.close({ keep: false });
    expect(existsSync(pins)).toBe(false);
    await open();
  });

  const otherPins: [what: string, map: string, instead: string, why: RegExp][] = [
    ["entries of another size", "holds", "workloads", /as map 'holds': value bytes 8, wanted 16/],
    ["a map of another kind", "judges", "losses", /as map 'judges': type 6, wanted 18/],
  ];
  test.each(otherPins)(
    "of the same ABI by number, but with %s: what a predecessor pinned is taken away, and the start goes on",
    async (_what, map, instead, why) => {
      const first = await prepare(1);
      versions.makeStable(first, 0);
      kernel.attach();
      await kernel.close({ keep: true });
      rmSync(`${pins}/maps/${map}`);
      const other = BpfMap.openPinned(`${pins}/maps/${instead}`);
      other.pin(`${pins}/maps/${map}`);
      other.close();
      await open(true, { ordinal: 1, stable: { slot: 0, ordinal: 1, parts: Versions.key(first.parts) } });
      expect(kernel.tookOver).toBe(false);
      expect(kernel.discarded).toMatch(why);
      expect(kernel.dispatched()).toBeNull();
      const loaded = await prepare(1);
      expect(loaded).toMatchObject({ ordinal: 2, slot: { index: 0 } });
      versions.makeStable(loaded, 0);
      kernel.attach();
      await kernel.close({ keep: false });
      expect(existsSync(pins)).toBe(false);
      await open();
    },
  );
});

test("membership in a socket map is tried before any application's socket is touched", async () => {
  const check = await checkSockets(object("dispatcher"));
  expect(check.fionread).not.toBe("wrong");
  expect(check.wakes).toBe(true);
});

describe("event numbers", () => {
  const cases: [why: string, fresh: boolean, numbers: number[], emitted: number, lost: number][] = [
    ["nothing lost", true, [1, 2, 3], 3, 0],
    ["the first ones lost", true, [3, 4], 4, 2],
    ["one lost in the middle", true, [1, 3], 3, 1],
    ["two the other way round", true, [2, 1, 3], 3, 0],
    ["taken over in mid-stream", false, [100, 101, 103], 4, 1],
    ["taken over, the first two the other way round", false, [101, 100, 102], 3, 0],
  ];
  test.each(cases)("%s", (_, fresh, numbers, emitted, lost) => {
    const tracker = new SequenceTracker(fresh);
    for (const number of numbers) tracker.feed(0, BigInt(number));
    expect(tracker.totals).toEqual({ emitted, received: numbers.length, lost });
  });

  test("CPUs count apart", () => {
    const tracker = new SequenceTracker(true);
    tracker.feed(0, 1n);
    tracker.feed(1, 2n);
    expect(tracker.totals).toEqual({ emitted: 3, received: 2, lost: 1 });
  });
});
