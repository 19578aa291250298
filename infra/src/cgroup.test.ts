import { once } from "node:events";
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { cgroup2Mount, inCgroup, makeCgroup } from "./cgroup.ts";

test("a command is a member of its cgroup from its first instruction, and so are its children", async () => {
  const cgroup = makeCgroup(`picket-test-cgroup-${process.pid}`);
  const child = inCgroup(cgroup.path, ["sh", "-c", "cat /proc/self/cgroup"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout!.on("data", data => {
    text += data;
  });
  await once(child, "close");
  expect(text).toContain(`0::/picket-test-cgroup-${process.pid}\n`);
  await cgroup.remove();
  expect(existsSync(cgroup.path)).toBe(false);
});

for (const [name, line, mount] of [
  ["a unified host", "25 1 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw", "/sys/fs/cgroup"],
  [
    "a host with controllers of version 1",
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
    "/sys/fs/cgroup/unified",
  ],
  ["a mount point with a space", "41 31 0:38 / /mnt/my\\040groups rw - cgroup2 none rw", "/mnt/my groups"],
] as const) {
  test(`the cgroup2 mount is found on ${name}`, () => expect(cgroup2Mount(line)).toBe(mount));
}

test("without a cgroup2 mount the error says how to make one", () => {
  expect(() => cgroup2Mount("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu")).toThrow(
    /mount -t cgroup2/,
  );
});
