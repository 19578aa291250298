/** An administrator at the console of a real control plane on stores of its own, for one file's tests. */
import type { Page } from "playwright-core";
import {
  ADMIN,
  type Fleet,
  type Stores,
  startFleet,
  startStores,
} from "../../services/control-plane/test/fleet.ts";
import { type Browser, openBrowser } from "./chromium.ts";
import { signedIn } from "./look.ts";

export interface FleetConsole {
  stores: Stores;
  fleet: Fleet;
  browser: Browser;
  page: Page;
  close(): Promise<void>;
}

/** `refusals`: the statuses that the tests bring about, which chromium writes to the page's console as errors. */
export async function openFleetConsole({
  refusals,
  settings = {},
}: {
  refusals: readonly number[];
  settings?: Parameters<typeof startFleet>[1];
}): Promise<FleetConsole> {
  const expected = new RegExp(
    `^Failed to load resource: (the server responded with a status of (${refusals.join("|")})|net::ERR_)`,
  );
  const [stores, browser] = await Promise.all([
    startStores(),
    openBrowser({ expected: text => expected.test(text) }),
  ]);
  const fleet = await startFleet(stores, { sessionMs: 86_400_000, ...settings });
  const page = await signedIn(browser, fleet.url, ADMIN);
  return {
    ...{ stores, fleet, browser, page },
    async close() {
      await browser.close();
      await fleet.close().catch(() => undefined);
      await stores.stop();
    },
  };
}
