/** The command against a real agent on the real kernel, through its control socket. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Agent, forget, startAgent } from "../../../test/harness/agent.ts";
import { type Cgroup, makeCgroup } from "../../../test/harness/index.ts";

const bin = fileURLToPath(new URL("../bin/picket.mjs", import.meta.url));
const agentMain = fileURLToPath(new URL("../../../services/agent/dist/main.js", import.meta.url));
const able = existsSync(agentMain) && process.getuid?.() === 0 && existsSync("/sys/kernel/btf/vmlinux");
if (!able)
  console.error("SKIPPED: the command was NOT tried against an agent: that needs the build, root and BTF");

let cgroup: Cgroup;
let agent: Agent;
beforeAll(async () => {
  if (!able) return;
  cgroup = makeCgroup(`picket-test-cli-${process.pid}`);
  agent = await startAgent({
    cgroup: cgroup.path,
    rules: "apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: shop }\nspec: {}\n",
  });
});
afterAll(async () => {
  await agent?.stop();
  if (agent) forget(agent);
  await cgroup?.remove();
});

type Ran = { code: number; stdout: string; stderr: string };

function picket(...args: string[]): Promise<Ran> {
  return new Promise(resolve => {
    execFile(
      process.execPath,
      [bin, ...args],
      { env: { PATH: process.env.PATH, PICKET_SOCKET: join(agent.state, "agent.sock") } },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

const json = async (...args: string[]) => {
  const ran = await picket(...args, "--json");
  expect([ran.code, ran.stderr]).toEqual([0, ""]);
  return JSON.parse(ran.stdout);
};

test.skipIf(!able)("status says what runs, and that nothing is enforced until somebody says so", async () => {
  expect(await json("agent", "status")).toMatchObject({ enrolled: null, rulesFrom: "directory" });
  const { stdout } = await picket("agent", "status");
  expect(stdout).toMatch(/Enrolled +no/);
  expect(stdout).toMatch(/Installed +shop@\d+ in slot/);
  expect((await json("guard")).filter((one: { mode: string }) => one.mode === "enforce")).toEqual([]);
});

test.skipIf(!able)("guard enforces, observes and lets go of a cgroup", async () => {
  const path = `/${basename(cgroup.path)}`;
  const enforced = await picket("guard", path);
  expect(enforced).toMatchObject({ code: 0, stderr: "" });
  expect(enforced.stdout).toContain("enforcing");
  expect(await json("guard")).toMatchObject([{ mode: "enforce", selector: { kind: "cgroup" } }]);
  expect(await json("guard", path, "--observe", "--label", "team=web")).toMatchObject({
    mode: "observe",
    labels: { team: "web" },
  });
  expect((await picket("guard")).stdout).toMatch(/observe .*team=web/);
  expect(await json("guard", path, "--off")).toMatchObject({ mode: "off" });
  const missing = await picket("guard", "/no/such/cgroup");
  expect([missing.code === 0, missing.stderr.length > 20]).toEqual([false, true]);
});

test.skipIf(!able)("a verdict by hand is put, listed with its shape and taken away", async () => {
  const made = await json(
    ...["verdict", "put", "block", "SELECT secret FROM vault WHERE id = 7"],
    ...["--dialect", "pg", "--reason", "incident 12", "--ttl", "10m"],
  );
  expect(made).toMatchObject({ action: "block", reason: "incident 12" });
  const { stdout } = await picket("verdict", "ls");
  expect(stdout).toMatch(/block +in \d+m/);
  expect(await json("verdict", "ls")).toMatchObject([{ id: made.id, shape: made.shape }]);
  await json("verdict", "rm", made.id);
  expect(await json("verdict", "ls")).toEqual([]);
  expect((await picket("verdict", "rm", made.id)).code).toBe(5);
  const code = await picket("verdict", "put", "allow", "DO $$x$$", "--dialect", "pg", "--reason", "r");
  expect([code.code === 0, code.stderr.length > 20]).toEqual([false, true]);
});

test.skipIf(!able)("doctor asks the agent, in plain words and in JSON", async () => {
  const doctor = JSON.parse((await picket("doctor", "--json")).stdout);
  expect(doctor).toMatchObject({ from: "agent", checks: expect.any(Array) });
  expect((await picket("doctor")).stdout).not.toContain("Read from outside");
});

test.skipIf(!able)("the agent's own detections are read without a control plane", async () => {
  // Each change by hand is one; an agent that just started has few.
  const detections = await json("detections", "tail", "--local");
  for (const { detection } of detections) expect(detection).toHaveProperty("kind");
});

test.skipIf(!able)(
  "joining a control plane that is not there fails with the reason, and leaving none, too",
  async () => {
    const env = { token: "pkj_x" };
    const joined = await picket("agent", "join", "http://127.0.0.1:1", "--token", env.token);
    expect(joined.code).not.toBe(0);
    expect(joined.stderr).not.toContain(env.token);
    const left = await picket("agent", "leave");
    expect(left.code).toBe(6);
  },
);
