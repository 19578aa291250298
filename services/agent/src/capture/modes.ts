/** Modes as the kernel knows them: an enforced workload whose statements are not held has one of its own. */
import { WorkloadMode as Mode } from "@picket/native/events";
import type { WorkloadRequest } from "@picket/shared/control-socket";
import type { WorkloadMode } from "@picket/shared/vocabulary";

export type KernelMode = WorkloadMode | "enforce-known";

/** What the kernel is told of a process' connections. */
export type Chosen = { id: number; mode: KernelMode; fionread: WorkloadRequest["fionread"] };

export const KERNEL_MODES: Record<KernelMode, Mode> = {
  off: Mode.OFF,
  observe: Mode.OBSERVE,
  enforce: Mode.ENFORCE,
  "enforce-known": Mode.ENFORCE_KNOWN,
};
