/** What this host must have before anything is loaded, each refusal in plain words with what to do about it. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import type { DoctorCheck } from "@picket/shared/control-socket";
import { compareKernels } from "../rules/verify.ts";
import { cgroup2Mount, cgroupId, mountPoint } from "./cgroups.ts";

export const BPFFS = "/sys/fs/bpf";
/** The number of the first pid namespace, on every kernel (PROC_PID_INIT_INO). */
const FIRST_PID_NAMESPACE = "pid:[4026531836]";
/** bpf_loop (5.17) and ringbuf; tested from 6.1 on. */
const KERNEL_MIN = "5.17";
const KERNEL_TESTED = "6.1";

export type Host = {
  cgroup2Mount: string;
  /** Below the mount. */
  cgroup: string;
  cgroupPath: string;
  pins: string;
};

export class HostRefused extends Error {
  override name = "HostRefused";
}

/** Checks from the cheapest to the rarest; mounts bpffs where it is not. */
export function requireHost(input: { cgroup: string; instance: string; kernel: string }): Host {
  if (process.getuid?.() !== 0)
    throw new HostRefused("the agent needs root: it loads programs into the kernel");
  const missing = hostChecks(input.kernel).find(({ state }) => state === "missing");
  if (missing) throw new HostRefused(`${missing.name}: ${missing.detail}`);
  if (mountPoint("bpf") === null) mountBpffs();
  const mount = cgroup2Mount()!;
  const below =
    input.cgroup.startsWith(`${mount}/`) || input.cgroup === mount
      ? input.cgroup.slice(mount.length) || "/"
      : input.cgroup;
  const cgroupPath = join(mount, below);
  if (cgroupId(cgroupPath) === null || !statSync(cgroupPath).isDirectory())
    throw new HostRefused(`PICKET_CGROUP: there is no cgroup ${below} below ${mount}`);
  return { cgroup2Mount: mount, cgroup: below, cgroupPath, pins: join(BPFFS, `picket-${input.instance}`) };
}

/** What the kernel and its mounts can do, for `picket doctor` and for the start. */
export function hostChecks(kernel: string): DoctorCheck[] {
  const mount = cgroup2Mount();
  return [
    compareKernels(kernel, KERNEL_MIN) < 0
      ? missing("kernel", `${kernel} is older than ${KERNEL_MIN}, the first with bpf_loop`)
      : compareKernels(kernel, KERNEL_TESTED) < 0
        ? degraded("kernel", `${kernel} is older than ${KERNEL_TESTED}, the oldest that Picket is tested on`)
        : good("kernel", kernel),
    existsSync("/sys/kernel/btf/vmlinux")
      ? good("kernel types (BTF)", "/sys/kernel/btf/vmlinux")
      : missing(
          "kernel types (BTF)",
          "/sys/kernel/btf/vmlinux is not there: this kernel was built without CONFIG_DEBUG_INFO_BTF",
        ),
    mount
      ? good("cgroup2", mount)
      : missing(
          "cgroup2",
          "no cgroup2 is mounted; as root: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
        ),
    mountPoint("bpf")
      ? good("bpf file system", BPFFS)
      : degraded("bpf file system", `not mounted; the agent mounts it at ${BPFFS} when it starts`),
    compareKernels(kernel, "6.5") >= 0
      ? good("closing connections", "by the kernel (bpf_sock_destroy)")
      : existsInConfig("CONFIG_INET_DIAG_DESTROY")
        ? good("closing connections", "by socket diagnostics (SOCK_DIAG)")
        : degraded(
            "closing connections",
            "this kernel has neither bpf_sock_destroy (6.5) nor CONFIG_INET_DIAG_DESTROY: a denied connection fails at its next send instead",
          ),
    lockdown(),
    pidNamespace(readlinkSync("/proc/self/ns/pid")),
  ];
}

const good = (name: string, detail: string): DoctorCheck => ({ name, state: "ok", detail });
const degraded = (name: string, detail: string): DoctorCheck => ({ name, state: "degraded", detail });
const missing = (name: string, detail: string): DoctorCheck => ({ name, state: "missing", detail });

function lockdown(): DoctorCheck {
  const mode = /\[(\w+)\]/.exec(readOr("/sys/kernel/security/lockdown"))?.[1] ?? "none";
  return mode === "confidentiality"
    ? missing("lockdown", "the kernel is locked down for confidentiality: BPF programs may not read memory")
    : good("lockdown", mode);
}

/** The kernel's programs tell processes by their number on the host: the agent's own, too, which they leave alone. */
export function pidNamespace(own: string): DoctorCheck {
  return own === FIRST_PID_NAMESPACE
    ? good("process numbers", "the host's")
    : missing(
        "process numbers",
        "this is a pid namespace of its own, where processes have other numbers than the kernel tells; run the agent in the host's (docker run --pid=host, Kubernetes hostPID: true)",
      );
}

function existsInConfig(option: string): boolean {
  // Where the configuration is not published, SOCK_DIAG is simply tried.
  const text = readOr(`/boot/config-${readOr("/proc/sys/kernel/osrelease").trim()}`);
  return text === "" || text.includes(`${option}=y`);
}

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function mountBpffs(): void {
  try {
    execFileSync("mount", ["-t", "bpf", "bpf", BPFFS], { stdio: "pipe" });
  } catch (error) {
    throw new HostRefused(
      `the bpf file system cannot be mounted at ${BPFFS}: ${String((error as { stderr?: Buffer }).stderr ?? error).trim()}`,
    );
  }
}
