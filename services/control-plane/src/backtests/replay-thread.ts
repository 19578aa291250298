/** The thread of replay.ts. A shape is judged for each workload that uses it; user and database are not known. */
import { strict as assert } from "node:assert";
import { parentPort, workerData } from "node:worker_threads";
import { createBacktest } from "@picket/judge/backtest";
import { compileRuleSet } from "@picket/judge/compile";
import { statementsOf } from "@picket/judge/replay";
import { formatRuleErrors } from "@picket/judge/rule-error";
import { defaultSession } from "@picket/judge/session";
import type { FromThread, ToThread } from "./replay.ts";
import type { StoredShape } from "./run.ts";

assert(parentPort, "this file is a thread's");
const port = parentPort;
const say = (message: FromThread) => port.postMessage(message);
const { candidate: text, baseline: baselineText } = workerData as {
  candidate: string;
  baseline: string | null;
};

const candidate = compileRuleSet(text);
// What is stable compiled once; where this build refuses it, there is nothing to compare with.
const baseline = baselineText === null ? null : compileRuleSet(baselineText);
if (!candidate.ok) say({ kind: "invalid", error: formatRuleErrors("rules.yaml", candidate.error) });
else {
  const backtest = createBacktest({
    candidate: candidate.value,
    baseline: baseline?.ok ? baseline.value : null,
  });
  port.on("message", (message: ToThread) => {
    switch (message.kind) {
      case "feed":
        for (const shape of message.shapes) backtest.feed(replayed(shape));
        say({ kind: "fed" });
        break;
      case "report":
        say({ kind: "report", report: backtest.report() });
        break;
    }
  });
  say({ kind: "ready" });
}

function replayed({ digest, dialect, text, workload, uses, nodes, isNew }: StoredShape) {
  return {
    key: digest,
    spellings: statementsOf(text, dialect, digest),
    dialect,
    session: defaultSession(dialect),
    statements: uses,
    context: { workload },
    isNew,
    nodes,
    workloads: [workload],
  };
}
