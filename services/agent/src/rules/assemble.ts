/** What statements are judged by, put together: lexer and learned shapes, verdicts by hand, versions, their installer. */

import { Escalation } from "@picket/judge/ast/escalation";
import type { HashKey } from "@picket/native/lexer";
import type { Detection } from "@picket/shared/detection";
import type { ObjectDigest } from "@picket/shared/ids";
import { Bench } from "../capture/bench.ts";
import { digestOf, KERNEL_ABI, type Kernel } from "../capture/kernel.ts";
import { readObject } from "../capture/objects.ts";
import type { Config } from "../config.ts";
import { Overrides } from "../control/overrides.ts";
import type { Log } from "../log.ts";
import { createCompiler } from "./compile.ts";
import { Installer } from "./installer.ts";
import { LearnedShapes } from "./learned.ts";
import { createLexing } from "./lexing.ts";
import { selfTest } from "./self-test.ts";
import { RuleStore } from "./store.ts";
import type { Twins } from "./twin.ts";
import { type HoldingRules, type Remembered, Versions } from "./versions.ts";

export type Judging = ReturnType<typeof createJudging>;

export function createJudging(input: {
  config: Config;
  kernel: Kernel;
  secrets: HashKey;
  predecessor: Remembered | null;
  remember: (running: Remembered) => void;
  holding: HoldingRules;
  twins: () => Twins;
  store: (detections: Detection[]) => void;
  /** What the node reports has changed. */
  changed: () => void;
  log: Log;
}) {
  const { config, kernel, secrets } = input;
  const lexing = createLexing(secrets);
  const learned = new LearnedShapes();
  const escalation = new Escalation();
  const bench = new Bench({ dispatcher: () => readObject("dispatcher"), kernel });
  const overrides: Overrides = new Overrides({
    stateDirectory: config.stateDirectory,
    lexing,
    set: override => versions.setOverride(override),
    clear: fingerprint => versions.clearOverride(fingerprint),
    tell: detection => input.store([detection]),
    nowMs: Date.now(),
  });
  const overridden = () => new Set([...overrides.all()].map(({ fingerprint }) => fingerprint));
  const versions: Versions = new Versions({
    kernel,
    learned,
    secrets: { hashKey: secrets.key, hashStart: secrets.start },
    predecessor: input.predecessor,
    overrides: () => overrides.all(),
    selfTest: selfTest(bench, lexing, overridden),
    remember: input.remember,
    holding: input.holding,
    compareOneIn: config.compareOneIn,
  });
  const installer = new Installer({
    versions,
    twins: input.twins,
    store: new RuleStore(config.stateDirectory),
    shipped: { digest: digestOf(readObject("slot")) as ObjectDigest, read: () => readObject("slot") },
    compile: createCompiler(secrets, escalation),
    abi: KERNEL_ABI,
    kernel: config.kernel,
    nowMs: Date.now,
    log: input.log,
    changed: input.changed,
  });
  return { escalation, lexing, learned, bench, overrides, versions, installer };
}
