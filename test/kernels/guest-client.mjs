// SPDX-License-Identifier: Apache-2.0
// The client of a guarded node, on this host or in a guest: over one connection it asks in turns what is honest and
// what the rules block, and says after each pair how it went and what the agent says of itself.
import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { createConnection } from "mysql2/promise";

const { AGENT_SOCKET, GUARDED, DATABASE_HOST, DATABASE_PORT, DATABASE } = process.env;
const HONEST = "SELECT name FROM picket_users WHERE id = 1";
const ATTACK = "SELECT id, name FROM picket_users WHERE id = 1 UNION SELECT id, secret FROM picket_secrets";

const ask = (method, path, body) =>
  new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const call = request({ socketPath: AGENT_SOCKET, agent: false, method, path, headers }, async answer => {
      let text = "";
      for await (const chunk of answer) text += chunk;
      if (answer.statusCode >= 400) reject(new Error(`${method} ${path}: ${text}`));
      else resolve(text === "" ? undefined : JSON.parse(text));
    });
    call.on("error", reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
const report = async () => (await ask("GET", "/v1/status")).report;

for (;;) {
  const installed = await report().then(
    told => told.installed,
    () => [], // It begins.
  );
  if (installed.some(({ ruleSet, kind }) => ruleSet === "shop" && kind === "active")) break;
  await sleep(500);
}
await ask("PUT", "/v1/workloads", { selector: { kind: "cgroup", path: GUARDED }, mode: "enforce" });
writeFileSync(`${GUARDED}/cgroup.procs`, String(process.pid));
const connection = await createConnection({
  host: DATABASE_HOST,
  port: Number(DATABASE_PORT),
  user: "raw",
  database: DATABASE,
});
const said = { sent: 0, answered: 0, blocked: 0, wrong: [] };
for (;;) {
  said.sent += 2;
  await connection.query(HONEST).then(
    () => said.answered++,
    error => said.wrong.push(`honest: ${error.message}`),
  );
  await connection.query(ATTACK).then(
    () => said.wrong.push("an attack passed"),
    error => (/Picket blocked/.test(error.message) ? said.blocked++ : said.wrong.push(error.message)),
  );
  const { installed, counters, losses } = await report();
  process.stdout.write(`\n@client ${JSON.stringify({ ...said, installed, counters, losses })}\n`);
  await sleep(200);
}
