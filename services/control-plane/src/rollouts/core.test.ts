import type { RolloutState } from "@picket/shared/api";
import type { Installed } from "@picket/shared/contract";
import type { NodeId, RuleSetName, RuleVersion } from "@picket/shared/ids";
import fc from "fast-check";
import { expect, test } from "vitest";
import { after, type Decision, pass, type ReachedNode, type RolloutVerb, type World } from "./core.ts";

const v = (version: number) => version as RuleVersion;

// ---- the gate

const active = (version: number, generation = 1): Installed =>
  ({ kind: "active", ruleSet: "shop", version, generation }) as Installed;
const keptLastGood = (refused: number, generation = 1, detail = "R1 invalid"): Installed =>
  ({
    kind: "kept-last-good",
    ruleSet: "shop",
    version: 1,
    refused,
    generation,
    because: { code: "verifier-refused", detail },
  }) as Installed;
const good: ReachedNode = {
  hostname: "good",
  labels: {},
  installedForMs: 1_000,
  absent: false,
  target: { version: v(2), generation: 1 },
  installed: active(2),
  silent: false,
  eventsLost: 0,
};
type Given = Partial<Omit<World, "steps">> & { stepsTotal?: number; soakMs?: number; approval?: boolean };
const world = (
  nodes: ReachedNode[],
  { stepsTotal = 2, soakMs = 60_000, approval = false, ...over }: Given = {},
): World => ({
  state: "running",
  ruleSet: "shop" as RuleSetName,
  mode: "enforce",
  step: 0,
  steps: Array.from({ length: stepsTotal }, (_, i) => ({
    percent: 50 * (i + 1),
    soakMs,
    requireApproval: approval,
  })),
  stepAgeMs: 60_000,
  approvedStep: -1,
  lostEventsMax: 0,
  settings: { compare: "available", alpha: 0.01, askAfter: "1h" },
  askAfterMs: 3_600_000,
  stop: null,
  frozen: null,
  waiting: [],
  nodes,
  domains: [],
  settleMs: 0,
  domainSizes: new Map(),
  samples: { canary: [], control: [] },
  ...over,
});
const input = (nodes: ReachedNode[], over: Given = {}): World => world(nodes, over);
const decide = (given: World): Decision => pass(given).decided.decision;

test.each<[string, World, string]>([
  ["all is well", input([good]), "advance soaked"],
  ["the last step completes", input([good], { step: 1 }), "complete soaked"],
  ["the soak is not over", input([good], { stepAgeMs: 59_999 }), "wait soaking"],
  [
    "one has not installed",
    input([good, { ...good, hostname: "slow", installed: null }]),
    "wait slow not installed yet",
  ],
  [
    "one runs the version before",
    input([good, { ...good, hostname: "old", installed: active(1) }]),
    "wait old not installed yet",
  ],
  [
    "one says so of an earlier assignment",
    input([{ ...good, target: { version: v(2), generation: 2 } }]),
    "wait good not installed yet",
  ],
  [
    "one refused",
    input([good, { ...good, hostname: "no", installed: keptLastGood(2) }]),
    "wait no refused: verifier-refused: R1 invalid",
  ],
  [
    "several refused for reasons of their own",
    input(
      ["a", "b", "c"].map((hostname, i) => ({
        ...good,
        hostname,
        installed: keptLastGood(2, 1, i < 2 ? "R1 invalid\n7: r1 = 0" : "no program\n8: exit"),
      })),
    ),
    "wait a, b, c refused: verifier-refused: R1 invalid; c otherwise: verifier-refused: no program\n7: r1 = 0",
  ],
  [
    "one refused another version before",
    input([{ ...good, hostname: "no", installed: keptLastGood(1) }]),
    "wait no not installed yet",
  ],
  [
    "one is silent since it installed",
    input([good, { ...good, hostname: "away", silent: true }]),
    "wait no fresh report from away",
  ],
  [
    "one never reported",
    input([{ ...good, hostname: "new", installed: null, silent: true }]),
    "wait new not installed and not reporting",
  ],
  [
    "one lost events",
    input([good, { ...good, hostname: "lossy", eventsLost: 1 }]),
    "wait lossy lost 1 events",
  ],
  [
    "one lost events and a person lets it go on",
    input([good, { ...good, hostname: "lossy", eventsLost: 1 }], { approvedStep: 1 }),
    "advance soaked; 2 nodes installed; lossy lost events",
  ],
  ["losses within the bound", input([{ ...good, eventsLost: 5 }], { lostEventsMax: 5 }), "advance soaked"],
  ["nobody is left", input([]), "wait no node of this step is left"],
  [
    "one was away when it was told",
    input([good, { ...good, hostname: "away", installed: null, silent: true, absent: true }]),
    "advance soaked; 1 node installed; none lost events beyond 0; 1 away",
  ],
  [
    "most were away when they were told",
    input([good, ...["a", "b"].map(hostname => ({ ...good, hostname, installed: null, absent: true }))]),
    "wait 2 of 3 nodes are away",
  ],
  [
    "the fleet is stopped",
    input([good], { stop: { by: "mia", reason: "checkout down" } }),
    "wait the fleet is stopped by mia: checkout down",
  ],
  [
    "a freeze",
    input([good], { frozen: { untilMs: 0, reason: "Friday" } }),
    "wait frozen until 1970-01-01T00:00:00.000Z: Friday",
  ],
  [
    "the next step asks for approval",
    input([good], { approval: true }),
    "wait step 2 begins when it is approved",
  ],
  ["it was approved", input([good], { approval: true, approvedStep: 1 }), "advance soaked"],
  [
    "it was promoted before the soak was over",
    input([good], { stepAgeMs: 1, approvedStep: 1 }),
    "advance approved before it was proven",
  ],
  [
    "a promotion does not pass over a node that has not installed",
    input([good, { ...good, hostname: "slow", installed: null }], { approvedStep: 1 }),
    "wait slow not installed yet",
  ],
  [
    "a comparison is required and there is nothing to compare",
    input([good], { settings: { compare: "required", alpha: 0.01, askAfter: "1h" } }),
    "wait inconclusive: no node to compare with reports",
  ],
  [
    "it stays inconclusive: a person is asked",
    input([good], {
      settings: { compare: "required", alpha: 0.01, askAfter: "1h" },
      stepAgeMs: 60_000 + 3_600_000,
    }),
    "wait inconclusive for longer than it may wait",
  ],
  [
    "the last step leaves nobody to compare with",
    input([good], { step: 1, settings: { compare: "required", alpha: 0.01, askAfter: "1h" } }),
    "complete soaked",
  ],
  [
    "nodes wait for room in their domains",
    input([{ ...good, labels: { zone: "a" } }], {
      domains: [{ label: "zone", nodes: 1 }],
      settleMs: 5_000,
      waiting: [{ node: "n" as NodeId, hostname: "n", labels: { zone: "a" }, present: true }],
    }),
    "wait nodes wait until their domains have room",
  ],
  [
    "many are named by three",
    input(["a", "b", "c", "d", "e"].map(hostname => ({ ...good, hostname, installed: null }))),
    "wait a, b, c and 2 more",
  ],
  ["rolled back", input([good], { state: "rolling-back", stepAgeMs: 0 }), "rolled-back 1 node"],
  [
    "not rolled back yet",
    input([{ ...good, installed: active(3) }], { state: "rolling-back" }),
    "wait good not installed yet",
  ],
  [
    "a roll back does not wait for losses",
    input([{ ...good, eventsLost: 9 }], { state: "rolling-back" }),
    "rolled-back",
  ],
])("%s", (_, given, expected) => {
  const decision = decide(given);
  expect(`${decision.kind} ${decision.because}`).toContain(expected);
});

const anyNode: fc.Arbitrary<ReachedNode> = fc.record({
  hostname: fc.constantFrom("a", "b", "c"),
  labels: fc.constant({}),
  installedForMs: fc.constant(0),
  absent: fc.constant(false),
  target: fc.record({ version: fc.constant(v(2)), generation: fc.integer({ min: 1, max: 3 }) }),
  installed: fc.oneof(
    fc.constant(null),
    fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 3 })).map(([a, b]) => active(a, b)),
    fc
      .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 3 }))
      .map(([a, b]) => keptLastGood(a, b)),
  ),
  silent: fc.boolean(),
  eventsLost: fc.integer({ min: 0, max: 3 }),
});

test("nothing but full evidence from every node advances, and full evidence always does", () => {
  fc.assert(
    fc.property(
      fc.array(anyNode, { maxLength: 6 }),
      fc.integer({ min: 0, max: 120_000 }),
      fc.integer({ min: 0, max: 2 }),
      (nodes, stepAgeMs, lostEventsMax) => {
        const given = input(nodes, { stepAgeMs, lostEventsMax });
        const proven =
          nodes.length > 0 &&
          stepAgeMs >= 60_000 &&
          nodes.every(
            node =>
              node.installed?.kind === "active" &&
              node.installed.version === node.target.version &&
              node.installed.generation >= node.target.generation &&
              !node.silent &&
              node.eventsLost <= lostEventsMax,
          );
        expect(decide(given).kind).toBe(proven ? "advance" : "wait");
      },
    ),
    { numRuns: 2_000 },
  );
});

// ---- the state machine

const verbs: RolloutVerb[] = [
  "begin",
  "pause",
  "resume",
  "abort",
  "roll-back",
  "complete",
  "finish-roll-back",
];

test("whatever is asked in whatever order, only a running rollout completes and only a rolling-back one has rolled back", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...verbs), { maxLength: 30 }), asked => {
      let state: RolloutState = "scheduled";
      for (const verb of asked) {
        const next = after(state, verb);
        if (next === "complete") expect(state).toBe("running");
        if (next === "rolled-back") expect(state).toBe("rolling-back");
        if (next === "running") expect(["paused", "scheduled"]).toContain(state);
        // What ended comes back only to be taken back.
        if (["complete", "aborted", "rolled-back"].includes(state) && next !== null)
          expect(next).toBe("rolling-back");
        state = next ?? state;
      }
    }),
  );
});

test("every active state can be ended", () => {
  for (const state of ["scheduled", "running", "paused", "rolling-back"] as const)
    expect(after(state, "abort")).toBe("aborted");
});

// ---- twins

const compareBy = (compare: "off" | "required") => ({ compare, alpha: 0.01, askAfter: "1h" }) as const;
type Seen = Partial<NonNullable<World["twin"]>>;

test.each<[why: string, seen: Seen, given: Given, kind: Decision["kind"], because: RegExp]>([
  ["none was compared", {}, {}, "complete", /soaked/],
  ["both judge alike", { compared: 900 }, {}, "complete", /soaked/],
  ["another verdict, by which nothing is blocked", { compared: 900, otherwise: 3 }, {}, "complete", /soaked/],
  ["it would block one", { compared: 900, wouldBlock: 1 }, {}, "wait", /^there are .*would block$/],
  ["it would let one pass", { compared: 900, wouldPass: 1 }, {}, "wait", /^there are .*let pass$/],
  ["while it soaks", { compared: 900, wouldBlock: 1 }, { stepAgeMs: 1_000 }, "wait", /^soaking$/],
  ["a person has read it", { compared: 900, wouldBlock: 1 }, { approvedStep: 1 }, "complete", /./],
  ["nothing is to be compared", { wouldBlock: 1 }, { settings: compareBy("off") }, "complete", /soaked/],
  ["none was, and it must be", {}, { settings: compareBy("required") }, "wait", /no data on .*the twin/],
])("a twin: %s", (_, seen, given, kind, because) => {
  const nothing = { nodes: 1, statements: 900, compared: 0, wouldBlock: 0, wouldPass: 0, otherwise: 0 };
  const twin = { ...nothing, ...seen };
  const { decision } = pass(world([good], { stepsTotal: 1, mode: "twin", twin, ...given })).decided;
  expect(decision).toMatchObject({ kind, because: expect.stringMatching(because) });
  expect("asks" in decision).toBe(decision.because.startsWith("there are"));
});
