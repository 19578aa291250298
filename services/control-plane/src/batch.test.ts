import { expect, test } from "vitest";
import { batched } from "./batch.ts";

test("calls of one turn are one batch, and those that come meanwhile the next", async () => {
  const batches: number[][] = [];
  let release = () => {};
  const double = batched<number, number>(
    async inputs => {
      batches.push(inputs);
      if (batches.length === 1)
        await new Promise<void>(resolve => {
          release = resolve;
        });
      return inputs.map(input => input * 2);
    },
    { most: 3 },
  );
  const first = [double(1), double(2)];
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)));
  const next = [3, 4, 5, 6].map(double);
  release();
  expect(await Promise.all([...first, ...next])).toEqual([2, 4, 6, 8, 10, 12]);
  expect(batches).toEqual([[1, 2], [3, 4, 5], [6]]);
});

test("a batch that fails is heard by its own callers only", async () => {
  const odd = batched<number, number>(
    async inputs => {
      if (inputs.includes(2)) throw new Error("two");
      return inputs;
    },
    { most: 1 },
  );
  const answers = await Promise.allSettled([odd(1), odd(2), odd(3)]);
  expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});
