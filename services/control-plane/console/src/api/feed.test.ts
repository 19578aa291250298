import type { DetectionRow } from "@picket/shared/api";
import { expect, test } from "vitest";
import {
  backfilled,
  emptyFeed,
  type Feed,
  type Page,
  ROWS_MAX,
  reachedBack,
  receive,
  retryDelayMs,
} from "./feed.ts";

const row = (sequence: number) => ({ sequence }) as DetectionRow;
const rows = (...sequences: number[]) => sequences.map(row);
const page = (nextCursor: string | null, ...sequences: number[]): Page => ({
  items: rows(...sequences),
  nextCursor,
});
const shown = (feed: Feed) => feed.rows.map(each => each.sequence);

test("what comes by stream and by backfill, in any order, is shown once and newest first", () => {
  const streamed = receive(emptyFeed, rows(7, 8));
  const filled = backfilled(streamed, page(null, 5, 6, 7));
  expect(shown(receive(filled, rows(8, 9)))).toEqual([9, 8, 7, 6, 5]);
});

test("a row repeated within one burst is shown once", () => {
  expect(shown(receive(emptyFeed, rows(1, 1, 2)))).toEqual([2, 1]);
});

test("only what is above the first backfill has arrived while watching", () => {
  const filled = backfilled(emptyFeed, page(null, 5, 6));
  expect(filled.firstSequence).toBe(6);
  expect(backfilled(filled, page(null, 6, 7)).firstSequence).toBe(6);
});

test("the list is bounded and says that there are older ones", () => {
  const many = Array.from({ length: ROWS_MAX + 10 }, (_, i) => row(i + 1));
  const feed = receive(emptyFeed, many);
  expect(feed.rows).toHaveLength(ROWS_MAX);
  expect(feed.rows.at(-1)?.sequence).toBe(11);
  expect(feed.more).toBe(true);
});

test("older ones that are asked for are kept, until there are none", () => {
  const feed = backfilled({ ...emptyFeed, rowsMax: 2 }, page("8", 8, 9));
  expect(feed.more).toBe(true);
  const back = reachedBack(feed, page(null, 6, 7));
  expect(shown(back)).toEqual([9, 8, 7, 6]);
  expect(back.more).toBe(false);
});

test("attempts grow apart up to a bound and are spread", () => {
  const delays = [0, 1, 2, 3, 4, 5, 50].map(attempt => retryDelayMs(attempt, 1));
  expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  expect(retryDelayMs(0, 0)).toBe(500);
});
