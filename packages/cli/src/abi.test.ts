import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { PICKET_ABI } from "./abi.ts";

test("bundles are signed for the layout number that event.h has", () => {
  const header = readFileSync(new URL("../../bpf/src/event.h", import.meta.url), "utf8");
  expect(/^#define PICKET_ABI (\d+)$/m.exec(header)?.[1]).toBe(String(PICKET_ABI));
});
