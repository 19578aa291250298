/** Past a set percentage a second person is needed. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Client, type Fleet, type Stores, startFleet, startStores, until } from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
let second: Client;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores, { fourEyesAbovePercent: 50 });
  const { token } = await fleet.admin.call<{ token: string }>("POST", "/v1/api-tokens", {
    label: "second",
    role: "operator",
  });
  second = new Client(fleet.url, token);
});
afterAll(async () => {
  await fleet?.close();
  await stores?.stop();
});

test("whoever started a rollout can neither approve nor promote it past the percentage; another person can", async () => {
  const nodes = await Promise.all(["a", "b"].map(name => fleet.join(name, { test: "eyes" })));
  await fleet.push("eyes", 1);
  const { id, steps } = await fleet.start("eyes", 1, [{ percent: 50 }, { percent: 100 }], { test: "eyes" });
  expect(steps.map(({ requireApproval }) => requireApproval ?? false)).toEqual([false, true]);
  const waits = await until(
    async () => {
      for (const node of nodes) await node.follow(0);
      return fleet.rollout(id);
    },
    ({ lastDecision }) => /approv/.test(lastDecision?.because ?? ""),
  );
  expect(waits).toMatchObject({ state: "running", step: 0 });
  for (const verb of ["approve", "promote"])
    expect(await fleet.admin.refusal("POST", `/v1/rollouts/${id}/${verb}`)).toMatchObject({
      status: 403,
      detail: expect.stringContaining("another person than bootstrap"),
    });
  expect((await fleet.rollout(id)).step).toBe(0);

  await second.call("POST", `/v1/rollouts/${id}/approve`);
  await until(
    async () => {
      for (const node of nodes) await node.follow(0);
      return fleet.rollout(id);
    },
    ({ state }) => state === "complete",
  );
});

test("stopping needs one person only", async () => {
  await fleet.join("c", { test: "stop" });
  await fleet.push("stop", 1);
  const { id } = await fleet.start("stop", 1, [{ percent: 100 }], { test: "stop" });
  await fleet.admin.call("POST", `/v1/rollouts/${id}/abort`);
  expect((await fleet.rollout(id)).state).toBe("aborted");
});
