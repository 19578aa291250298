/** A node of a fleet for tests: an enrolled agent on the real kernel, one application that it guards, and a database. */
import { type Database, startMariaDB } from "@picket/infra/databases";
import { startApplication } from "./application.ts";
import { startControlPlane } from "./control-plane.ts";
import { eventually, makeHost } from "./host.ts";

export const BAD = "SELECT name FROM users WHERE id = 1 UNION SELECT secret FROM vault";
export const rules = (action: string) => `
apiVersion: picket/v1
kind: RuleSet
metadata: { name: shop }
spec:
  core: false
  rules:
    - id: no-drop
      title: T
      severity: high
      action: block
      reason: R
      pattern: DROP TABLE
      tests: { attack: [DROP TABLE a], benign: [SELECT 'drop table a'] }
  shapes:
    - { id: union-vault, action: ${action}, dialects: [mysql], sql: "${BAD}" }
`;

export async function startShop(): Promise<Database> {
  const mariadb = await startMariaDB({ database: "shop" });
  await mariadb.exec(`USE shop; CREATE TABLE users (id INT, name VARCHAR(50)); CREATE TABLE vault (secret VARCHAR(50));
    INSERT INTO users VALUES (1, 'alice'); INSERT INTO vault VALUES ('hunter2');`);
  return mariadb;
}

export type Node = Awaited<ReturnType<typeof startNode>>;

export async function startNode(mariadb: Database) {
  const controlPlane = await startControlPlane();
  const host = makeHost();
  await host.start({
    PICKET_URL: controlPlane.url,
    PICKET_JOIN_TOKEN: "join",
    PICKET_SHAPES_INTERVAL: "1s",
  });
  await host.guard();
  const application = await startApplication("mysql2", mariadb, host.cgroup.path);
  return {
    controlPlane,
    host,
    application,
    /** A bundle of the rule set `shop`. */
    version: (number: number, action: string, change = {}) =>
      controlPlane.bundle({ version: number, ruleText: rules(action), ...change }),
    isActive: (number: number) =>
      eventually(async () => {
        const installed = controlPlane.installed();
        return installed?.kind === "active" && installed.version === number ? installed : undefined;
      }, `version ${number} is reported active`),
    isRefused: (number: number) =>
      eventually(async () => {
        const installed = controlPlane.installed();
        return installed?.kind === "kept-last-good" && installed.refused === number ? installed : undefined;
      }, `version ${number} is reported refused`),
    blocks: async () => (await application.run(BAD)).error?.includes("Picket blocked") === true,
    async end() {
      await application.stop();
      await host.end();
      await controlPlane.stop();
    },
  };
}
