/** One ticking clock for every relative time on the page. */
import { useSyncExternalStore } from "react";

const TICK_MS = 1_000;
let nowMs = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    nowMs = Date.now();
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** Renders again only when what `read` makes of the time has changed. */
export function useNow<T extends string | number | boolean>(read: (nowMs: number) => T): T {
  return useSyncExternalStore(subscribe, () => read(nowMs));
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function amount(ms: number): string {
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} days`;
}

/** A host's clock may be a little ahead: what is not clearly in the future is now. */
export function relative(atMs: number, now: number): string {
  const ms = now - atMs;
  if (ms < -10 * SECOND) return `in ${amount(-ms)}`;
  if (ms < 5 * SECOND) return "just now";
  return `${amount(ms)} ago`;
}

export const span = amount;

const absoluteFormat = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium",
  timeStyle: "long",
});
export const absolute = (iso: string): string => absoluteFormat.format(new Date(iso));

const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
export const clockTime = (iso: string | number): string => clockFormat.format(new Date(iso));
