import { Installed } from "@picket/shared/contract";
import { expect, test } from "vitest";
import { refusalsText } from "./nodes.ts";

const refused = (detail: string) =>
  Installed.parse({
    kind: "kept-last-good",
    ruleSet: "shop",
    version: 1,
    refused: 2,
    assignment: null,
    generation: 3,
    because: { code: "verifier-refused", detail },
    since: "2026-01-01T00:00:00.000Z",
  });

test("a node says why it refused a version in the verifier's own words, and what enforces", () => {
  expect(refusalsText([refused("refused: R1 invalid\n0: r1 = 0\nR1 invalid")])).toBe(
    [
      "shop@2 is refused (verifier-refused); version 1 goes on",
      "  refused: R1 invalid",
      "  0: r1 = 0",
      "  R1 invalid",
    ].join("\n"),
  );
});

test("what a node says writes nothing else to the terminal", () => {
  expect(refusalsText([refused("\u001b[2Jgone")])).toContain("  \\u001b[2Jgone");
});

test("with nothing refused there is nothing to say", () => {
  expect(refusalsText([])).toBe("");
});
