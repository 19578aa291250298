import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Outcome, runChaos } from "./chaos.ts";
import { INVARIANTS } from "./invariants.ts";

const built = existsSync(new URL("../../services/control-plane/dist/main.js", import.meta.url));

// Short: one rollout with a few kills at each step. `npm run chaos` goes on for as long as it is asked to.
let outcome: Outcome;
beforeAll(async () => {
  if (!built) return;
  outcome = await runChaos({
    seed: 20_261_122,
    nodes: 14,
    percents: [10, 50, 100],
    killsPerStep: 2,
    mostMs: 200_000,
  });
}, 300_000);
afterAll(() => outcome?.world.stop());

test.runIf(built).each(Object.keys(INVARIANTS))(
  "after kill -9 of parts at every step: %s",
  async sentence => {
    expect(await INVARIANTS[sentence]!(outcome)).toEqual([]);
  },
);

if (!built) console.warn("NOT TESTED: chaos. Build first: npx turbo run build");
