/**
 * A short form of `node test/fuzz/run.mjs`: libFuzzer with address and undefined-behaviour sanitizers on what reads
 * bytes that others chose. Any finding fails it, with the input that led there. The first inputs of each are its
 * seeds, among them those that once were findings.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const RUN = fileURLToPath(new URL("./run.mjs", import.meta.url));

test.each([
  ["lexer", "the lexer, the shapes and the token rules"],
  ["protocol", "framing, logins, statements and sessions in the kernel's programs"],
  ["keeper", "the keeper's records and messages"],
])(
  "%s: ten seconds of any bytes give %s no finding",
  target => {
    const { status, stderr } = spawnSync(process.execPath, [RUN, target, "--seconds", "10"], {
      encoding: "utf8",
    });
    expect({ status, end: status === 0 ? "" : stderr.slice(-4_000) }).toEqual({ status: 0, end: "" });
  },
  300_000,
);
