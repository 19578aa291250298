/**
 * Moves the spool up, oldest first. A batch counts as uploaded only after the control plane committed it; a batch
 * sent twice is deduplicated there by event id. While the control plane is away the agent judges and spools.
 */
import type { Log } from "../log.ts";
import type { Spool } from "../spool/spool.ts";
import { backoffMs } from "./backoff.ts";
import { type ControlPlane, eventBatchBody, explain, type UplinkError } from "./control-plane.ts";
import { Doorbell } from "./doorbell.ts";
import { keepRunning } from "./loop.ts";
import { sleep } from "./sleep.ts";

const BATCH = { records: 500, bytes: 512 << 10 };
/** How long a quiet uploader waits for a nudge before it looks again. */
const IDLE_MS = 5_000;

export type Uploader = { nudge(): void; stopped: Promise<void> };

export function startUpload(input: {
  spool: Spool;
  controlPlane: Pick<ControlPlane, "events">;
  log: Log;
  signal: AbortSignal;
  random?: () => number;
  wait?: typeof sleep;
}): Uploader {
  const { spool, controlPlane, log, signal, random = Math.random, wait = sleep } = input;
  const doorbell = new Doorbell();

  async function run(): Promise<void> {
    let failures = 0;
    let records = BATCH.records;
    while (!signal.aborted) {
      const batch = spool.peek({ records, bytes: BATCH.bytes });
      if (!batch) {
        await doorbell.wait(IDLE_MS, signal);
        continue;
      }
      const answer = await controlPlane.events(eventBatchBody(batch.payloads));
      if (answer.ok) {
        failures = 0;
        spool.acknowledge(batch);
        records = Math.min(BATCH.records, records * 2);
        continue;
      }
      if (signal.aborted) return;
      if (isAboutContent(answer.error)) {
        // One event that the control plane cannot take must not hold up the rest: halve until it stands alone.
        if (batch.payloads.length > 1) records = Math.ceil(batch.payloads.length / 2);
        else {
          log.error({ detail: explain(answer.error) }, "one event was refused for good and is dropped");
          spool.discard(batch);
        }
        continue;
      }
      failures += 1;
      // Said once when it begins, not at every retry.
      if (failures === 1)
        log.warn({ pending: spool.pending }, `events stay in the spool: ${explain(answer.error)}`);
      await wait(backoffMs(failures, random()), signal);
    }
  }
  return { nudge: () => doorbell.ring(), stopped: keepRunning("upload", run, { log, signal, random, wait }) };
}

function isAboutContent(error: UplinkError): boolean {
  return error.kind === "refused" && (error.status === 400 || error.status === 413 || error.status === 422);
}
