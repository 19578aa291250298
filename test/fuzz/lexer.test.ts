/**
 * A short form of `node test/fuzz/run.mjs`: libFuzzer with address and undefined-behaviour sanitizers on the lexer
 * and what stands on it. Any finding fails it, with the input that led there.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const RUN = fileURLToPath(new URL("./run.mjs", import.meta.url));

test("ten seconds of any bytes give the lexer, the shapes and the token rules no finding", () => {
  const { status, stderr } = spawnSync(process.execPath, [RUN, "--seconds", "10"], { encoding: "utf8" });
  expect({ status, end: status === 0 ? "" : stderr.slice(-4_000) }).toEqual({ status: 0, end: "" });
}, 300_000);
