import type { Row, Store } from "./stores.ts";

// The shop's pages. THE CONCATENATION IS ON PURPOSE: every route but /cart builds its SQL out of what
// the visitor typed, in the ways that such code is really written. Never copy it.

export type Answer = { sql: string; rows: Row[] };

type Fields = URLSearchParams;
type Route = { sql(fields: Fields): string; values?: (fields: Fields) => (string | number)[] };

export const ROUTES: Record<string, Route> = {
  "/search": {
    sql: fields =>
      `SELECT id, name, price FROM products WHERE name LIKE '%${fields.get("q") ?? ""}%' ORDER BY name LIMIT 20`,
  },
  "/product": {
    sql: fields => `SELECT id, name, price FROM products WHERE id = ${fields.get("id") ?? "1"}`,
  },
  "/products": {
    sql: fields => `SELECT id, name, price FROM products ORDER BY ${fields.get("sort") ?? "name"} LIMIT 10`,
  },
  "/prices": {
    sql: fields => `SELECT id, price FROM products WHERE id IN (${fields.get("ids") ?? "1"})`,
  },
  "/login": {
    sql: fields =>
      `SELECT id, email, role FROM customers WHERE email = '${fields.get("email") ?? ""}' AND password = '${fields.get("password") ?? ""}'`,
  },
  "/cart": {
    sql: () => "INSERT INTO cart_lines (customer, product, quantity) VALUES (?, ?, ?)",
    values: fields => ["customer", "product", "quantity"].map(name => Number(fields.get(name) ?? 1)),
  },
};

export async function answer(store: Store, route: Route, fields: Fields): Promise<Answer> {
  const sql = route.sql(fields);
  const rows =
    route.values === undefined ? await store.query(sql) : await store.prepared(sql, route.values(fields));
  return { sql, rows };
}

/** What a shop in debug mode shows its visitors, and every error-based injection relies on. */
export function describeError(error: unknown): { message: string; code: string } {
  const { message, code, errno } = error as { message?: string; code?: string; errno?: number };
  return {
    message: message ?? String(error),
    code: [code, errno].filter(part => part !== undefined).join(" "),
  };
}
