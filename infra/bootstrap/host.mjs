import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";

/** What this host lacks; `fatal`: nothing works without it. */
export function unmetRequirements(host = thisHost()) {
  const unmet = [];
  const fatal = text => unmet.push({ fatal: true, text });
  const warn = text => unmet.push({ fatal: false, text });
  const [major, minor] = host.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    fatal(`Picket needs Node 20.19 or later; this is ${host.node} (${host.execPath}).`);
  }
  if (host.platform !== "linux" || host.arch !== "x64") {
    fatal(`Picket runs on Linux x64; this is ${host.platform} ${host.arch}.`);
  }
  if (!host.hasApt)
    warn(`This is ${host.distribution}, without apt-get: packages must be installed by hand.`);
  if (!host.hasBtf) {
    warn(
      `Kernel ${host.kernel} has no /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF): the agent can load no program here.`,
    );
  }
  return unmet;
}

function thisHost() {
  return {
    node: process.versions.node,
    execPath: process.execPath,
    platform: process.platform,
    arch: process.arch,
    kernel: release(),
    distribution: distribution(),
    hasApt: existsSync("/usr/bin/apt-get"),
    hasBtf: existsSync("/sys/kernel/btf/vmlinux"),
  };
}

function distribution() {
  try {
    return (
      /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "an unknown system"
    );
  } catch {
    return "an unknown system";
  }
}
