/** A thread that compiles two rule sets and judges shapes by both; what it says when is replay-thread.ts. */
import { Worker } from "node:worker_threads";
import type { BacktestReport } from "@picket/shared/backtest";
import { err, ok, type Result } from "@picket/shared/result";
import type { StoredShape } from "./run.ts";

export type Replay = {
  feed(shapes: readonly StoredShape[]): Promise<void>;
  report(): Promise<BacktestReport>;
  close(): void;
};

export type ToThread = { kind: "feed"; shapes: readonly StoredShape[] } | { kind: "report" };
export type FromThread =
  | { kind: "ready" }
  | { kind: "invalid"; error: string }
  | { kind: "fed" }
  | { kind: "report"; report: BacktestReport };

const MEMORY_MB = 512;

export async function openReplay(rules: {
  candidate: string;
  baseline: string | null;
}): Promise<Result<Replay, string>> {
  const worker = start(rules);
  /** One question at a time, so each answer is the last question's. */
  let waiting: { resolve(message: FromThread): void; reject(error: Error): void } | null = null;
  let ended: Error | null = null;
  const end = (error: Error) => {
    ended ??= error;
    waiting?.reject(ended);
  };
  worker.on("message", (message: FromThread) => waiting?.resolve(message));
  worker.on("error", end);
  worker.on("exit", () => end(new Error("the backtest was stopped before it was done")));
  const answer = () =>
    new Promise<FromThread>((resolve, reject) => {
      if (ended) reject(ended);
      else waiting = { resolve, reject };
    });
  const ask = (question: ToThread): Promise<FromThread> => {
    const answered = answer();
    worker.postMessage(question);
    return answered;
  };
  const close = () => void worker.terminate();
  try {
    const first = await answer();
    if (first.kind === "invalid") {
      close();
      return err(first.error);
    }
  } catch (error) {
    close();
    return err(`the rule set could not be compiled: ${(error as Error).message}`);
  }
  return ok({
    async feed(shapes) {
      await ask({ kind: "feed", shapes });
    },
    async report() {
      const answered = await ask({ kind: "report" });
      if (answered.kind !== "report") throw new Error(`a report was asked for, not ${answered.kind}`);
      return answered.report;
    },
    close,
  });
}

/** From source there is no JavaScript to start: a thread registers a TypeScript loader first. */
function start(workerData: { candidate: string; baseline: string | null }): Worker {
  const options = { workerData, resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB } };
  if (!import.meta.url.endsWith(".ts"))
    return new Worker(new URL("./replay-thread.js", import.meta.url), options);
  const source = JSON.stringify(new URL("./replay-thread.ts", import.meta.url).href);
  return new Worker(`import("tsx/esm/api").then(api => { api.register(); return import(${source}); })`, {
    ...options,
    eval: true,
  });
}
