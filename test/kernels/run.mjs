// SPDX-License-Identifier: Apache-2.0
// Boots each kernel of the matrix under emulation and plays the loader's cases in
// it. A guest is an initramfs of busybox, the static loader and the objects.
//
//   node test/kernels/run.mjs [name...]     names: 6.1 6.12 native; default all
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { busybox, emulator, kernelOf, kernels, pack } from "./guest.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const GUEST_MS_MAX = 15 * 60_000;

const run = (command, args, options = {}) =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });

const INIT = `#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc p /proc; $B mount -t sysfs s /sys; $B mount -t devtmpfs d /dev
$B mount -t cgroup2 c /sys/fs/cgroup; $B mount -t bpf b /sys/fs/bpf
$B ifconfig lo 127.0.0.1 up
echo "# kernel $($B uname -r)"
export CASE_S=600
/picket/loader /picket/dispatcher.bpf.o /picket/slot.bpf.o /sys/fs/cgroup
HOLD_MB=32 /picket/hold /picket/dispatcher.bpf.o /picket/slot.bpf.o /sys/fs/cgroup /picket/keeper
echo "# loader ended with $?"
$B poweroff -f
`;

function initramfs() {
  const tree = join(here, "build", "guest");
  rmSync(tree, { recursive: true, force: true });
  for (const dir of ["bin", "proc", "sys", "dev", "tmp", "picket"])
    mkdirSync(join(tree, dir), { recursive: true });
  const bpf = join(here, "../../packages/bpf/dist");
  run("cp", [busybox(), join(tree, "bin")]);
  for (const program of ["loader", "hold", "keeper"])
    run("cp", [join(here, `build/${program}-static`), join(tree, "picket", program)]);
  run("cp", [join(bpf, "dispatcher.bpf.o"), join(bpf, "slot.bpf.o"), join(tree, "picket")]);
  writeFileSync(join(tree, "init"), INIT, { mode: 0o755 });
  return pack(tree, join(here, "build", "guest.cpio"));
}

/** Runs a command, passes its lines on, and counts the results in them. */
function played(name, command, args, env) {
  return new Promise(resolve => {
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "inherit"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), GUEST_MS_MAX);
    let text = "";
    child.stdout.setEncoding("latin1").on("data", chunk => {
      text += chunk;
      process.stdout.write(chunk.replace(/\r/g, ""));
    });
    child.on("close", () => {
      clearTimeout(timer);
      const counts = [...text.matchAll(/(\d+) passed, (\d+) failed/g)];
      const missing = 2 - counts.length; // the loader's and the one of what is held
      if (missing) console.log(`FAIL ${name}: ${missing} without a result`);
      const total = index => counts.reduce((sum, count) => sum + Number(count[index]), 0);
      resolve({ name, passed: total(1), failed: total(2) + missing });
    });
  });
}

const wanted = process.argv.slice(2).length ? process.argv.slice(2) : ["native", ...Object.keys(kernels)];
const programs = ["loader", "hold", "keeper"].flatMap(name => [`build/${name}`, `build/${name}-static`]);
run("make", ["--no-print-directory", "objects", ...programs], {
  cwd: here,
  stdio: "inherit",
});
const results = [];
for (const name of wanted) {
  console.log(`# ${name}`);
  if (name === "native") {
    results.push(await played(name, "make", ["-s", "-C", here, "check", "check-hold"], process.env));
    continue;
  }
  if (!kernels[name])
    throw new Error(`no kernel '${name}': choose from native, ${Object.keys(kernels).join(", ")}`);
  const qemu = emulator();
  const args = ["-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"];
  args.push(
    "-kernel",
    kernelOf(name).image,
    "-initrd",
    initramfs(),
    "-nographic",
    "-no-reboot",
    "-nic",
    "none",
  );
  args.push("-append", "console=ttyS0 quiet panic=-1 tsc=reliable");
  results.push(await played(name, qemu.path, [...qemu.args, ...args], qemu.env));
}
for (const { name, passed, failed } of results) console.log(`# ${name}: ${passed} passed, ${failed} failed`);
const sum = key => results.reduce((total, result) => total + result[key], 0);
console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
process.exitCode = sum("failed") ? 1 : 0;
