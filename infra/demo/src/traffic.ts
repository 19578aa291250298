import { shopAt } from "./attack.ts";
import { HONEST_CUSTOMER, PRODUCT_NAMES } from "./seed.ts";
import type { StoreName } from "./stores.ts";

// Honest visitors, at a steady rate. A request that the shop refuses is counted with its text: when
// Picket enforces, this number must stay at nought.

export type TrafficCounts = { answered: number; refused: number; unreachable: number; lastRefusal?: string };

export type Traffic = { counts(): TrafficCounts; stop(): Promise<TrafficCounts> };

const IN_FLIGHT_MAX = 64;

export function startTraffic({ address, ratePerS = 50 }: { address: string; ratePerS?: number }): Traffic {
  const shop = shopAt(address);
  const counts: TrafficCounts = { answered: 0, refused: 0, unreachable: 0 };
  const flying = new Set<Promise<void>>();
  let sent = 0;
  const began = performance.now();
  const timer = setInterval(() => {
    // By the clock, not by the tick: a late timer catches up, within the bound on open requests.
    const due = Math.floor(((performance.now() - began) / 1000) * ratePerS);
    while (sent < due) {
      sent++;
      if (flying.size >= IN_FLIGHT_MAX) continue;
      const request = visit().finally(() => flying.delete(request));
      flying.add(request);
    }
  }, 20);

  async function visit(): Promise<void> {
    const { path, fields } = honestRequest(Math.random);
    const database: StoreName = Math.random() < 0.5 ? "mariadb" : "postgresql";
    try {
      const reply = await shop.ask(path, fields, database);
      if (reply.error === undefined) counts.answered++;
      else {
        counts.refused++;
        counts.lastRefusal = reply.error.message;
      }
    } catch {
      counts.unreachable++;
    }
  }

  return {
    counts: () => ({ ...counts }),
    async stop() {
      clearInterval(timer);
      await Promise.allSettled(flying);
      return { ...counts };
    },
  };
}

export function honestRequest(random: () => number): { path: string; fields: Record<string, string> } {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const number = (max: number): string => String(1 + Math.floor(random() * max));
  return pick([
    () => ({ path: "/search", fields: { q: pick(PRODUCT_NAMES).split(",")[0]! } }),
    () => ({ path: "/product", fields: { id: number(PRODUCT_NAMES.length) } }),
    () => ({ path: "/products", fields: { sort: pick(["name", "price", "price DESC"]) } }),
    () => ({ path: "/prices", fields: { ids: [1, 2, 3].map(() => number(PRODUCT_NAMES.length)).join() } }),
    () => ({ path: "/login", fields: pick([HONEST_CUSTOMER, { ...HONEST_CUSTOMER, password: "mistyped" }]) }),
    () => ({
      path: "/cart",
      fields: { customer: number(8), product: number(PRODUCT_NAMES.length), quantity: number(3) },
    }),
  ])();
}

if (import.meta.filename === process.argv[1]) {
  const traffic = startTraffic({
    address: process.argv[2] ?? "http://127.0.0.1:8080",
    ratePerS: Number(process.argv[3] ?? 50),
  });
  setInterval(() => console.log(JSON.stringify(traffic.counts())), 1_000);
}
