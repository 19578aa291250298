/**
 * Keeps one detection feed for the page: opens the stream first and backfills then, so that nothing committed
 * in between is missed (feed.ts drops what comes twice). A stream that ends is opened again with the sequence
 * it had reached, and the gap is backfilled.
 */
import { DetectionRow, page } from "@picket/shared/api";
import { useSyncExternalStore } from "react";
import { backfilled, emptyFeed, type Feed, reachedBack, receive, retryDelayMs } from "./feed.ts";
import { get, isSignedOut } from "./http.ts";
import { me, queryClient } from "./queries.ts";

const Page = page(DetectionRow);
const PAGE_ROWS = 200;

class DetectionFeed {
  #feed: Feed = emptyFeed;
  #listeners = new Set<() => void>();
  #stream: EventSource | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #waiting: DetectionRow[] = [];

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#open();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#close();
    };
  };
  readonly current = (): Feed => this.#feed;

  /** Asks for a page of older ones; throws what the call threw. */
  readonly reachBack = async (): Promise<void> => {
    const oldest = this.#feed.rows.at(-1)?.sequence;
    if (oldest === undefined) return;
    const page = await get(`/v1/detections?limit=${PAGE_ROWS}&cursor=${oldest}`, Page);
    this.#set(reachedBack(this.#feed, page));
  };

  /** Try now rather than at the next attempt. */
  readonly retry = (): void => {
    this.#attempt = 0;
    this.#stream?.close();
    this.#open();
  };

  #set(feed: Feed): void {
    if (feed === this.#feed) return;
    this.#feed = feed;
    for (const listener of this.#listeners) listener();
  }

  #open(): void {
    clearTimeout(this.#timer);
    const newest = this.#feed.rows[0]?.sequence;
    const stream = new EventSource(`/v1/detections/stream${newest === undefined ? "" : `?since=${newest}`}`);
    this.#stream = stream;
    stream.onopen = () => {
      // The control plane's first event is named open, too.
      if (this.#feed.link.kind === "live") return;
      this.#attempt = 0;
      this.#set({ ...this.#feed, link: { kind: "live" } });
      void this.#backfill();
    };
    const onRow = (message: MessageEvent<string>) => this.#take(message.data);
    stream.onmessage = onRow;
    stream.addEventListener("detection", onRow);
    stream.onerror = () => {
      if (this.#stream !== stream) return;
      this.#lost();
      // The stream says nothing of why: whether the session ended is asked.
      void queryClient.invalidateQueries({ queryKey: me.queryKey });
    };
  }

  #take(data: string): void {
    let json: unknown;
    try {
      json = JSON.parse(data);
    } catch {
      json = undefined;
    }
    const row = DetectionRow.safeParse(json);
    if (!row.success) {
      console.error("A detection that this page does not understand was left out.", row.error.message);
      return;
    }
    // A burst is shown once a frame, not once a row.
    this.#waiting.push(row.data);
    if (this.#waiting.length === 1)
      setTimeout(() => this.#set(receive(this.#feed, this.#waiting.splice(0))), 50);
  }

  async #backfill(): Promise<void> {
    try {
      const page = await get(`/v1/detections?limit=${PAGE_ROWS}`, Page);
      this.#set(backfilled(this.#feed, page));
    } catch (error) {
      if (isSignedOut(error)) queryClient.setQueryData(me.queryKey, null);
      else this.#lost();
    }
  }

  #lost(): void {
    this.#stream?.close();
    clearTimeout(this.#timer);
    const delayMs = retryDelayMs(this.#attempt++, Math.random());
    const nowMs = Date.now();
    const sinceMs = this.#feed.link.kind === "lost" ? this.#feed.link.sinceMs : nowMs;
    this.#set({ ...this.#feed, link: { kind: "lost", sinceMs, retryAtMs: nowMs + delayMs } });
    this.#timer = setTimeout(() => this.#open(), delayMs);
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = undefined;
    this.#feed = emptyFeed;
    this.#attempt = 0;
    this.#waiting.length = 0;
  }
}

export const detectionFeed = new DetectionFeed();

export function useDetections(): Feed {
  return useSyncExternalStore(detectionFeed.subscribe, detectionFeed.current);
}
