/** What the control socket may ask of the agent; agent.ts provides it. */

import type {
  Doctor,
  JoinRequest,
  ProfileState,
  Status,
  VerdictRequest,
  VerdictResponse,
  Workload,
  WorkloadRequest,
} from "@picket/shared/control-socket";
import type { ProfileExport, ProfileIdentity } from "@picket/shared/profile";
import type { RecentDetections } from "./recent.ts";

export type Control = {
  status(): Promise<Status>;
  doctor(): Promise<Doctor>;
  join(request: JoinRequest): Promise<void>;
  leave(): Promise<void>;
  /** The new public key. */
  rotateKey(): Promise<string>;
  workloads: {
    list(): Workload[];
    put(request: WorkloadRequest): Workload;
    delete(id: number): void;
  };
  verdicts: {
    list(): VerdictResponse[];
    put(request: VerdictRequest): Promise<VerdictResponse>;
    delete(id: string): Promise<void>;
  };
  profiles: {
    list(): ProfileState[];
    export(identity: ProfileIdentity): ProfileExport;
    /** An export of this node or another one, reviewed; refused with what is wrong with it. */
    put(exported: unknown): void;
    /** One template by its shape's digest, or all: it learns anew. */
    delete(identity: ProfileIdentity, shape: string | null): void;
  };
  recent: RecentDetections;
};
