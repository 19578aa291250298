/**
 * The live detections as a value: rows by sequence, newest first and bounded, and how fresh they are. Pure:
 * what arrives by stream and what a backfill answers go in, in any order and more than once.
 */
import type { DetectionRow } from "@picket/shared/api";

export const ROWS_MAX = 1_000;

export type Link =
  | { kind: "connecting" }
  | { kind: "live" }
  /** Nothing arrives; rows up to the last one are still right. */
  | { kind: "lost"; sinceMs: number; retryAtMs: number };

export interface Feed {
  link: Link;
  rows: readonly DetectionRow[];
  /** Whether the first backfill has answered: before that an empty list means nothing. */
  filled: boolean;
  /** The control plane has older ones than the last row here. */
  more: boolean;
  /** Grows when older ones are asked for. */
  rowsMax: number;
  /** Highest sequence there was at the first backfill: what is above it arrived while watching. */
  firstSequence: number;
}

export const emptyFeed: Feed = {
  link: { kind: "connecting" },
  rows: [],
  filled: false,
  more: false,
  rowsMax: ROWS_MAX,
  firstSequence: Number.MAX_SAFE_INTEGER,
};

export function receive(feed: Feed, arrived: readonly DetectionRow[]): Feed {
  const known = new Set(feed.rows.map(row => row.sequence));
  const fresh = arrived.filter(row => !known.has(row.sequence) && known.add(row.sequence));
  if (fresh.length === 0) return feed;
  const rows = [...feed.rows, ...fresh].sort((a, b) => b.sequence - a.sequence);
  return { ...feed, rows: rows.slice(0, feed.rowsMax), more: feed.more || rows.length > feed.rowsMax };
}

export interface Page {
  items: readonly DetectionRow[];
  nextCursor: string | null;
}

/** The newest page, asked when the stream is open. */
export function backfilled(feed: Feed, { items, nextCursor }: Page): Feed {
  const next = receive(feed, items);
  if (feed.filled) return next;
  const highest = items.reduce((max, row) => Math.max(max, row.sequence), 0);
  return { ...next, filled: true, more: next.more || nextCursor !== null, firstSequence: highest };
}

/** A page of what is older than the last row. */
export function reachedBack(feed: Feed, { items, nextCursor }: Page): Feed {
  const next = receive({ ...feed, rowsMax: feed.rowsMax + items.length }, items);
  return { ...next, more: nextCursor !== null };
}

/** Time between attempts grows to a bound: a control plane that comes back is not met by every page at once. */
export function retryDelayMs(attempt: number, random: number): number {
  const ceiling = Math.min(15_000, 1_000 * 2 ** Math.min(attempt, 4));
  return Math.round(ceiling * (0.5 + random / 2));
}
