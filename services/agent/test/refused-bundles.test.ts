/** Whatever is wrong with a bundle: the kernel never sees it, what was active goes on blocking, and the report says why. */
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Database } from "@picket/infra/databases";
import { signBundle } from "@picket/shared/bundle";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sha256 } from "./control-plane.ts";
import { corruptProgram } from "./corrupt.ts";
import { type Node, startNode, startShop } from "./enrolled-node.ts";

let mariadb: Database;
let node: Node;
let controlPlane: Node["controlPlane"];
/** Of the bad one: no two have the same. */
let number = 1;
const next = () => ++number;
const version = (...of: Parameters<Node["version"]>) => node.version(...of);
const isRefused = (refused: number) => node.isRefused(refused);
const blocks = () => node.blocks();

beforeAll(async () => {
  mariadb = await startShop();
  node = await startNode(mariadb);
  controlPlane = node.controlPlane;
  controlPlane.assign(version(1, "block"));
  await node.isActive(1);
}, 120_000);
afterAll(async () => {
  await node?.end();
  await mariadb?.stop();
});

const foreign = generateKeyPairSync("ed25519").privateKey;
const cases: [why: string, code: string, assign: (payload: Buffer) => void][] = [
  [
    "unsigned",
    "unsigned",
    payload =>
      controlPlane.assign(payload, {
        envelope: { ...signBundle(payload, [controlPlane.release]), signatures: [] },
      }),
  ],
  [
    "signed by a foreign key",
    "foreign-key",
    payload => controlPlane.assign(payload, { envelope: signBundle(payload, [foreign]) }),
  ],
  [
    "changed after it was signed",
    "tampered",
    payload => {
      const changed = Buffer.from(payload.toString().replace('"floor":0', '"floor":9'));
      const { signatures, payloadType } = signBundle(payload, [controlPlane.release]);
      controlPlane.assign(changed, {
        envelope: { payloadType, signatures, payload: changed.toString("base64") },
      });
    },
  ],
  [
    "another one than was assigned",
    "tampered",
    payload =>
      controlPlane.assign(payload, { envelope: signBundle(version(77, "observe"), [controlPlane.release]) }),
  ],
  [
    "not an envelope at all",
    "malformed",
    payload => controlPlane.assign(payload, { envelope: { hello: "world" } }),
  ],
];
test.each(cases)("%s", async (_, code, assign) => {
  next();
  assign(version(number, "observe"));
  expect(await isRefused(number)).toMatchObject({ version: 1, because: { code } });
  expect(await blocks()).toBe(true);
});

const signed: [why: string, code: string, change: object, detail: RegExp][] = [
  ["expired", "expired", { expiresAt: "2020-01-01T00:00:00Z" }, /expired at/],
  ["for another ABI", "wrong-abi", { abi: 99 }, /ABI 99/],
  ["for a newer kernel", "kernel-too-old", { kernelMin: "99.0" }, /needs kernel 99.0/],
  ["whose rules do not compile", "compile-failed", { ruleText: "spec: [" }, /shop \d+:\d+:\d+/],
  ["whose object cannot be had", "download-failed", { objects: { slot: "0".repeat(64) } }, /404/],
];
test.each(signed)("signed, but %s", async (_, code, change, detail) => {
  next();
  controlPlane.assign(version(number, "observe", change));
  const refused = await isRefused(number);
  expect(refused).toMatchObject({ version: 1, because: { code } });
  if (refused.kind === "kept-last-good") expect(refused.because.detail).toMatch(detail);
  expect(await blocks()).toBe(true);
});

test("whose program the verifier refuses: its last lines are reported", async () => {
  const broken = readFileSync(new URL("../../../packages/bpf/dist/slot.bpf.o", import.meta.url));
  corruptProgram(broken);
  controlPlane.objects.set(sha256(broken), broken);
  next();
  controlPlane.assign(version(number, "observe", { objects: { slot: sha256(broken) } }));
  const refused = await isRefused(number);
  expect(refused).toMatchObject({ version: 1, because: { code: "verifier-refused" } });
  if (refused.kind === "kept-last-good") expect(refused.because.detail).toMatch(/R9 !read_ok|R9/);
  expect(await blocks()).toBe(true);
});

test("whose object is no object file", async () => {
  const text = Buffer.from("no ELF file");
  controlPlane.objects.set(sha256(text), text);
  next();
  controlPlane.assign(version(number, "observe", { objects: { slot: sha256(text) } }));
  expect(await isRefused(number)).toMatchObject({ version: 1, because: { code: "malformed" } });
  expect(await blocks()).toBe(true);
});

test("whose object's bytes are not those of its digest", async () => {
  const name = "a".repeat(64);
  controlPlane.objects.set(name, Buffer.from("not what it says"));
  next();
  controlPlane.assign(version(number, "observe", { objects: { slot: name } }));
  expect(await isRefused(number)).toMatchObject({ version: 1, because: { code: "download-failed" } });
  expect(await blocks()).toBe(true);
});
