// What this kernel can do, asked by trying: the smallest program or map of each kind is loaded and let go.
// Reasons in plain words are made in TypeScript (src/bpf/probe.ts).
#include "handles.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <functional>

namespace picket {

namespace {

const char *const kHelpers[] = {
#define NAME(x) #x
    __BPF_FUNC_MAPPER(NAME)
#undef NAME
};

int ProgramTypeOf(Napi::Env env, const std::string &name) {
  for (int type = 1; const char *known = libbpf_bpf_prog_type_str(static_cast<bpf_prog_type>(type)); type++)
    if (name == known) return type;
  Throw(env, {"BPF_NOT_FOUND", "probe", 0, "no program type is called '" + name + "' here"});
}

// Results are an errno: 0 for yes. A negative libbpf result means that it could not tell.
int FromProbe(int result) { return result == 1 ? 0 : result == 0 ? EOPNOTSUPP : -result; }

Napi::Value ProbeMapType(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  PrintCapture capture;
  auto type = static_cast<bpf_map_type>(IntegerOf(info[0], "map type"));
  return Napi::String::New(env, ErrnoName(FromProbe(libbpf_probe_bpf_map_type(type, nullptr))));
}

// mov r0, value; exit
UniqueFd LoadReturning(bpf_prog_type type, int value, bpf_attach_type attach, int btf_id, int *err, int flags = 0) {
  bpf_insn instructions[2]{};
  instructions[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  instructions[0].imm = value;
  instructions[1].code = BPF_JMP | BPF_EXIT;
  LIBBPF_OPTS(bpf_prog_load_opts, opts);
  opts.expected_attach_type = attach;
  opts.attach_btf_id = static_cast<uint32_t>(btf_id);
  opts.prog_flags = static_cast<uint32_t>(flags);
  int fd = bpf_prog_load(type, "probe", "GPL", instructions, 2, &opts);
  *err = fd < 0 ? -fd : 0;
  return UniqueFd(fd);
}

// A program on a kernel function or tracepoint named in BTF, attached for a moment. It only returns.
int TryTracing(bpf_prog_type type, bpf_attach_type attach, const char *target, bool iterator = false) {
  int id = libbpf_find_vmlinux_btf_id(target, attach);
  if (id < 0) return -id;
  int err;
  UniqueFd program = LoadReturning(type, 0, attach, id, &err);
  if (!program) return err;
  UniqueFd link(iterator ? bpf_link_create(program.get(), 0, attach, nullptr) : bpf_raw_tracepoint_open(nullptr, program.get()));
  return link ? 0 : errno;
}

int TrySockmap(bpf_prog_type type, bpf_attach_type attach) {
  UniqueFd map(bpf_map_create(BPF_MAP_TYPE_SOCKHASH, "probe", 8, 8, 1, nullptr));
  if (!map) return errno;
  int err;
  UniqueFd program = LoadReturning(type, 1, attach, 0, &err);
  if (!program) return err;
  return -bpf_prog_attach(program.get(), map.get(), attach, 0);
}

// Asked with a target that cannot exist: a kernel that knows the kind complains of the target.
int TryLink(bpf_prog_type type, bpf_attach_type attach, int nowhere, int expected) {
  int err;
  UniqueFd program = LoadReturning(type, 1, attach, 0, &err);
  if (!program) return err;
  UniqueFd link(bpf_link_create(program.get(), nowhere, attach, nullptr));
  return link || errno == expected ? 0 : errno;
}

int TryProbe(const char *pmu) {
  std::string path = std::string("/sys/bus/event_source/devices/") + pmu + "/type";
  UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno;
  int err;
  UniqueFd program = LoadReturning(BPF_PROG_TYPE_KPROBE, 0, static_cast<bpf_attach_type>(0), 0, &err);
  if (!program) return err;
  if (strcmp(pmu, "uprobe") == 0) return 0;
  char text[16] = "";
  if (read(file.get(), text, sizeof(text) - 1) <= 0) return EIO;
  // Only opening tells: kprobes may be compiled in and refused (lockdown, no registered symbols).
  static const char function[] = "tcp_v4_connect";
  perf_event_attr attr{};
  attr.size = sizeof(attr);
  attr.type = static_cast<uint32_t>(atoi(text));
  attr.config1 = reinterpret_cast<uint64_t>(function);
  UniqueFd event(static_cast<int>(syscall(__NR_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  return event ? 0 : errno;
}

int TryTracepoint() {
  for (const char *path : {"/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"})
    if (access(path, R_OK) == 0) {
      int err;
      LoadReturning(BPF_PROG_TYPE_TRACEPOINT, 0, static_cast<bpf_attach_type>(0), 0, &err);
      return err;
    }
  return ENOENT;
}

int TryRawTracepoint() {
  int err;
  UniqueFd program = LoadReturning(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, static_cast<bpf_attach_type>(0), 0, &err);
  if (!program) return err;
  UniqueFd link(bpf_raw_tracepoint_open("sched_process_exit", program.get()));
  return link ? 0 : errno;
}

Napi::Value ProbeProgramType(const Napi::CallbackInfo &info) {
  PrintCapture capture;
  int type = ProgramTypeOf(info.Env(), TextOf(info[0], "program type"));
  int err;
  switch (type) {
    // libbpf 1.1 asks by a verifier message that newer kernels word differently, and answers no.
    case BPF_PROG_TYPE_TRACING:
      err = TryTracing(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "inet_sock_set_state");
      break;
    case BPF_PROG_TYPE_LSM:
      err = TryTracing(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "socket_connect");
      break;
    default:
      err = FromProbe(libbpf_probe_bpf_prog_type(static_cast<bpf_prog_type>(type), nullptr));
  }
  return Napi::String::New(info.Env(), ErrnoName(err));
}

// Calls the helper with no argument set up. A kernel that has it complains of the arguments, one that has
// not of the helper; in both cases nothing is loaded. (libbpf 1.1 does not know the wording of kernel 6.13
// and later, and would say yes to everything.)
int TryHelper(bpf_prog_type type, bpf_attach_type attach, size_t helper) {
  bpf_insn instructions[2]{};
  instructions[0].code = BPF_JMP | BPF_CALL;
  instructions[0].imm = static_cast<int>(helper);
  instructions[1].code = BPF_JMP | BPF_EXIT;
  std::vector<char> log(8192);
  LIBBPF_OPTS(bpf_prog_load_opts, opts);
  opts.expected_attach_type = attach;
  opts.log_buf = log.data();
  opts.log_size = static_cast<uint32_t>(log.size());
  opts.log_level = 1;
  UniqueFd program(bpf_prog_load(type, "probe", "GPL", instructions, 2, &opts));
  int err = errno;
  if (program) return 0;
  // Nothing was verified: this says nothing about the helper.
  if (log[0] == '\0') return err;
  for (const char *complaint : {"invalid func ", "unknown func ", "program of this type cannot use helper"})
    if (strstr(log.data(), complaint) != nullptr) return EOPNOTSUPP;
  return 0;
}

Napi::Value ProbeHelper(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  PrintCapture capture;
  int type = ProgramTypeOf(env, TextOf(info[0], "program type"));
  std::string helper = TextOf(info[1], "helper");
  bpf_attach_type attach = type == BPF_PROG_TYPE_CGROUP_SOCK_ADDR  ? BPF_CGROUP_INET4_CONNECT
                           : type == BPF_PROG_TYPE_CGROUP_SOCKOPT ? BPF_CGROUP_GETSOCKOPT
                           : type == BPF_PROG_TYPE_SK_LOOKUP      ? BPF_SK_LOOKUP
                                                                  : static_cast<bpf_attach_type>(0);
  for (size_t id = 1; id < sizeof(kHelpers) / sizeof(kHelpers[0]); id++)
    if (helper == kHelpers[id] || helper == std::string("bpf_") + kHelpers[id]) {
      // These need a function to stand on before the verifier looks at anything.
      if (type == BPF_PROG_TYPE_TRACING || type == BPF_PROG_TYPE_LSM || type == BPF_PROG_TYPE_EXT ||
          type == BPF_PROG_TYPE_STRUCT_OPS)
        return Napi::String::New(env, "cannot-ask");
      return Napi::String::New(env, ErrnoName(TryHelper(static_cast<bpf_prog_type>(type), attach, id)));
    }
  Throw(env, {"BPF_NOT_FOUND", "probe", 0, "no helper is called '" + helper + "' here"});
}

const struct {
  const char *name;
  std::function<int()> attempt;
} kAttachments[] = {
    {"cgroup", [] { return TryLink(BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, -1, EBADF); }},
    {"cgroup_skb", [] { return TryLink(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, -1, EBADF); }},
    {"sk_msg", [] { return TrySockmap(BPF_PROG_TYPE_SK_MSG, BPF_SK_MSG_VERDICT); }},
    {"sk_skb", [] { return TrySockmap(BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_STREAM_VERDICT); }},
    {"tp_btf", [] { return TryTracing(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "inet_sock_set_state"); }},
    {"fentry", [] { return TryTracing(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "tcp_v4_connect"); }},
    {"lsm", [] { return TryTracing(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "socket_connect"); }},
    {"iter", [] { return TryTracing(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "tcp", true); }},
    {"raw_tracepoint", TryRawTracepoint},
    {"tracepoint", TryTracepoint},
    {"kprobe", [] { return TryProbe("kprobe"); }},
    {"uprobe", [] { return TryProbe("uprobe"); }},
    // BPF_TCX_INGRESS, which these headers do not have yet; interface 2^31-1 does not exist.
    {"tcx", [] { return TryLink(BPF_PROG_TYPE_SCHED_CLS, static_cast<bpf_attach_type>(46), 0x7fffffff, ENODEV); }},
};

Napi::Value ProbeAttach(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string kind = TextOf(info[0], "kind");
  PrintCapture capture;
  for (const auto &attachment : kAttachments)
    if (kind == attachment.name) return Napi::String::New(env, ErrnoName(attachment.attempt()));
  Throw(env, {"BPF_NOT_FOUND", "probe", 0, "no attachment is called '" + kind + "' here"});
}

}  // namespace

void InitProbe(Napi::Env env, Napi::Object exports) {
  exports.Set("probeProgramType", Napi::Function::New(env, ProbeProgramType, "probeProgramType"));
  exports.Set("probeMapType", Napi::Function::New(env, ProbeMapType, "probeMapType"));
  exports.Set("probeHelper", Napi::Function::New(env, ProbeHelper, "probeHelper"));
  exports.Set("probeAttach", Napi::Function::New(env, ProbeAttach, "probeAttach"));
}

}  // namespace picket
