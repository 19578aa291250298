/** Freeze windows: when no step begins and no further node is told. Going back is never frozen. */
import type { FreezeWindow, Weekday } from "@picket/shared/api";

const DAYS: readonly Weekday[] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MINUTE_MS = 60_000;
const DAY_MIN = 1_440;
/** Longer chains of windows end here: a person looks at it in any case. */
const HORIZON_MS = 400 * 86_400_000;

export interface Frozen {
  untilMs: number;
  reason: string;
}

/** Null: not frozen. Windows that follow one another without a gap are one. */
export function frozenUntil(
  windows: readonly { window: FreezeWindow; reason: string }[],
  nowMs: number,
): Frozen | null {
  let at = nowMs;
  let reason: string | null = null;
  for (let moved = true; moved && at < nowMs + HORIZON_MS; ) {
    moved = false;
    for (const each of windows) {
      const end = endOf(each.window, at);
      if (end === null || end <= at) continue;
      at = end;
      reason ??= each.reason;
      moved = true;
    }
  }
  return reason === null ? null : { untilMs: at, reason };
}

/** When the window that holds this moment ends; null: none does. */
export function endOf(window: FreezeWindow, atMs: number): number | null {
  switch (window.kind) {
    case "once": {
      const [from, to] = [Date.parse(window.from), Date.parse(window.to)];
      return atMs >= from && atMs < to ? to : null;
    }
    case "weekly": {
      const [from, to] = [minutesOf(window.from), minutesOf(window.to)];
      const local = localTime(window.timeZone, atMs);
      // The one that began today, or the one that began yesterday and goes on over midnight.
      const overnight = to <= from;
      const today = window.days.includes(DAYS[local.day]!);
      const yesterday = window.days.includes(DAYS[(local.day + 6) % 7]!);
      if (today && local.minute >= from && (overnight || local.minute < to))
        return atLocal(window.timeZone, atMs, (overnight ? DAY_MIN : 0) + to - local.minute, to);
      if (overnight && yesterday && local.minute < to)
        return atLocal(window.timeZone, atMs, to - local.minute, to);
      return null;
    }
  }
}

/** Null: this runtime does not know it. */
export function checkTimeZone(timeZone: string): string | null {
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    return null;
  } catch {
    return `"${timeZone}" is no time zone: write a name such as Europe/Berlin or UTC`;
  }
}

const minutesOf = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3));

const formats = new Map<string, Intl.DateTimeFormat>();

function localTime(timeZone: string, atMs: number): { day: number; minute: number } {
  let format = formats.get(timeZone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone,
      weekday: "short",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    });
    formats.set(timeZone, format);
  }
  const parts = Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, value]));
  return {
    day: DAYS.indexOf(parts.weekday!.toLowerCase() as Weekday),
    minute: Number(parts.hour) * 60 + Number(parts.minute),
  };
}

/** So many local minutes ahead; where clocks are changed in between, the time of day is what counts. */
function atLocal(timeZone: string, fromMs: number, minutes: number, minuteOfDay: number): number {
  const wholeMinute = Math.floor(fromMs / MINUTE_MS) * MINUTE_MS;
  const naive = wholeMinute + minutes * MINUTE_MS;
  const off = localTime(timeZone, naive).minute - minuteOfDay;
  const nearest = off > DAY_MIN / 2 ? off - DAY_MIN : off < -DAY_MIN / 2 ? off + DAY_MIN : off;
  return naive - nearest * MINUTE_MS;
}
