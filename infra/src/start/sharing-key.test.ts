import { createPrivateKey, createPublicKey } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sharingKey } from "./sharing-key.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "picket-sharing-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const modeOf = (file: string) => statSync(file).mode & 0o777;

test("the key is drawn once, its owner alone reads it, and the public half is of it", () => {
  const first = sharingKey(dir, {})!;
  const text = readFileSync(join(dir, "sharing.pem"), "utf8");
  expect(modeOf(join(dir, "sharing.pem"))).toBe(0o600);
  expect(first.pem).toBe(text);
  expect(createPrivateKey(text).asymmetricKeyType).toBe("ed25519");
  expect(readFileSync(first.publicFile, "utf8")).toBe(
    createPublicKey(text).export({ type: "spki", format: "pem" }),
  );
  expect(readFileSync(first.publicFile, "utf8")).not.toContain("PRIVATE");
  expect(sharingKey(dir, {})).toEqual(first);
});

test("a key that others could read is closed at the next start", () => {
  sharingKey(dir, {});
  chmodSync(join(dir, "sharing.pem"), 0o644);
  sharingKey(dir, {});
  expect(modeOf(join(dir, "sharing.pem"))).toBe(0o600);
});

test("where somebody has chosen a key none is drawn", () => {
  expect(sharingKey(dir, { PICKET_SHARING_KEY: "-----BEGIN" })).toBe(null);
});

test("a file that holds no key is said to, and is not replaced", () => {
  writeFileSync(join(dir, "sharing.pem"), "nothing");
  expect(() => sharingKey(dir, {})).toThrow(/holds no key .*remove it/);
  expect(readFileSync(join(dir, "sharing.pem"), "utf8")).toBe("nothing");
});
