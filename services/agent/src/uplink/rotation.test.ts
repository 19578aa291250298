/** A control plane that remembers one key and may lose its answer; a state directory that outlives the agent. */
import { createPublicKey, verify } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type KeyRotation, keyRotationMessage } from "@picket/shared/contract";
import type { NodeId } from "@picket/shared/ids";
import { err, ok } from "@picket/shared/result";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ControlPlane } from "./control-plane.ts";
import { nodeKey, rawPublicKey, rotationIsUnderWay, tokenSource } from "./identity.ts";
import { nextKeyCheckMs, rotateNodeKey } from "./rotation.ts";

const NODE = "018f3d5e-7c1a-7000-8000-000000000001" as NodeId;
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "picket-rotation-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Judges as the real one does: the call's token must be by the key that it knows. */
class Remembers {
  key: string;
  answers: ("yes" | "lost" | "away" | "no")[] = [];
  readonly tokens = tokenSource(nodeKey(directory), NODE);
  constructor() {
    this.key = rawPublicKey(nodeKey(directory));
  }

  readonly rotateKey: ControlPlane["rotateKey"] = async ({ publicKey, proof }: KeyRotation) => {
    const answer = this.answers.shift() ?? "yes";
    if (answer === "away") return err({ kind: "away", detail: "no route" });
    if (answer === "no") return err({ kind: "refused", status: 409, code: "key-taken", detail: "taken" });
    const [header, claims, signature] = (await this.tokens.token()).split(".") as [string, string, string];
    const signed = (key: string, text: string, by: string) =>
      verify(
        null,
        Buffer.from(text),
        createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: key }, format: "jwk" }),
        Buffer.from(by, "base64url"),
      );
    if (!signed(this.key, `${header}.${claims}`, signature))
      return err({ kind: "refused", status: 401, code: "unauthenticated", detail: "who?" });
    expect(signed(publicKey, keyRotationMessage(NODE, publicKey), proof)).toBe(true);
    this.key = publicKey;
    return answer === "lost" ? err({ kind: "away", detail: "socket hang up" }) : ok(null);
  };

  rotate() {
    return rotateNodeKey({ stateDirectory: directory, node: NODE, tokens: this.tokens, controlPlane: this });
  }

  /** Whether the key on disk is the one that lets this node in. */
  get agrees(): boolean {
    return rawPublicKey(nodeKey(directory)) === this.key;
  }
}

test("the new key holds on both sides, and the old one is gone from the disk", async () => {
  const plane = new Remembers();
  const before = plane.key;
  expect(await plane.rotate()).toEqual(ok(plane.key));
  expect(plane.key).not.toBe(before);
  expect([plane.agrees, rotationIsUnderWay(directory)]).toEqual([true, false]);
});

test("a control plane that is away, or says no, changes nothing that matters", async () => {
  for (const answer of ["away", "no"] as const) {
    const plane = new Remembers();
    plane.answers = [answer];
    expect((await plane.rotate()).ok).toBe(false);
    expect(plane.agrees).toBe(true);
    // The next attempt goes on with the same key.
    expect((await plane.rotate()).ok).toBe(true);
    expect(plane.agrees).toBe(true);
  }
});

test("a yes that was lost is found again by the new key, after a restart, too", async () => {
  const plane = new Remembers();
  plane.answers = ["lost"];
  expect((await plane.rotate()).ok).toBe(false);
  expect([plane.agrees, rotationIsUnderWay(directory)]).toEqual([false, true]);
  plane.tokens.use(nodeKey(directory));
  expect((await plane.rotate()).ok).toBe(true);
  expect([plane.agrees, rotationIsUnderWay(directory)]).toEqual([true, false]);
  expect(existsSync(join(directory, "node.key.next"))).toBe(false);
});

test.each([
  [0, 1_800_000, 5_400_000],
  [1, 12_500, 25_000],
  [2, 25_000, 50_000],
  [9, 30_000, 60_000],
])("after %i failures the key is looked at between %i and %i ms later", (failures, leastMs, mostMs) => {
  expect([nextKeyCheckMs(failures, 0), nextKeyCheckMs(failures, 1)]).toEqual([leastMs, mostMs]);
});
