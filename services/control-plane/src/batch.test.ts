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

test("with a pace, whoever comes soon after a batch began waits for those who come then; who comes alone does not", async () => {
  const batches: number[][] = [];
  const call = batched<number, number>(
    async inputs => {
      batches.push(inputs);
      return inputs;
    },
    { most: 10, everyMs: 200 },
  );
  await call(1);
  const second = call(2);
  await new Promise(resolve => setTimeout(resolve, 20));
  await Promise.all([second, call(3)]);
  expect(batches).toEqual([[1], [2, 3]]);
});

test("with a pace, a full batch waits no longer", async () => {
  const batches: number[][] = [];
  const call = batched<number, number>(
    async inputs => {
      batches.push(inputs);
      return inputs;
    },
    { most: 2, everyMs: 600_000 },
  );
  await call(1);
  await Promise.all([call(2), call(3)]);
  expect(batches).toEqual([[1], [2, 3]]);
});
