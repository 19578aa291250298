/** The agent of a fleet: what is signed reaches the kernel, what is not never does, and nothing depends on the control
 * plane being there. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import type { Database } from "@picket/infra/databases";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startApplication } from "./application.ts";
import { BAD, type Node, rules, startNode, startShop } from "./enrolled-node.ts";
import { eventually } from "./host.ts";

let mariadb: Database;
let node: Node;
let controlPlane: Node["controlPlane"];
let host: Node["host"];
let application: Node["application"];
const version = (...of: Parameters<Node["version"]>) => node.version(...of);
const isActive = (number: number) => node.isActive(number);
const isRefused = (number: number) => node.isRefused(number);
const blocks = () => node.blocks();

beforeAll(async () => {
  mariadb = await startShop();
});
afterAll(() => mariadb?.stop());

beforeEach(async () => {
  node = await startNode(mariadb);
  ({ controlPlane, host, application } = node);
});
afterEach(() => node?.end());

test("a signed version is installed, acknowledged and reported; the next one replaces it", async () => {
  const first = controlPlane.assign(version(1, "observe"));
  expect(await isActive(1)).toMatchObject({ assignment: first.id, share: 10_000, bundle: first.bundle });
  await eventually(async () => controlPlane.acknowledged.includes(first.id), "it is acknowledged");
  expect(await blocks()).toBe(false);
  controlPlane.assign(version(2, "block"));
  await isActive(2);
  expect(await blocks()).toBe(true);
});

test("a bundle below the floor that an accepted one has set is refused, after a restart too", async () => {
  controlPlane.assign(version(3, "block", { floor: 3 }));
  await isActive(3);
  controlPlane.assign(version(2, "observe"));
  expect(await isRefused(2)).toMatchObject({ version: 3, because: { code: "below-floor" } });
  await host.stop();
  await host.start();
  controlPlane.assign(version(1, "observe"));
  expect(await isRefused(1)).toMatchObject({ because: { code: "below-floor" } });
  expect(await blocks()).toBe(true);
});

describe("a share of the processes", () => {
  test("only the share is judged by the candidate; a roll back needs no download; promoted, all are", async () => {
    const stable = version(1, "observe");
    controlPlane.assign(stable);
    await isActive(1);
    const workers = await Promise.all(
      Array.from({ length: 20 }, () => startApplication("mysql2", mariadb, host.cgroup.path)),
    );
    const blockedBy = async () =>
      (await Promise.all(workers.map(worker => worker.run(BAD)))).filter(({ error }) => error !== undefined)
        .length;
    const candidate = version(2, "block");
    controlPlane.assign(candidate, { share: 2_000 });
    expect(await isActive(2)).toMatchObject({ share: 2_000 });
    const some = await blockedBy();
    // Of 20 processes at 20 %: by chance 0 to 11, but for one in ten thousand.
    expect(some).toBeLessThan(12);
    // The same processes each time: the share is latched to the process, not drawn per statement.
    expect(await blockedBy()).toBe(some);
    const { counters } = (await host.status()).report;
    expect(counters.map(each => each.version).sort()).toEqual([1, 2]);

    controlPlane.assign(stable, { withheld: true });
    await isActive(1);
    expect(await blockedBy()).toBe(0);

    controlPlane.assign(candidate, { share: 10_000 });
    await isActive(2);
    expect(await blockedBy()).toBe(20);
    await Promise.all(workers.map(worker => worker.stop()));
  });
});

test("a candidate of one rule set stays one while another rule set is replaced, and both are there after a restart", async () => {
  const other = BAD.replace("vault", "wages");
  const team = (number: number, action: string) =>
    controlPlane.bundle({
      ruleSet: "team",
      version: number,
      ruleText: rules(action)
        .replace("name: shop", "name: team")
        .replace("no-drop", "no-drops")
        .replace("union-vault", "union-wages")
        .replace(BAD, other),
    });
  const blocksOther = async () => (await application.run(other)).error?.includes("Picket blocked") === true;
  const teamIs = (number: number) =>
    eventually(async () => {
      const installed = controlPlane.installed("team");
      return installed?.kind === "active" && installed.version === number ? installed : undefined;
    }, `team ${number} is active`);

  controlPlane.assign(version(1, "observe"));
  await isActive(1);
  controlPlane.assign(team(1, "observe"));
  await teamIs(1);
  // One process in ten thousand: not this one.
  controlPlane.assign(team(2, "block"), { share: 1 });
  expect(await teamIs(2)).toMatchObject({ share: 1 });
  expect([await blocks(), await blocksOther()]).toEqual([false, false]);

  controlPlane.assign(version(2, "block"));
  await isActive(2);
  expect([await blocks(), await blocksOther()]).toEqual([true, false]);
  const both = [
    { kind: "active", ruleSet: "shop", version: 2, share: 10_000 },
    { kind: "active", ruleSet: "team", version: 2, share: 1 },
  ];
  expect((await host.status()).report.installed).toMatchObject(both);

  await host.stop();
  controlPlane.setAway(true);
  await host.start();
  expect((await host.status()).report.installed).toMatchObject(both);
  expect([await blocks(), await blocksOther()]).toEqual([true, false]);

  controlPlane.setAway(false);
  controlPlane.assign(team(2, "block"));
  await eventually(async () => controlPlane.installed("team")?.generation === 5, "team 2 is for all");
  expect([await blocks(), await blocksOther()]).toEqual([true, true]);
});

describe("without the control plane", () => {
  test("judging goes on, detections wait, and all of them arrive once it is back", async () => {
    controlPlane.assign(version(1, "block"));
    await isActive(1);
    controlPlane.setAway(true);
    expect(await blocks()).toBe(true);
    await eventually(
      async () => controlPlane.refusedCalls > 2 && (await host.statements()).length > 0,
      "it is away",
    );
    expect(controlPlane.events.size).toBe(0);
    controlPlane.setAway(false);
    const arrived = await eventually(
      async () => [...controlPlane.events.values()].find(({ kind }) => kind === "statement"),
      "the detection arrives",
    );
    expect(arrived).toMatchObject({
      guarantee: "prevented",
      ruleSet: "shop",
      version: 1,
      rules: ["union-vault"],
    });
  });

  test("after a restart the last good version blocks before anything was heard, even if it has expired since", async () => {
    const expiresAt = new Date(Date.now() + 5_000).toISOString();
    controlPlane.assign(version(1, "block", { expiresAt }));
    await isActive(1);
    await host.stop();
    controlPlane.setAway(true);
    await eventually(async () => Date.now() > Date.parse(expiresAt), "it expires");
    await host.start();
    expect(await blocks()).toBe(true);
    expect((await host.status()).report.installed).toMatchObject([{ kind: "active", version: 1 }]);
  });
});

test("shapes are told with how often they were used, over a change of version, and no literal with them", async () => {
  controlPlane.assign(version(1, "observe"));
  await isActive(1);
  const text = "select name from users where id = ?";
  const run = (id: number) => application.run(`SELECT name FROM users WHERE id = ${id}`);
  const told = (uses: number) =>
    controlPlane.shapeBatches
      .flatMap(({ epoch, shapes }) => shapes.map(shape => ({ epoch, ...shape })))
      .findLast(shape => shape.text === text && shape.uses >= uses);
  // Until it is learned the kernel neither knows nor counts it.
  const first = await eventually(async () => {
    await run(1);
    return told(1);
  }, "it is learned and told");
  expect(first).toMatchObject({ dialect: "mysql", workload: expect.stringMatching(/./) });
  expect(first.shape).toBe(createHash("sha256").update(`picket-shape-1\nmysql\n${text}`).digest("hex"));
  for (const id of [2, 3]) await run(id);
  const before = await eventually(async () => told(first.uses + 2), "later uses are told");
  controlPlane.assign(version(2, "block"));
  await isActive(2);
  await run(4);
  const after = await eventually(async () => told(before.uses + 1), "uses of the next version are added");
  expect(after.epoch).toBe(first.epoch);
  expect(JSON.stringify(controlPlane.shapeBatches)).not.toMatch(/id = \d/);
});

test("leaving forgets the node's key and the fleet's rules", async () => {
  controlPlane.assign(version(1, "block"));
  await isActive(1);
  await host.call("POST", "/v1/leave", {});
  expect(existsSync(`${host.state}/node.key`)).toBe(false);
  const status = await host.status();
  expect(status.enrolled).toBeNull();
  // The core rules go on, and stop it by a name of theirs.
  expect((await application.run(BAD)).error ?? "").not.toContain("union-vault");
});
