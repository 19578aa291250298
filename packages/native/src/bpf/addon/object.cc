// class Object: a BPF object file opened from memory, configured, then loaded into the kernel once.
#include "handles.h"

#include <bpf/btf.h>

#include <cerrno>
#include <cstring>

namespace picket {

void ObjectState::Close() {
  for (auto &weak : links)
    if (auto link = weak.lock()) link->Close();
  links.clear();
  if (object != nullptr) bpf_object__close(std::exchange(object, nullptr));
  loaded = false;
}

namespace {

// Loading takes as long as the verifier does (0.1 s for a big program): off the JavaScript thread.
class LoadWorker : public Napi::AsyncWorker {
 public:
  LoadWorker(Napi::Env env, std::shared_ptr<ObjectState> state)
      : Napi::AsyncWorker(env, "picket:load"), state_(std::move(state)), deferred_(env) {}
  Napi::Promise promise() { return deferred_.Promise(); }

  void Execute() override {
    PrintCapture capture;
    err_ = -bpf_object__load(state_->object);
    log_ = capture.VerifierLog();
    program_ = capture.FailedProgram();
    line_ = capture.LastLine();
  }
  void OnOK() override;

 private:
  std::shared_ptr<ObjectState> state_;
  Napi::Promise::Deferred deferred_;
  int err_ = 0;
  std::string log_, program_, line_;
};

[[noreturn]] void ThrowLoad(Napi::Env env, const ObjectState &state, int err, const std::string &log,
                            const std::string &program, const std::string &line) {
  const char *code = !log.empty()                    ? "BPF_VERIFIER_REFUSED"
                     : err == EPERM || err == EACCES ? "BPF_NO_PERMISSION"
                                                     : "BPF_LOAD_FAILED";
  std::string what = !log.empty() ? "the kernel refused program '" + program + "' of object '" + state.name + "'"
                                  : "could not load object '" + state.name + "'";
  if (log.empty() && !line.empty()) what += ": " + line;
  Throw(env, {code, "load", err, what, log, program});
}

void LoadWorker::OnOK() {
  Napi::HandleScope scope(Env());
  state_->loading = false;
  if (err_ == 0) {
    state_->loaded = true;
    deferred_.Resolve(Env().Undefined());
    return;
  }
  try {
    ThrowLoad(Env(), *state_, err_, log_, program_, line_);
  } catch (const Napi::Error &error) {
    deferred_.Reject(error.Value());
  }
}

class Object : public Napi::ObjectWrap<Object> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Object",
                       {
                           InstanceMethod<&Object::Programs>("programs"),
                           InstanceMethod<&Object::Maps>("maps"),
                           InstanceMethod<&Object::SetAutoload>("setAutoload"),
                           InstanceMethod<&Object::SetMaxEntries>("setMaxEntries"),
                           InstanceMethod<&Object::ReuseMap>("reuseMap"),
                           InstanceMethod<&Object::InitialValue>("initialValue"),
                           InstanceMethod<&Object::SetInitialValue>("setInitialValue"),
                           InstanceMethod<&Object::Btf>("btf"),
                           InstanceMethod<&Object::Load>("load"),
                           InstanceMethod<&Object::LoadAsync>("loadAsync"),
                           InstanceMethod<&Object::Program>("program"),
                           InstanceMethod<&Object::Map>("map"),
                           InstanceMethod<&Object::Close>("close"),
                       });
  }

  // (bytes, name, pinRoot | undefined)
  explicit Object(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Object>(info) {
    Napi::Env env = info.Env();
    Bytes bytes = BytesOf(info[0], "the object file");
    state_ = std::make_shared<ObjectState>();
    state_->name = TextOf(info[1], "name");
    std::string pin_root = info[2].IsUndefined() ? "" : TextOf(info[2], "pinRoot");
    LIBBPF_OPTS(bpf_object_open_opts, opts);
    opts.object_name = state_->name.c_str();
    if (!pin_root.empty()) opts.pin_root_path = pin_root.c_str();
    PrintCapture capture;
    bpf_object *object = bpf_object__open_mem(bytes.data, bytes.size, &opts);
    if (object == nullptr) {
      int err = errno;
      std::string line = capture.LastLine();
      Throw(env, {"BPF_OPEN_FAILED", "open", err,
                  "could not open BPF object '" + state_->name + "'" + (line.empty() ? "" : ": " + line)});
    }
    state_->object = object;
    bpf_map *map;
    bpf_object__for_each_map(map, object) maps_.emplace_back(bpf_map__name(map), map);
  }

 private:
  bpf_object *Open(Napi::Env env, const char *step) {
    if (state_->loading)
      Throw(env, {"BPF_BUSY", step, 0, "object '" + state_->name + "' is being loaded: await load first"});
    if (state_->object == nullptr)
      Throw(env, {"BPF_CLOSED", step, 0, "object '" + state_->name + "' is closed"});
    return state_->object;
  }

  bpf_object *Unloaded(Napi::Env env, const char *step) {
    bpf_object *object = Open(env, step);
    if (state_->loaded)
      Throw(env, {"BPF_BAD_INPUT", step, 0, "object '" + state_->name + "' is loaded: configure it before load()"});
    return object;
  }

  bpf_program *FindProgram(Napi::Env env, bpf_object *object, const std::string &name, const char *step) {
    bpf_program *program = bpf_object__find_program_by_name(object, name.c_str());
    if (program != nullptr) return program;
    std::string names;
    bpf_object__for_each_program(program, object) names += std::string(names.empty() ? "" : ", ") + bpf_program__name(program);
    Throw(env, {"BPF_NOT_FOUND", step, 0,
                "object '" + state_->name + "' has no program '" + name + "'; it has: " + names});
  }

  // By the name in the object file: libbpf renames a reused map to what it was called at its creation.
  bpf_map *FindMap(Napi::Env env, bpf_object *object, const std::string &name, const char *step) {
    if (name[0] == '.')
      if (bpf_map *section = bpf_object__find_map_by_name(object, name.c_str())) return section;
    std::string names;
    for (const auto &[known, map] : maps_) {
      if (known == name) return map;
      names += (names.empty() ? "" : ", ") + known;
    }
    Throw(env, {"BPF_NOT_FOUND", step, 0, "object '" + state_->name + "' has no map '" + name + "'; it has: " + names});
  }

  Napi::Value Programs(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_object *object = Open(env, "open");
    Napi::Array list = Napi::Array::New(env);
    bpf_program *program;
    bpf_object__for_each_program(program, object) {
      Napi::Object entry = Napi::Object::New(env);
      const char *type = libbpf_bpf_prog_type_str(bpf_program__type(program));
      entry.Set("name", bpf_program__name(program));
      entry.Set("section", bpf_program__section_name(program));
      entry.Set("type", type != nullptr ? type : "unknown");
      entry.Set("autoload", bpf_program__autoload(program));
      list.Set(list.Length(), entry);
    }
    return list;
  }

  Napi::Value Maps(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Open(env, "open");
    Napi::Array list = Napi::Array::New(env);
    for (const auto &[name, map] : maps_) {
      Napi::Object entry = Napi::Object::New(env);
      const char *type = libbpf_bpf_map_type_str(bpf_map__type(map));
      entry.Set("name", name);
      entry.Set("type", type != nullptr ? type : "unknown");
      entry.Set("keySize", bpf_map__key_size(map));
      entry.Set("valueSize", bpf_map__value_size(map));
      entry.Set("maxEntries", bpf_map__max_entries(map));
      entry.Set("internal", bpf_map__is_internal(map));
      list.Set(list.Length(), entry);
    }
    return list;
  }

  void SetAutoload(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_object *object = Unloaded(env, "configure");
    std::string name = TextOf(info[0], "program");
    int err = bpf_program__set_autoload(FindProgram(env, object, name, "configure"), info[1].ToBoolean().Value());
    if (err != 0) Throw(env, {"BPF_OPEN_FAILED", "configure", -err, "could not set autoload of program '" + name + "'"});
  }

  void SetMaxEntries(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_object *object = Unloaded(env, "configure");
    std::string name = TextOf(info[0], "map");
    int64_t entries = IntegerOf(info[1], "maxEntries");
    if (entries < 1 || entries > UINT32_MAX)
      Throw(env, {"BPF_BAD_INPUT", "configure", 0, "maxEntries of map '" + name + "' must be 1 to 4294967295"});
    int err = bpf_map__set_max_entries(FindMap(env, object, name, "configure"), static_cast<uint32_t>(entries));
    if (err != 0) Throw(env, {"BPF_OPEN_FAILED", "configure", -err, "could not size map '" + name + "'"});
  }

  // (name, fd): libbpf duplicates the descriptor, and takes over whatever shape the map has. A program
  // compiled for another shape would be refused by the verifier in words nobody understands: check here.
  void ReuseMap(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_object *object = Unloaded(env, "configure");
    std::string name = TextOf(info[0], "map");
    int fd = static_cast<int>(IntegerOf(info[1], "fd"));
    bpf_map *map = FindMap(env, object, name, "configure");
    bpf_map_info other{};
    uint32_t size = sizeof(other);
    int err = bpf_obj_get_info_by_fd(fd, &other, &size);
    if (err != 0) Throw(env, {"BPF_BAD_INPUT", "configure", -err, "what was given for map '" + name + "' is not a map"});
    const struct {
      const char *what;
      uint32_t wanted, given;
    } facts[] = {{"type", bpf_map__type(map), other.type},
                 {"key bytes", bpf_map__key_size(map), other.key_size},
                 {"value bytes", bpf_map__value_size(map), other.value_size},
                 {"entries", bpf_map__max_entries(map), other.max_entries},
                 {"flags", bpf_map__map_flags(map), other.map_flags}};
    for (const auto &fact : facts)
      if (fact.wanted != fact.given)
        Throw(env, {"BPF_BAD_INPUT", "configure", 0,
                    std::string("map '") + other.name + "' cannot serve as map '" + name + "': " + fact.what + " " +
                        std::to_string(fact.given) + ", wanted " + std::to_string(fact.wanted)});
    PrintCapture capture;
    err = bpf_map__reuse_fd(map, fd);
    if (err != 0) Throw(env, {"BPF_OPEN_FAILED", "configure", -err, "could not reuse a map as '" + name + "'"});
  }

  Napi::Value InitialValue(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    std::string name = TextOf(info[0], "map");
    size_t size = 0;
    const void *data = bpf_map__initial_value(FindMap(env, Open(env, "configure"), name, "configure"), &size);
    if (data == nullptr)
      Throw(env, {"BPF_BAD_INPUT", "configure", 0, "map '" + name + "' is not a data section: it has no initial value"});
    return Napi::Buffer<uint8_t>::Copy(env, static_cast<const uint8_t *>(data), size);
  }

  void SetInitialValue(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_object *object = Unloaded(env, "configure");
    std::string name = TextOf(info[0], "map");
    Bytes value = BytesOf(info[1], "initial value");
    bpf_map *map = FindMap(env, object, name, "configure");
    size_t size = 0;
    if (bpf_map__initial_value(map, &size) != nullptr && size != value.size)
      Throw(env, {"BPF_BAD_INPUT", "configure", 0,
                  "section '" + name + "' has " + std::to_string(size) + " bytes, given " + std::to_string(value.size)});
    int err = bpf_map__set_initial_value(map, value.data, value.size);
    if (err != 0) Throw(env, {"BPF_OPEN_FAILED", "configure", -err, "could not set the bytes of '" + name + "'"});
  }

  // libbpf has repaired the section offsets in this BTF, which clang leaves at zero.
  Napi::Value Btf(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    struct btf *btf = bpf_object__btf(Open(env, "open"));
    if (btf == nullptr) return env.Undefined();
    uint32_t size = 0;
    const void *data = btf__raw_data(btf, &size);
    if (data == nullptr) Throw(env, {"BPF_OPEN_FAILED", "open", errno, "could not read the BTF of '" + state_->name + "'"});
    return Napi::Buffer<uint8_t>::Copy(env, static_cast<const uint8_t *>(data), size);
  }

  void Load(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_object *object = Unloaded(env, "load");
    PrintCapture capture;
    int err = -bpf_object__load(object);
    if (err != 0) ThrowLoad(env, *state_, err, capture.VerifierLog(), capture.FailedProgram(), capture.LastLine());
    state_->loaded = true;
  }

  Napi::Value LoadAsync(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Unloaded(env, "load");
    state_->loading = true;
    auto *worker = new LoadWorker(env, state_);
    worker->Queue();
    return worker->promise();
  }

  Napi::Value Program(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    std::string name = TextOf(info[0], "program");
    bpf_program *program = FindProgram(env, Open(env, "open"), name, "open");
    return NewProgram(env, state_, program);
  }

  Napi::Value Map(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    std::string name = TextOf(info[0], "map");
    bpf_map *map = FindMap(env, Open(env, "open"), name, "open");
    int fd = bpf_map__fd(map);
    if (fd < 0)
      Throw(env, {"BPF_NOT_LOADED", "open", 0, "map '" + name + "' does not exist yet: load object '" + state_->name + "' first"});
    return NewMap(env, Duplicate(env, fd, "open"));
  }

  void Close(const Napi::CallbackInfo &info) {
    if (state_->loading) Open(info.Env(), "close");
    state_->Close();
  }

  std::shared_ptr<ObjectState> state_;
  std::vector<std::pair<std::string, bpf_map *>> maps_;
};

}  // namespace

void InitObject(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = Object::Define(env);
  Of(env).object = Napi::Persistent(constructor);
  exports.Set("Object", constructor);
}

}  // namespace picket
