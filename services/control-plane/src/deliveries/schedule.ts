/** What follows an attempt. Pure: the schedule, the outcome and randomness go in. */

export type Outcome =
  | { kind: "answered"; status: number; retryAfterMs: number | null }
  | { kind: "failed"; error: string }
  /** Not sent, and sending again would not help: the address is refused by policy. */
  | { kind: "refused"; error: string };

export type Next =
  | { kind: "delivered" }
  | { kind: "retry"; inMs: number }
  | { kind: "dead"; because: string; disable: boolean };

/** How far a delay is spread, so that receivers that failed together are not called together. */
const JITTER = 0.2;
const RETRY_AFTER_MS_MAX = 86_400_000;

/** `attempts` counts this one; `random` is in [0, 1). */
export function nextAttempt(
  outcome: Outcome,
  { attempts, scheduleMs, random }: { attempts: number; scheduleMs: readonly number[]; random: number },
): Next {
  switch (outcome.kind) {
    case "refused":
      return { kind: "dead", because: outcome.error, disable: false };
    case "answered":
      if (outcome.status >= 200 && outcome.status < 300) return { kind: "delivered" };
      // 410 Gone: the receiver asks never to be called again.
      if (outcome.status === 410)
        return { kind: "dead", because: "the receiver answered 410 Gone", disable: true };
      break;
    case "failed":
      break;
  }
  const delayMs = scheduleMs[attempts - 1];
  if (delayMs === undefined)
    return { kind: "dead", because: `gave up after ${attempts} attempts`, disable: false };
  const jittered = delayMs * (1 - JITTER + random * 2 * JITTER);
  const askedMs = outcome.kind === "answered" ? Math.min(outcome.retryAfterMs ?? 0, RETRY_AFTER_MS_MAX) : 0;
  return { kind: "retry", inMs: Math.round(Math.max(jittered, askedMs)) };
}
