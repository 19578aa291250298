/**
 * A node in a kernel of its own: Debian's 6.1 or 6.12 under QEMU's plain emulation, in it the agent that ships, on the
 * host's own Node, and a guarded client. It reaches the host's loopback as 10.0.2.2; nothing reaches it.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { busybox, emulator, kernelOf, pack } from "../kernels/guest.mjs";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const HOST = "10.0.2.2";
const ADDRESS = "10.0.2.15";
/** Workspaces as they are published: the built part of each. */
const WORKSPACES = {
  "services/agent": ["dist"],
  "packages/shared": ["dist"],
  "packages/judge": ["dist", "rules"],
  "packages/native": ["dist", "build/Release"],
  "packages/bpf": ["dist"],
};
/** In the order in which each finds what it needs; those that a kernel has built in are no files. */
const MODULES = [
  ...["virtio/virtio_ring.ko", "virtio/virtio.ko", "virtio/virtio_pci_modern_dev.ko"],
  ...["virtio/virtio_pci_legacy_dev.ko", "virtio/virtio_pci.ko"],
].map(file => `drivers/${file}`);
const NETWORK = [
  ...["net/core/failover.ko", "drivers/net/net_failover.ko", "drivers/net/virtio_net.ko"],
  // Elsewhere modprobe brings them when the agent first lists the sockets.
  ...["net/ipv4/inet_diag.ko", "net/ipv4/tcp_diag.ko"],
];

export type Guest = { readonly process: ChildProcess; readonly log: () => string; stop(): void };

export function startGuest(input: {
  kernel: string;
  env: Record<string, string>;
  onLine(line: string): void;
}): Guest {
  const scratch = mkdtempSync(join(tmpdir(), "picket-guest-"));
  const tree = join(scratch, "tree");
  const { image, modules } = kernelOf(input.kernel);
  for (const dir of ["bin", "proc", "sys", "dev", "tmp", "modules", "var/lib/picket", "run/picket"])
    mkdirSync(join(tree, dir), { recursive: true });
  cpSync(busybox(), join(tree, "bin/busybox"));
  const inserted = [...MODULES, ...NETWORK].flatMap(file => insertable(join(modules, file), tree));
  putNode(tree);
  putAgent(join(tree, "picket"));
  writeFileSync(join(tree, "init"), init(input.env, inserted), { mode: 0o755 });
  const initrd = pack(tree, join(scratch, "initrd"));
  rmSync(tree, { recursive: true });
  const qemu = emulator();
  const child = spawn(
    qemu.path,
    [
      ...[...qemu.args, "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", "1280"],
      ...["-kernel", image, "-initrd", initrd, "-nographic", "-no-reboot"],
      ...["-nic", "user,model=virtio-net-pci", "-append", "console=ttyS0 quiet panic=-1 tsc=reliable"],
    ],
    { env: qemu.env, stdio: ["ignore", "pipe", "inherit"] },
  );
  let log = "";
  let line = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    log += chunk;
    const lines = (line + chunk).split(/\r*\n/);
    line = lines.pop()!;
    for (const each of lines) input.onLine(each);
  });
  return {
    process: child,
    log: () => log,
    stop() {
      child.kill("SIGKILL");
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

function init(env: Record<string, string>, modules: readonly string[]): string {
  const exported = Object.entries(env).map(
    ([name, value]) => `export ${name}='${value.replaceAll("127.0.0.1", HOST)}'`,
  );
  return `#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc p /proc; $B mount -t sysfs s /sys; $B mount -t devtmpfs d /dev
$B mount -t cgroup2 c /sys/fs/cgroup; $B mount -t bpf b /sys/fs/bpf
$B mkdir /sys/fs/cgroup/shop
${modules.map(file => `$B insmod /modules/${file}`).join("\n")}
$B ifconfig lo 127.0.0.1 up
$B ifconfig eth0 ${ADDRESS} up; $B route add default gw ${HOST}
export PATH=/bin PICKET_METRICS=off AGENT_SOCKET=/run/picket/agent.sock GUARDED=/sys/fs/cgroup/shop
${exported.join("\n")}
/bin/node /picket/services/agent/dist/main.js &
/bin/node /picket/test/kernels/guest-client.mjs
echo "@client ended with $?"
$B poweroff -f
`;
}

/** Copies a kernel module unpacked; returns its name, or nothing where it is built in. */
function insertable(path: string, tree: string): string[] {
  const name = basename(path);
  const to = join(tree, "modules", name);
  if (existsSync(path)) cpSync(path, to);
  else if (existsSync(`${path}.xz`)) writeFileSync(to, execFileSync("xz", ["-dc", `${path}.xz`]));
  else return [];
  return [name];
}

/** This Node, and every library that it and the addons are linked with. */
function putNode(tree: string): void {
  cpSync(process.execPath, join(tree, "bin/node"));
  const addons = join(REPOSITORY, "packages/native/build/Release");
  const linked = [process.execPath, join(addons, "picket_bpf.node"), join(addons, "picket-keeper")];
  const listed = linked.map(file => execFileSync("ldd", [file], { encoding: "utf8" })).join("");
  for (const [, library] of listed.matchAll(/(\/\S+) \(0x/g)) {
    mkdirSync(join(tree, dirname(library!)), { recursive: true });
    cpSync(library!, join(tree, library!), { dereference: true });
  }
}

function putAgent(to: string): void {
  const copy = (path: string) => cpSync(join(REPOSITORY, path), join(to, path), { recursive: true });
  const packages = new Set(["mysql2"]);
  for (const [workspace, built] of Object.entries(WORKSPACES)) {
    for (const part of ["package.json", ...built]) copy(join(workspace, part));
    const name = `@picket/${basename(workspace)}`;
    mkdirSync(join(to, "node_modules/@picket"), { recursive: true });
    execFileSync("ln", ["-s", `../../${workspace}`, join(to, "node_modules", name)]);
    for (const each of dependenciesOf(workspace)) packages.add(each);
  }
  // A set that grows while it is walked: what they depend on comes, too.
  for (const name of packages) {
    const path = join("node_modules", name);
    if (name.startsWith("@picket/") || !existsSync(join(REPOSITORY, path))) continue;
    copy(path);
    for (const each of dependenciesOf(path)) packages.add(each);
  }
  copy("test/kernels/guest-client.mjs");
}

function dependenciesOf(path: string): string[] {
  const text = readFileSync(join(REPOSITORY, path, "package.json"), "utf8");
  return Object.keys((JSON.parse(text) as { dependencies?: object }).dependencies ?? {});
}
