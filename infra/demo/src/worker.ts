import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { PAGE } from "./page.ts";
import { answer, describeError, ROUTES } from "./routes.ts";
import { openStores, type Row, type StoreName } from "./stores.ts";

// One of the shop's worker processes: its own connections to both databases, its share of the requests.

const BODY_BYTES_MAX = 64 * 1024;

export type Reply = {
  worker: number;
  database: StoreName;
  sql: string;
  rows?: Row[];
  error?: { message: string; code: string };
};

export async function runWorker(port: number): Promise<void> {
  const { MARIADB_URL = "", POSTGRESQL_URL = "" } = process.env;
  const stores = openStores({ MARIADB_URL, POSTGRESQL_URL });
  await Promise.all([stores.mariadb.query("SELECT 1"), stores.postgresql.query("SELECT 1")]);

  const server = createServer((request, response) => {
    handle(request, response).catch(error => send(response, 500, { error: describeError(error) }));
  });
  server.listen(port, "127.0.0.1");
  process.once("SIGTERM", () => {
    server.close();
    server.closeAllConnections();
    void Promise.allSettled(Object.values(stores).map(store => store.close())).then(() => process.exit(0));
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://shop");
    const fields = new URLSearchParams([...url.searchParams, ...new URLSearchParams(await body(request))]);
    if (url.pathname === "/")
      return void response.setHeader("content-type", "text/html; charset=utf-8").end(PAGE);
    const route = ROUTES[url.pathname];
    if (route === undefined)
      return send(response, 404, { error: { message: "There is no such page", code: "" } });
    const database: StoreName = fields.get("db") === "postgresql" ? "postgresql" : "mariadb";
    const common = { worker: process.pid, database, sql: route.sql(fields) };
    try {
      const { rows } = await answer(stores[database], route, fields);
      send(response, 200, { ...common, rows } satisfies Reply);
    } catch (error) {
      send(response, 500, { ...common, error: describeError(error) } satisfies Reply);
    }
  }
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error(`A request holds at most ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
