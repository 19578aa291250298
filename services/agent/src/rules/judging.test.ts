import { expect, test } from "vitest";
import { type Judgement, judgeByAll } from "./judging.ts";

const said = (change: Partial<Judgement>): Judgement => ({
  verdict: "benign",
  action: "observe",
  rules: [],
  stage: "token-rules",
  danger: [],
  severity: "low",
  holdsForShape: true,
  evidence: () => [],
  ...change,
});
const allowed = said({ stage: "shape", rules: ["allowed"] });
const alerting = said({ verdict: "attack", action: "alert", rules: ["alerting"] });
const blocking = said({ verdict: "attack", action: "block", rules: ["blocking"] });
const honest = said({});

test.each<[string, [precedence: number, Judgement][], rule: string | undefined]>([
  [
    "the stricter stands, whoever is higher",
    [
      [9, alerting],
      [0, blocking],
    ],
    "blocking",
  ],
  [
    "what finds it honest silences nobody",
    [
      [9, honest],
      [0, blocking],
    ],
    "blocking",
  ],
  [
    "whoever allows its shape silences those below",
    [
      [9, allowed],
      [0, blocking],
    ],
    "allowed",
  ],
  [
    "but nobody beside it",
    [
      [9, allowed],
      [9, blocking],
    ],
    "blocking",
  ],
  [
    "and nobody above it",
    [
      [0, allowed],
      [9, alerting],
    ],
    "alerting",
  ],
  [
    "of two that allow, the higher one",
    [
      [5, allowed],
      [9, allowed],
      [7, blocking],
    ],
    "allowed",
  ],
])("of several rule sets %s", (_, sets, rule) => {
  const judgement = judgeByAll(
    sets.map(([precedence, judgement]) => ({ precedence, judge: () => judgement })),
    { sql: Buffer.from("SELECT 1"), dialect: "mysql", session: 0 },
  );
  expect(judgement.rules[0]).toBe(rule);
});
