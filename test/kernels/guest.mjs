// SPDX-License-Identifier: Apache-2.0
// What a guest is booted with: a kernel of Debian's own archive, busybox and the emulator, each fetched once into
// build/cache and unpacked there, so that nothing is installed; and an initramfs of whatever a tree holds.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const cache = join(here, "build", "cache");
const root = join(cache, "root");

export const kernels = { 6.1: "linux-image-cloud-amd64", 6.12: "linux-image-6.12-cloud-amd64" };

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
export function emulator() {
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

/** Where the kernel and its modules lie. */
export function kernelOf(name) {
  const tree = unpack([imageOf(kernels[name])], join(cache, name));
  const [release] = readdirSync(join(tree, "lib/modules"));
  return {
    image: join(tree, `boot/vmlinuz-${release}`),
    modules: join(tree, "lib/modules", release, "kernel"),
  };
}

/** Path of a static busybox. */
export const busybox = () => join(unpack(["busybox-static"], root), "bin/busybox");

/** Packs a tree as an initramfs; not compressed, since an emulated processor takes longer over that than over reading. */
export function pack(tree, archive) {
  run("sh", ["-c", `find . | '${busybox()}' cpio -o -H newc 2>/dev/null > '${archive}'`], { cwd: tree });
  return archive;
}
