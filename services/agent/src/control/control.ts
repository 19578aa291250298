/** What the control socket may ask of the agent; agent.ts provides it. */
import type {
  Doctor,
  JoinRequest,
  Status,
  VerdictRequest,
  VerdictResponse,
  Workload,
  WorkloadRequest,
} from "@picket/shared/control-socket";
import type { RecentDetections } from "./recent.ts";

export type Control = {
  status(): Promise<Status>;
  doctor(): Promise<Doctor>;
  join(request: JoinRequest): Promise<void>;
  leave(): Promise<void>;
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
  recent: RecentDetections;
};
