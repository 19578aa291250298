import { expect, test } from "vitest";
import { endpoint, inspectHost } from "./host.ts";

for (const [text, address, port] of [
  ["0100007F:0CEA", "127.0.0.1", 3306],
  ["0000000000000000FFFF00000100007F:1538", "127.0.0.1", 5432],
  ["00000000000000000000000001000000:1538", "::1", 5432],
  ["B80D01200000000067452301EFCDAB89:0050", "2001:db8::123:4567:89ab:cdef", 80],
  ["00000000000000000000000000000000:0000", "::", 0],
] as const)
  test(`${text} of /proc/net is ${address} port ${port}`, () =>
    expect(endpoint(text)).toEqual([address, port]));

test("every host gets an answer", () => {
  const { kernel, checks } = inspectHost();
  expect(kernel).toMatch(/^\d+\.\d+/);
  expect(checks.map(({ name }) => name)).toEqual([
    "kernel",
    "btf",
    "killing connections",
    "cgroup2",
    "bpffs",
    "privileges",
  ]);
});
