/** The command against a real control plane: what an operator does before there is any node. */
import { execFile } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ControlPlane, startControlPlane } from "../../../test/harness/control-plane.ts";

const bin = fileURLToPath(new URL("../bin/picket.mjs", import.meta.url));
const controlPlaneMain = fileURLToPath(
  new URL("../../../services/control-plane/dist/main.js", import.meta.url),
);
const built = existsSync(controlPlaneMain);
if (!built)
  console.error(
    "SKIPPED: the control plane is not built, so the command was NOT tried against it (npm run build)",
  );

let controlPlane: ControlPlane;
beforeAll(async () => {
  if (built) controlPlane = await startControlPlane();
});
afterAll(() => controlPlane?.stop());

type Ran = { code: number; stdout: string; stderr: string };

function picket(args: string[], env: Record<string, string> = {}): Promise<Ran> {
  return new Promise(resolve => {
    execFile(
      process.execPath,
      [bin, ...args],
      {
        cwd: controlPlane.home,
        env: {
          PATH: process.env.PATH,
          XDG_CONFIG_HOME: controlPlane.home,
          PICKET_URL: controlPlane.url,
          PICKET_TOKEN: controlPlane.token,
          ...env,
        },
      },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

const json = async (args: string[], env?: Record<string, string>) => {
  const ran = await picket([...args, "--json"], env);
  expect([ran.code, ran.stderr]).toEqual([0, ""]);
  return JSON.parse(ran.stdout);
};

const rules = (name: string) =>
  `apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: ${name} }\nspec: {}\n`;

test.skipIf(!built)("an operator signs in, and is who the token says", async () => {
  expect(await json(["whoami"])).toMatchObject({ role: "admin", url: controlPlane.url });
  const wrong = await picket(["whoami"], { PICKET_TOKEN: "pkt_nobody" });
  expect([wrong.code, wrong.stdout]).toEqual([4, ""]);
});

test.skipIf(!built)(
  "a rule version goes from a file to the control plane, once, and is found there",
  async () => {
    const file = join(controlPlane.home, "shop.yaml");
    writeFileSync(file, rules("shop"));
    await json(["keys", "new"]);
    const unknown = join(controlPlane.home, "unregistered.json");
    await json(["rules", "sign", file, "--version", "1", "--out", unknown]);
    const refused = await picket(["rules", "push", unknown]);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("foreign-key");

    const { keyid } = await json(["keys", "register"]);
    expect(await json(["keys", "ls"])).toMatchObject([{ keyid }]);
    const bundle = join(controlPlane.home, "shop-1.json");
    const signed = await json(["rules", "sign", file, "--version", "1", "--out", bundle]);
    const pushed = await json(["rules", "push", bundle]);
    expect(pushed).toMatchObject({ ruleSet: "shop", version: 1, bundle: signed.bundle, signedBy: [keyid] });
    expect(await json(["rules", "push", bundle])).toMatchObject({ bundle: signed.bundle });

    expect(await json(["rules", "ls"])).toMatchObject([{ name: "shop", latest: 1, stable: null }]);
    expect(await json(["rules", "ls", "shop"])).toMatchObject([{ ruleSet: "shop", version: 1 }]);
    expect(await json(["rules", "show", "shop@1"])).toMatchObject({ ruleText: rules("shop") });
    expect((await picket(["rules", "show", "shop", "--text"])).stdout).toBe(rules("shop"));
    expect((await picket(["rules", "show", "shop@9"])).code).toBe(5);
    expect((await picket(["rules", "show", "nothing"])).code).toBe(5);

    // The same number with other bytes.
    writeFileSync(file, `${rules("shop")}# changed\n`);
    await json(["rules", "sign", file, "--version", "1", "--out", bundle]);
    const taken = await picket(["rules", "push", bundle]);
    expect([taken.code, taken.stderr.includes("versions never change")]).toEqual([6, true]);
  },
);

test.skipIf(!built)("tokens are shown once; a viewer may look and not change", async () => {
  const join_ = await json(["tokens", "create", "--uses", "3", "--ttl", "2h", "--label", "zone=a"]);
  expect(join_).toMatchObject({ usesMax: 3, uses: 0, labels: { zone: "a" }, token: expect.any(String) });
  const listed = await json(["tokens", "ls"]);
  expect(listed).toMatchObject([{ id: join_.id, usesMax: 3 }]);
  expect(JSON.stringify(listed)).not.toContain(join_.token);
  await json(["tokens", "rm", join_.id.slice(0, 8)]);
  expect((await picket(["tokens", "rm", "ffffffff"])).code).toBe(5);

  const viewer = await json(["tokens", "create", "--api", "--role", "viewer", "--name", "wallboard"]);
  const env = { PICKET_TOKEN: viewer.token };
  expect(await json(["whoami"], env)).toMatchObject({ role: "viewer" });
  expect(await json(["nodes", "ls"], env)).toEqual([]);
  const refused = await picket(["tokens", "create"], env);
  expect([refused.code, refused.stderr.includes("operator")]).toEqual([4, true]);
  await json(["tokens", "rm", "--api", viewer.id]);
  expect((await picket(["whoami"], env)).code).toBe(4);
});

test.skipIf(!built)("a rollout of what is not there, or to nobody, is refused with the reason", async () => {
  const missing = await picket(["rollout", "start", "shop@77"]);
  expect([missing.code, missing.stdout]).toEqual([5, ""]);
  const nobody = await picket(["rollout", "start", "shop@1", "--steps", "20%:1m,100%:1m"]);
  expect(nobody.code).not.toBe(0);
  expect(nobody.stderr).toMatch(/no node|nodes/i);
  const wrong = await picket(["rollout", "start", "shop@1", "--steps", "200%:1m"]);
  expect([wrong.code, wrong.stderr.includes("percent")]).toEqual([2, true]);
  expect(await json(["rollout", "status"])).toEqual([]);
  expect((await picket(["rollout", "watch"])).code).toBe(5);
  expect((await picket(["rollout", "pause", "abcdef12"])).code).toBe(5);
});

test.skipIf(!built)("lists that are empty say what to do, and are empty lists in JSON", async () => {
  for (const [args, says] of [
    [["nodes", "ls"], "No node yet"],
    [["alerts", "ls"], "No alert"],
    [["webhooks", "ls"], "No webhook"],
    [["rollout", "status"], "No rollout yet"],
  ] as const) {
    expect((await picket([...args])).stdout).toContain(says);
    expect(await json([...args])).toEqual([]);
  }
  expect(await json(["detections", "tail"])).toEqual([]);
});

test.skipIf(!built)("a webhook's secret is shown once, and a webhook can be taken away", async () => {
  const made = await json(["webhooks", "add", "https://example.com/hook", "--min", "P1"]);
  expect(made).toMatchObject({ priorityMin: "P1", secret: expect.stringMatching(/^whsec_/) });
  expect(JSON.stringify(await json(["webhooks", "ls"]))).not.toContain(made.secret);
  await json(["webhooks", "rm", made.id.slice(0, 8)]);
  expect(await json(["webhooks", "ls"])).toEqual([]);
  expect((await picket(["webhooks", "add", "not an address"])).code).toBe(2);
});

test.skipIf(!built)(
  "with the control plane away the command says so, and works again when it is back",
  async () => {
    await controlPlane.kill();
    const away = await picket(["nodes", "ls", "--json"]);
    expect(away.code).toBe(3);
    expect(JSON.parse(away.stderr).error).toMatchObject({ code: "unreachable", exitCode: 3 });
    await controlPlane.restart();
    expect(await json(["nodes", "ls"])).toEqual([]);
  },
);

test.skipIf(!built)("a rule file is backtested over what the fleet has reported", async () => {
  const file = join(controlPlane.home, "backtest.yaml");
  writeFileSync(file, rules("backtested"));
  const ran = await picket(["rules", "backtest", file]);
  expect([ran.code, ran.stdout]).toEqual([
    0,
    "would have blocked 0 of 0 statements (0 of 0 shapes), 0 shapes are new\n\nNo version of backtested is stable yet, so there is nothing to compare with.\n",
  ]);
  writeFileSync(file, rules("backtested").replace("spec: {}", "spec: { rules: 1 }"));
  expect((await picket(["rules", "backtest", file])).stderr).toMatch(/line 4, column \d+: must be a list/);
  expect((await picket(["rules", "backtest", "backtested@9"])).stderr).toMatch(/no version 9/);
});
