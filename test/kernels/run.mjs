// SPDX-License-Identifier: Apache-2.0
// Boots each kernel of the matrix under emulation and plays the loader's cases in
// it. A guest is an initramfs of busybox, the static loader and the objects; the
// kernels, busybox and the emulator come from Debian's own archive into
// build/cache and are unpacked there, so nothing is installed.
//
//   node test/kernels/run.mjs [name...]     names: 6.1 6.12 native; default all
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const cache = join(here, "build", "cache");
const root = join(cache, "root");
const GUEST_MS_MAX = 15 * 60_000;

const kernels = { 6.1: "linux-image-cloud-amd64", 6.12: "linux-image-6.12-cloud-amd64" };

const run = (command, args, options = {}) =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });

/** The package that a meta package stands for. */
function imageOf(meta) {
  const name = /Depends: (linux-image-\S+)/.exec(run("apt-cache", ["depends", meta]))?.[1];
  if (!name)
    throw new Error(`apt knows no ${meta}: run apt-get update, on Debian 12 with its security archive`);
  return name;
}

/** Downloads and unpacks packages once; returns where. */
function unpack(packages, into) {
  mkdirSync(cache, { recursive: true });
  mkdirSync(into, { recursive: true });
  for (const name of packages) {
    const done = join(cache, `${name}.unpacked`);
    if (existsSync(done)) continue;
    process.stdout.write(`# fetching ${name}\n`);
    // _apt may not write here: the download runs as the caller.
    run("apt-get", ["-o", "APT::Sandbox::User=root", "-qq", "download", name], { cwd: cache });
    const deb = readdirSync(cache).find(file => file.startsWith(`${name}_`) && file.endsWith(".deb"));
    run("dpkg-deb", ["-x", join(cache, deb), into]);
    rmSync(join(cache, deb));
    writeFileSync(done, "");
  }
  return into;
}

/** Path of the emulator and what it needs in its environment. */
function emulator() {
  const installed = ["/usr/bin/qemu-system-x86_64"].find(existsSync);
  if (installed) return { path: installed, env: process.env, args: [] };
  const missing = run("apt-get", ["install", "-s", "-q", "--no-install-recommends", "qemu-system-x86"])
    .split("\n")
    .flatMap(line => /^Inst (\S+)/.exec(line)?.[1] ?? []);
  unpack(missing, root);
  const libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib"].map(dir =>
    join(root, dir),
  );
  return {
    path: join(root, "usr/bin/qemu-system-x86_64"),
    env: { ...process.env, LD_LIBRARY_PATH: libraries.join(":") },
    args: ["usr/share/qemu", "usr/share/seabios"].flatMap(dir => ["-L", join(root, dir)]),
  };
}

const INIT = `#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc p /proc; $B mount -t sysfs s /sys; $B mount -t devtmpfs d /dev
$B mount -t cgroup2 c /sys/fs/cgroup; $B mount -t bpf b /sys/fs/bpf
$B ifconfig lo 127.0.0.1 up
echo "# kernel $($B uname -r)"
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
  const busybox = join(unpack(["busybox-static"], root), "bin/busybox");
  const bpf = join(here, "../../packages/bpf/dist");
  run("cp", [busybox, join(tree, "bin")]);
  for (const program of ["loader", "hold", "keeper"])
    run("cp", [join(here, `build/${program}-static`), join(tree, "picket", program)]);
  run("cp", [join(bpf, "dispatcher.bpf.o"), join(bpf, "slot.bpf.o"), join(tree, "picket")]);
  writeFileSync(join(tree, "init"), INIT, { mode: 0o755 });
  const archive = join(here, "build", "guest.cpio.gz");
  run(
    "sh",
    [
      "-c",
      `set -e; find . | '${busybox}' cpio -o -H newc > '${archive}.plain'; gzip -1c '${archive}.plain' > '${archive}'`,
    ],
    { cwd: tree },
  );
  return archive;
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
  const image = imageOf(kernels[name]);
  const boot = join(unpack([image], join(cache, name)), "boot");
  const kernel = join(
    boot,
    readdirSync(boot).find(file => file.startsWith("vmlinuz")),
  );
  const qemu = emulator();
  const args = ["-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"];
  args.push("-kernel", kernel, "-initrd", initramfs(), "-nographic", "-no-reboot", "-nic", "none");
  args.push("-append", "console=ttyS0 quiet panic=-1 tsc=reliable");
  results.push(await played(name, qemu.path, [...qemu.args, ...args], qemu.env));
}
for (const { name, passed, failed } of results) console.log(`# ${name}: ${passed} passed, ${failed} failed`);
const sum = key => results.reduce((total, result) => total + result[key], 0);
console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
process.exitCode = sum("failed") ? 1 : 0;
