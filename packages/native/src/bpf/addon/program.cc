// class Program: one program of a loaded object, or one opened from a pin. It attaches by kind.
#include "handles.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace picket {

namespace {

struct ProgramSource {
  std::shared_ptr<ObjectState> object;
  bpf_program *program = nullptr;
  UniqueFd pinned;
  std::string name;
};

class Program : public Napi::ObjectWrap<Program> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Program",
                       {
                           InstanceMethod<&Program::Name>("name"),
                           InstanceMethod<&Program::Fd>("fd"),
                           InstanceMethod<&Program::Info>("info"),
                           InstanceMethod<&Program::Pin>("pin"),
                           InstanceMethod<&Program::Attach>("attach"),
                           InstanceMethod<&Program::AttachCgroup>("attachCgroup"),
                           InstanceMethod<&Program::AttachIter>("attachIter"),
                           InstanceMethod<&Program::AttachSockmap>("attachSockmap"),
                           InstanceMethod<&Program::AttachUprobe>("attachUprobe"),
                           InstanceMethod<&Program::TestRun>("testRun"),
                           InstanceMethod<&Program::Close>("close"),
                       });
  }

  explicit Program(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Program>(info) {
    source_ = std::move(*info[0].As<Napi::External<ProgramSource>>().Data());
  }

 private:
  int Loaded(Napi::Env env, const char *step) {
    if (source_.pinned) return source_.pinned.get();
    if (source_.object == nullptr)
      Throw(env, {"BPF_CLOSED", step, 0, "program '" + source_.name + "' is closed"});
    if (source_.object->loading)
      Throw(env, {"BPF_BUSY", step, 0, "program '" + source_.name + "' is being loaded: await load first"});
    if (source_.object->object == nullptr)
      Throw(env, {"BPF_CLOSED", step, 0, "program '" + source_.name + "': its object '" + source_.object->name + "' is closed"});
    int fd = bpf_program__fd(source_.program);
    if (fd < 0)
      Throw(env, {"BPF_NOT_LOADED", step, 0,
                  "program '" + source_.name + "' is not loaded: load object '" + source_.object->name +
                      "' first, with this program's autoload on"});
    return fd;
  }

  // libbpf attaches by what it read from the object file; a pinned program has no such thing.
  bpf_program *FromObject(Napi::Env env, const char *step) {
    Loaded(env, step);
    if (source_.program == nullptr)
      Throw(env, {"BPF_UNSUPPORTED", step, 0, "a program opened from a pin can only fill a slot or a socket map: "
                                              "pin its link instead"});
    return source_.program;
  }

  std::shared_ptr<LinkState> Begin() {
    auto state = std::make_shared<LinkState>();
    state->object = source_.object;
    state->name = source_.name;
    return state;
  }

  Napi::Value Finish(Napi::Env env, std::shared_ptr<LinkState> state, bpf_link *link, const PrintCapture &capture,
                     const std::string &where) {
    if (link == nullptr) {
      int err = errno;
      std::string line = capture.LastLine();
      Throw(env, {err == EPERM || err == EACCES ? "BPF_NO_PERMISSION" : "BPF_ATTACH_FAILED", "attach", err,
                  "could not attach program '" + source_.name + "'" + where + (line.empty() ? "" : ": " + line)});
    }
    state->link = link;
    Remember(state);
    return NewLink(env, std::move(state));
  }

  void Remember(const std::shared_ptr<LinkState> &state) {
    if (source_.object == nullptr) return;
    auto &links = source_.object->links;
    // Links that are gone leave here, so that attaching for ever does not grow the list.
    links.erase(std::remove_if(links.begin(), links.end(), [](auto &weak) { return weak.expired(); }), links.end());
    links.push_back(state);
  }

  Napi::Value Name(const Napi::CallbackInfo &info) { return Napi::String::New(info.Env(), source_.name); }
  Napi::Value Fd(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), Loaded(info.Env(), "fd")); }

  Napi::Value Info(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_prog_info kernel{};
    uint32_t size = sizeof(kernel);
    int err = bpf_obj_get_info_by_fd(Loaded(env, "info"), &kernel, &size);
    if (err != 0) Throw(env, {"BPF_FAILED", "info", -err, "could not read program '" + source_.name + "'"});
    char tag[2 * BPF_TAG_SIZE + 1];
    for (int i = 0; i < BPF_TAG_SIZE; i++) snprintf(tag + 2 * i, 3, "%02x", kernel.tag[i]);
    Napi::Object result = Napi::Object::New(env);
    const char *type = libbpf_bpf_prog_type_str(static_cast<bpf_prog_type>(kernel.type));
    result.Set("id", kernel.id);
    result.Set("type", type != nullptr ? type : std::to_string(kernel.type).c_str());
    result.Set("name", kernel.name);
    result.Set("tag", tag);
    // Before kernel 5.16 the field does not exist and stays 0; no verified program has 0 instructions.
    result.Set("verifiedInstructions", kernel.verified_insns);
    result.Set("translatedBytes", kernel.xlated_prog_len);
    result.Set("jitedBytes", kernel.jited_prog_len);
    result.Set("loadTimeNs", Napi::BigInt::New(env, static_cast<uint64_t>(kernel.load_time)));
    result.Set("runTimeNs", Napi::BigInt::New(env, static_cast<uint64_t>(kernel.run_time_ns)));
    result.Set("runCount", Napi::BigInt::New(env, static_cast<uint64_t>(kernel.run_cnt)));
    result.Set("recursionMisses", Napi::BigInt::New(env, static_cast<uint64_t>(kernel.recursion_misses)));
    return result;
  }

  void Pin(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    std::string path = TextOf(info[0], "path");
    int err = bpf_obj_pin(Loaded(env, "pin"), path.c_str());
    if (err != 0) Throw(env, {"BPF_PIN_FAILED", "pin", -err, "could not pin program '" + source_.name + "' at " + path});
  }

  // Where the section name says everything: tp_btf, tracepoint, raw_tp, and the like.
  Napi::Value Attach(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_program *program = FromObject(env, "attach");
    auto state = Begin();
    PrintCapture capture;
    return Finish(env, state, bpf_program__attach(program), capture, "");
  }

  Napi::Value AttachCgroup(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_program *program = FromObject(env, "attach");
    std::string path = TextOf(info[0], "cgroup");
    UniqueFd cgroup(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!cgroup) Throw(env, {"BPF_ATTACH_FAILED", "attach", errno, "could not open cgroup " + path});
    auto state = Begin();
    PrintCapture capture;
    // A cgroup link always allows several programs side by side (BPF_F_ALLOW_MULTI).
    return Finish(env, state, bpf_program__attach_cgroup(program, cgroup.get()), capture, " to cgroup " + path);
  }

  Napi::Value AttachIter(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_program *program = FromObject(env, "attach");
    Napi::Object options = info[0].As<Napi::Object>();
    bpf_iter_link_info parameters{};
    LIBBPF_OPTS(bpf_iter_attach_opts, opts);
    if (options.Has("mapFd")) {
      parameters.map.map_fd = static_cast<uint32_t>(IntegerOf(options, "mapFd", 0));
    } else {
      parameters.task.pid = static_cast<uint32_t>(IntegerOf(options, "pid", 0));
      parameters.task.tid = static_cast<uint32_t>(IntegerOf(options, "tid", 0));
    }
    if (options.Has("mapFd") || options.Has("pid") || options.Has("tid")) {
      opts.link_info = &parameters;
      opts.link_info_len = sizeof(parameters);
    }
    auto state = Begin();
    PrintCapture capture;
    return Finish(env, state, bpf_program__attach_iter(program, &opts), capture, " as an iterator");
  }

  // sk_msg and sk_skb programs, by map descriptor.
  Napi::Value AttachSockmap(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    int fd = Loaded(env, "attach");
    auto state = Begin();
    state->sockmap_program = Duplicate(env, fd, "attach");
    UniqueFd map = Duplicate(env, static_cast<int>(IntegerOf(info[0], "map fd")), "attach");
    state->sockmap_type = BPF_SK_MSG_VERDICT;
    bpf_prog_info kernel{};
    uint32_t size = sizeof(kernel);
    bpf_obj_get_info_by_fd(fd, &kernel, &size);
    if (kernel.type != BPF_PROG_TYPE_SK_MSG && kernel.type != BPF_PROG_TYPE_SK_SKB)
      Throw(env, {"BPF_BAD_INPUT", "attach", 0, "program '" + source_.name + "' is no sk_msg or sk_skb program"});
    if (kernel.type == BPF_PROG_TYPE_SK_SKB)
      state->sockmap_type = source_.program != nullptr ? bpf_program__expected_attach_type(source_.program)
                                                       : BPF_SK_SKB_STREAM_VERDICT;
    int err = bpf_prog_attach(fd, map.get(), state->sockmap_type, 0);
    if (err != 0)
      Throw(env, {"BPF_ATTACH_FAILED", "attach", -err, "could not attach program '" + source_.name + "' to the socket map"});
    state->sockmap = std::move(map);
    Remember(state);
    return NewLink(env, std::move(state));
  }

  Napi::Value AttachUprobe(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_program *program = FromObject(env, "attach");
    Napi::Object options = info[0].As<Napi::Object>();
    std::string path = TextOf(options.Get("path"), "path");
    std::string symbol = options.Has("symbol") ? TextOf(options.Get("symbol"), "symbol") : "";
    LIBBPF_OPTS(bpf_uprobe_opts, opts);
    opts.retprobe = BoolOf(options, "retprobe", false);
    if (!symbol.empty()) opts.func_name = symbol.c_str();
    if (options.Has("cookie")) {
      bool lossless = false;
      opts.bpf_cookie = options.Get("cookie").As<Napi::BigInt>().Uint64Value(&lossless);
    }
    size_t offset = static_cast<size_t>(IntegerOf(options, "offset", 0));
    pid_t pid = static_cast<pid_t>(IntegerOf(options, "pid", -1));
    auto state = Begin();
    PrintCapture capture;
    bpf_link *link = bpf_program__attach_uprobe_opts(program, pid, path.c_str(), offset, &opts);
    return Finish(env, state, link, capture, " to " + path + (symbol.empty() ? "" : ":" + symbol));
  }

  // (options {data?, context?, repeat?, dataOutBytes?, flags?}): only for program types that allow test runs.
  Napi::Value TestRun(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Napi::Object options = info[0].As<Napi::Object>();
    LIBBPF_OPTS(bpf_test_run_opts, opts);
    Napi::Buffer<uint8_t> out;
    if (options.Has("data")) {
      Bytes data = BytesOf(options.Get("data"), "data");
      opts.data_in = data.data;
      opts.data_size_in = static_cast<uint32_t>(data.size);
      size_t out_bytes = static_cast<size_t>(IntegerOf(options, "dataOutBytes", 0));
      out = Napi::Buffer<uint8_t>::New(env, out_bytes);
      if (out_bytes > 0) {
        memset(out.Data(), 0, out_bytes);
        opts.data_out = out.Data();
        opts.data_size_out = static_cast<uint32_t>(out_bytes);
      }
    }
    if (options.Has("context")) {
      Bytes context = BytesOf(options.Get("context"), "context");
      opts.ctx_in = context.data;
      opts.ctx_size_in = static_cast<uint32_t>(context.size);
    }
    opts.repeat = static_cast<int>(IntegerOf(options, "repeat", 0));
    opts.flags = static_cast<uint32_t>(IntegerOf(options, "flags", 0));
    int err = bpf_prog_test_run_opts(Loaded(env, "testRun"), &opts);
    if (err != 0)
      Throw(env, {err == -524 || err == -EOPNOTSUPP ? "BPF_UNSUPPORTED" : "BPF_FAILED", "testRun", -err,
                  "the test run of program '" + source_.name + "' failed"});
    Napi::Object result = Napi::Object::New(env);
    result.Set("returned", opts.retval);
    result.Set("durationNs", opts.duration);
    if (options.Has("data") && opts.data_out != nullptr)
      result.Set("data", Napi::Buffer<uint8_t>::Copy(env, out.Data(), std::min<size_t>(opts.data_size_out, out.Length())));
    return result;
  }

  void Close(const Napi::CallbackInfo &) {
    source_.pinned.reset();
    source_.program = nullptr;
    source_.object.reset();
  }

  ProgramSource source_;
};

Napi::Value OpenPinnedProgram(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string path = TextOf(info[0], "path");
  ProgramSource source;
  source.name = path;
  source.pinned.reset(bpf_obj_get(path.c_str()));
  if (!source.pinned) Throw(env, {"BPF_PIN_FAILED", "openPinned", errno, "could not open the pinned program " + path});
  if (KindOfFd(source.pinned.get()) != "bpf-prog")
    Throw(env, {"BPF_PIN_FAILED", "openPinned", EINVAL, path + " is not a pinned program"});
  return Of(env).program.New({Napi::External<ProgramSource>::New(env, &source)});
}

// Counting run time costs every program about 20 ns a run; it ends when the descriptor is closed.
Napi::Value EnableRunTimeStats(const Napi::CallbackInfo &info) {
  int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
  if (fd < 0) Throw(info.Env(), {"BPF_FAILED", "stats", errno, "could not enable program run-time statistics"});
  return Napi::Number::New(info.Env(), fd);
}

}  // namespace

Napi::Object NewProgram(Napi::Env env, std::shared_ptr<ObjectState> object, bpf_program *program) {
  ProgramSource source;
  source.object = std::move(object);
  source.program = program;
  source.name = bpf_program__name(program);
  return Of(env).program.New({Napi::External<ProgramSource>::New(env, &source)});
}

void InitProgram(Napi::Env env, Napi::Object exports) {
  Of(env).program = Napi::Persistent(Program::Define(env));
  exports.Set("openPinnedProgram", Napi::Function::New(env, OpenPinnedProgram, "openPinnedProgram"));
  exports.Set("enableRunTimeStats", Napi::Function::New(env, EnableRunTimeStats, "enableRunTimeStats"));
}

}  // namespace picket
