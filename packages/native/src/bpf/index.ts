/*
 * `@picket/native/bpf`: BPF objects, programs, maps and links over the system's libbpf. Root only, Linux
 * only. One class per kernel handle; every refusal is a BpfError.
 */

export { addressBytes, addressText } from "./addresses.ts";
export { cgroup2Mount, cgroupId } from "./cgroup.ts";
export { bytes, type Codec, i32, u8, u32, u64, u64s } from "./codec.ts";
export { BpfError, type BpfErrorCode } from "./errors.ts";
export { BpfLink } from "./link.ts";
export {
  BpfMap,
  type CreateMapOptions,
  MAP_TYPES,
  type MapTypeName,
  possibleCpus,
  type UpdateMode,
} from "./map.ts";
export type { LinkInfo, MapInfo, ProgramInfo, RingStats, TestRunOptions } from "./native.ts";
export { BpfObject, type OpenOptions, type Variable, type VariableValue } from "./object.ts";
export { type Attachment, probe, type Support } from "./probe.ts";
export { replaceProcess } from "./process.ts";
export { BpfProgram, enableRunTimeStats, type IterOptions, type UprobeOptions } from "./program.ts";
export { RingBatch, RingBuffer, type RingOptions } from "./ring.ts";
export {
  destroySocket,
  type ListOptions,
  listTcpSockets,
  type SocketIdentity,
  TCP_STATES,
  type TcpSocket,
  type TcpState,
  waitingBytes,
} from "./sockets.ts";
