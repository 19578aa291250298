import cluster, { type Worker } from "node:cluster";
import { createServer } from "node:http";
import { runWorker } from "./worker.ts";

// The shop: SHOP_WORKERS processes behind one port. It knows nothing of Picket.
//   MARIADB_URL, POSTGRESQL_URL  the two databases
//   SHOP_PORT      the shop's address on loopback      SHOP_WORKERS  processes, default 20
//   SHOP_STATUS_PORT  answers GET /healthz with 200 once every worker takes requests

const port = Number(process.env.SHOP_PORT ?? 8080);
const wanted = Number(process.env.SHOP_WORKERS ?? 20);
const statusPort = Number(process.env.SHOP_STATUS_PORT ?? port + 1);
const RESTART_AFTER_MS = 1_000;

if (cluster.isPrimary) runPrimary();
else await runWorker(port);

function runPrimary(): void {
  const listening = new Set<Worker>();
  let stopping = false;
  cluster.on("listening", worker => void listening.add(worker));
  cluster.on("exit", worker => {
    listening.delete(worker);
    if (!stopping) setTimeout(() => stopping || cluster.fork(), RESTART_AFTER_MS);
  });
  for (let index = 0; index < wanted; index++) cluster.fork();

  const status = createServer((_, response) => {
    const ready = listening.size >= wanted;
    response.writeHead(ready ? 200 : 503, { "content-type": "application/json" });
    response.end(JSON.stringify({ workers: listening.size, wanted }));
  }).listen(statusPort, "127.0.0.1");

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      stopping = true;
      status.close();
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill("SIGTERM");
      cluster.on("exit", () => Object.keys(cluster.workers ?? {}).length === 0 && process.exit(0));
      if (Object.keys(cluster.workers ?? {}).length === 0) process.exit(0);
    });
  }
}
