import { readFileSync } from "node:fs";
import { release } from "node:os";
import { BtfError, readKernelBtf } from "../btf/index.ts";
import { MAP_TYPES, type MapTypeName } from "./map.ts";
import { native } from "./native.ts";

/*
 * Asks this kernel what it can do, by trying, and says in plain words what is missing. A version number only
 * explains a refusal; it never decides, because distributions backport.
 */

export type Support =
  | { supported: true }
  | { supported: false; because: string }
  /** The kernel cannot be asked. */
  | { supported: "unknown"; because: string };

export type Attachment =
  | "cgroup"
  | "cgroup_skb"
  | "sk_msg"
  | "sk_skb"
  | "tp_btf"
  | "fentry"
  | "lsm"
  | "iter"
  | "raw_tracepoint"
  | "tracepoint"
  | "kprobe"
  | "uprobe"
  | "tcx";

/** First kernel of each feature, from the kernel's history; those that are not here exist since 4.18. */
const SINCE: Record<string, string> = {
  "map sockhash": "4.18",
  "map sk_storage": "5.2",
  "map ringbuf": "5.8",
  "map task_storage": "5.11",
  "map bloom_filter": "5.16",
  "program cgroup_sockopt": "5.3",
  "program tracing": "5.5",
  "program lsm": "5.7",
  "program sk_lookup": "5.9",
  "program syscall": "5.14",
  "program netfilter": "6.4",
  "helper sk_storage_get": "5.2",
  "helper ringbuf_reserve": "5.8",
  "helper get_attach_cookie": "5.15",
  "helper loop": "5.17",
  "helper dynptr_from_mem": "5.19",
  "attach cgroup": "5.7",
  "attach cgroup_skb": "5.7",
  "attach tp_btf": "5.5",
  "attach fentry": "5.5",
  "attach lsm": "5.7",
  "attach iter": "5.8",
  "attach tcx": "6.6",
  "kfunc bpf_sock_destroy": "6.5",
};

const MISSING: Partial<Record<Attachment, string>> = {
  kprobe: "this kernel has no kprobes (CONFIG_KPROBE_EVENTS), or they are locked down",
  uprobe: "this kernel has no uprobes (CONFIG_UPROBE_EVENTS)",
  tracepoint: "tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing",
  fentry: "this kernel cannot attach to its functions (CONFIG_FUNCTION_TRACER with direct calls)",
  lsm: "this kernel was built without CONFIG_BPF_LSM, or cannot attach to its functions",
};

export const probe = {
  /** As libbpf names it: "sk_msg", "sock_ops", "tracing", "cgroup_skb", "sched_cls". */
  programType: (name: string): Support =>
    explain(`program ${name}`, native.probeProgramType(name), `programs of type ${name}`),

  mapType: (name: MapTypeName): Support =>
    explain(`map ${name}`, native.probeMapType(MAP_TYPES[name]), `maps of type ${name}`),

  /** `probe.helper("sk_msg", "bpf_msg_push_data")`. Tracing programs cannot be asked this way. */
  helper: (programType: string, name: string): Support =>
    explain(
      `helper ${name.replace(/^bpf_/, "")}`,
      native.probeHelper(programType, name),
      `the helper ${name} in ${programType} programs`,
    ),

  attach(kind: Attachment): Support {
    const answer = explain(`attach ${kind}`, native.probeAttach(kind), `attaching by ${kind}`, MISSING[kind]);
    // The hook can be attached and is still never called unless the boot line lists "bpf".
    if (kind === "lsm" && answer.supported === true && !activeModules().includes("bpf"))
      return {
        supported: false,
        because: 'the BPF LSM is not active: add "bpf" to lsm= on the kernel command line',
      };
    return answer;
  },

  /** A function that the kernel offers to programs: "bpf_sock_destroy". */
  kfunc(name: string): Support {
    try {
      if (readKernelBtf().find("function", name) !== undefined) return { supported: true };
    } catch (error) {
      if (error instanceof BtfError) return { supported: "unknown", because: error.message };
      throw error;
    }
    return refusal(`kfunc ${name}`, `the kernel function ${name}`);
  },
};

function explain(feature: string, errno: string, what: string, missing?: string): Support {
  switch (errno) {
    case "":
      return { supported: true };
    case "EPERM":
    case "EACCES":
      return {
        supported: false,
        because:
          process.geteuid?.() === 0
            ? `this kernel refuses ${what} even to root (${errno}): it is locked down, restricted by a policy, or built without it`
            : `${what} is not allowed (${errno}): run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON`,
      };
    case "cannot-ask":
      return { supported: "unknown", because: `${what} can only be tried in a real program` };
    case "EOPNOTSUPP":
      return refusal(feature, what, missing);
    default:
      return refusal(feature, what, missing, errno);
  }
}

function refusal(feature: string, what: string, missing?: string, errno?: string): Support {
  const since = SINCE[feature];
  const running = release();
  const told = errno === undefined ? "" : ` (${errno})`;
  if (since !== undefined && older(running, since))
    return { supported: false, because: `${what} needs kernel ${since}, this is ${running}` };
  if (missing !== undefined) return { supported: false, because: `${missing}${told}` };
  return { supported: false, because: `this kernel (${running}) does not offer ${what}${told}` };
}

export function older(running: string, wanted: string): boolean {
  const [major = 0, minor = 0] = running.split(".").map(part => Number.parseInt(part, 10));
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split(".").map(Number);
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}

function activeModules(): string[] {
  try {
    return readFileSync("/sys/kernel/security/lsm", "utf8").trim().split(",");
  } catch {
    return [];
  }
}
