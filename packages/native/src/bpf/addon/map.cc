// class Map: raw elements as bytes. Sizes are checked here, because the kernel reads and writes as many
// bytes as the map says, whatever buffer it is given.
#include "handles.h"

#include <cerrno>
#include <cstring>

namespace picket {

namespace {

constexpr int kNotSupported = 524;  // ENOTSUPP, which the kernel lets out of map batches

bool IsPerCpu(uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

bool IsArray(uint32_t type) {
  return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PROG_ARRAY ||
         type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_SOCKMAP;
}

class Map : public Napi::ObjectWrap<Map> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Map",
                       {
                           InstanceMethod<&Map::Fd>("fd"),
                           InstanceMethod<&Map::Info>("info"),
                           InstanceMethod<&Map::Lookup>("lookup"),
                           InstanceMethod<&Map::Update>("update"),
                           InstanceMethod<&Map::Delete>("delete"),
                           InstanceMethod<&Map::Take>("take"),
                           InstanceMethod<&Map::ReadChunk>("readChunk"),
                           InstanceMethod<&Map::UpdateBatch>("updateBatch"),
                           InstanceMethod<&Map::DeleteBatch>("deleteBatch"),
                           InstanceMethod<&Map::Freeze>("freeze"),
                           InstanceMethod<&Map::Pin>("pin"),
                           InstanceMethod<&Map::Close>("close"),
                       });
  }

  explicit Map(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Map>(info) {
    fd_ = std::move(*info[0].As<Napi::External<UniqueFd>>().Data());
    uint32_t size = sizeof(info_);
    int err = bpf_obj_get_info_by_fd(fd_.get(), &info_, &size);
    if (err != 0) Throw(info.Env(), {"BPF_FAILED", "info", -err, "could not read a map"});
    // Per-CPU values are padded to 8 bytes each and come for every possible CPU, not only those online.
    value_bytes_ = IsPerCpu(info_.type) ? ((info_.value_size + 7u) & ~7u) * static_cast<size_t>(libbpf_num_possible_cpus())
                                        : info_.value_size;
  }

 private:
  int Open(Napi::Env env, const char *step) {
    if (!fd_) Throw(env, {"BPF_CLOSED", step, 0, std::string("map '") + info_.name + "' is closed"});
    return fd_.get();
  }

  const uint8_t *Key(const Napi::Value &value) { return Sized(value, info_.key_size, "key"); }

  const uint8_t *Sized(const Napi::Value &value, size_t size, const char *what) {
    Bytes bytes = BytesOf(value, what);
    if (bytes.size != size)
      Throw(value.Env(), {"BPF_BAD_INPUT", "map", 0,
                          std::string("a ") + what + " of map '" + info_.name + "' has " + std::to_string(size) +
                              " bytes, given " + std::to_string(bytes.size)});
    return bytes.data;
  }

  [[noreturn]] void Fail(Napi::Env env, int err, const char *what) {
    std::string message = std::string(what) + " map '" + info_.name + "'";
    const char *code = "BPF_MAP_FAILED";
    if (err == E2BIG && !IsArray(info_.type)) {
      code = "BPF_MAP_FULL";
      message += " (full at " + std::to_string(info_.max_entries) + " entries)";
    } else if (err == E2BIG || (err == ENOENT && IsArray(info_.type))) {
      code = "BPF_BAD_INPUT";
      message += " (index beyond its " + std::to_string(info_.max_entries) + " entries, or an empty slot)";
    } else if (err == EPERM || err == EACCES) {
      code = "BPF_NO_PERMISSION";
    } else if (err == kNotSupported || err == EOPNOTSUPP) {
      code = "BPF_UNSUPPORTED";
    }
    Throw(env, {code, "map", err, message});
  }

  Napi::Value Fd(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), Open(info.Env(), "fd")); }

  Napi::Value Info(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Open(env, "info");
    Napi::Object result = Napi::Object::New(env);
    const char *type = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(info_.type));
    result.Set("id", info_.id);
    result.Set("type", type != nullptr ? type : std::to_string(info_.type).c_str());
    result.Set("name", info_.name);
    result.Set("keySize", info_.key_size);
    result.Set("valueSize", info_.value_size);
    result.Set("valueBytes", static_cast<double>(value_bytes_));
    result.Set("maxEntries", info_.max_entries);
    result.Set("flags", info_.map_flags);
    result.Set("perCpu", IsPerCpu(info_.type));
    return result;
  }

  Napi::Value Lookup(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    int fd = Open(env, "map");
    const uint8_t *key = Key(info[0]);
    // A miss is common and should not cost a Buffer.
    value_.resize(value_bytes_);
    int err = -bpf_map_lookup_elem(fd, key, value_.data());
    if (err == ENOENT) return env.Undefined();
    if (err != 0) Fail(env, err, "could not read");
    return Napi::Buffer<uint8_t>::Copy(env, value_.data(), value_.size());
  }

  void Update(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    int fd = Open(env, "map");
    const uint8_t *key = Key(info[0]);
    const uint8_t *value = Sized(info[1], value_bytes_, "value");
    int err = -bpf_map_update_elem(fd, key, value, static_cast<uint64_t>(IntegerOf(info[2], "flags")));
    if (err != 0) Fail(env, err, "could not write");
  }

  Napi::Value Delete(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    int err = -bpf_map_delete_elem(Open(env, "map"), Key(info[0]));
    if (err != 0 && err != ENOENT) Fail(env, err, "could not delete from");
    return Napi::Boolean::New(env, err == 0);
  }

  Napi::Value Take(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    int fd = Open(env, "map");
    const uint8_t *key = Key(info[0]);
    auto value = Napi::Buffer<uint8_t>::New(env, value_bytes_);
    int err = -bpf_map_lookup_and_delete_elem(fd, key, value.Data());
    if (err == ENOENT) return env.Undefined();
    if (err != 0) Fail(env, err, "could not take from");
    return value;
  }

  // (cursor | undefined, count) → {keys, values, count, cursor | undefined}. One system call per chunk where
  // the type has batches, else a walk by key, which may meet an element twice while others are deleted.
  Napi::Value ReadChunk(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    int fd = Open(env, "map");
    std::vector<uint8_t> cursor;
    if (!info[0].IsUndefined()) {
      const uint8_t *data = Sized(info[0], CursorBytes(), "cursor");
      cursor.assign(data, data + CursorBytes());
    }
    uint32_t want = static_cast<uint32_t>(IntegerOf(info[1], "count"));
    std::vector<uint8_t> next(CursorBytes());
    std::vector<uint8_t> keys, values;
    uint32_t count = 0;
    bool done = false;
    if (batches_ != Batches::kNo) {
      int err;
      for (int attempts = 0;; attempts++) {
        keys.resize(static_cast<size_t>(want) * info_.key_size);
        values.resize(static_cast<size_t>(want) * value_bytes_);
        count = want;
        err = -bpf_map_lookup_batch(fd, cursor.empty() ? nullptr : cursor.data(), next.data(), keys.data(), values.data(),
                                    &count, nullptr);
        if (err == ENOSPC && attempts < 16) {
          want *= 2;  // one hash bucket holds more than asked for
        } else if (err != EINTR || attempts >= 16) {
          break;
        }
      }
      if (err == 0 || err == ENOENT) {
        batches_ = Batches::kYes;
        done = err == ENOENT;
      } else if (batches_ == Batches::kUnknown && (err == kNotSupported || err == EINVAL || err == EOPNOTSUPP)) {
        batches_ = Batches::kNo;
      } else {
        Fail(env, err, "could not read");
      }
    }
    if (batches_ == Batches::kNo) {
      count = 0;
      keys.resize(static_cast<size_t>(want) * info_.key_size);
      values.resize(static_cast<size_t>(want) * value_bytes_);
      next = cursor.empty() ? std::vector<uint8_t>(CursorBytes()) : cursor;
      bool first = cursor.empty();
      while (count < want) {
        uint8_t *key = keys.data() + static_cast<size_t>(count) * info_.key_size;
        int err = -bpf_map_get_next_key(fd, first ? nullptr : next.data(), key);
        if (err == ENOENT) {
          done = true;
          break;
        }
        if (err != 0) Fail(env, err, "could not walk");
        first = false;
        memcpy(next.data(), key, info_.key_size);
        err = -bpf_map_lookup_elem(fd, key, values.data() + count * value_bytes_);
        if (err == 0) count++;
        else if (err != ENOENT) Fail(env, err, "could not read");
      }
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("keys", Napi::Buffer<uint8_t>::Copy(env, keys.data(), static_cast<size_t>(count) * info_.key_size));
    result.Set("values", Napi::Buffer<uint8_t>::Copy(env, values.data(), count * value_bytes_));
    result.Set("count", count);
    if (!done) result.Set("cursor", Napi::Buffer<uint8_t>::Copy(env, next.data(), next.size()));
    return result;
  }

  void UpdateBatch(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    int fd = Open(env, "map");
    uint32_t total = static_cast<uint32_t>(IntegerOf(info[2], "count"));
    const uint8_t *keys = Sized(info[0], static_cast<size_t>(total) * info_.key_size, "list of keys");
    const uint8_t *values = Sized(info[1], total * value_bytes_, "list of values");
    LIBBPF_OPTS(bpf_map_batch_opts, opts);
    opts.elem_flags = static_cast<uint64_t>(IntegerOf(info[3], "flags"));
    if (total == 0) return;
    if (batches_ != Batches::kNo) {
      uint32_t count = total;
      int err = -bpf_map_update_batch(fd, keys, values, &count, &opts);
      if (err == 0) return;
      if (err != kNotSupported && err != EOPNOTSUPP && err != EINVAL) Fail(env, err, "could not write");
    }
    for (uint32_t i = 0; i < total; i++) {
      int err = -bpf_map_update_elem(fd, keys + static_cast<size_t>(i) * info_.key_size, values + i * value_bytes_, opts.elem_flags);
      if (err != 0) Fail(env, err, "could not write");
    }
  }

  // Returns how many there were; keys that are not there are passed over.
  Napi::Value DeleteBatch(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    int fd = Open(env, "map");
    uint32_t total = static_cast<uint32_t>(IntegerOf(info[1], "count"));
    const uint8_t *keys = Sized(info[0], static_cast<size_t>(total) * info_.key_size, "list of keys");
    uint32_t deleted = 0;
    bool batch = batches_ != Batches::kNo;
    for (uint32_t at = 0; at < total;) {
      const uint8_t *key = keys + static_cast<size_t>(at) * info_.key_size;
      uint32_t count = 1;
      int err;
      if (batch) {
        count = total - at;
        err = -bpf_map_delete_batch(fd, key, &count, nullptr);
        if (err == kNotSupported || err == EOPNOTSUPP || err == EINVAL) {
          batch = false;
          continue;
        }
      } else {
        err = -bpf_map_delete_elem(fd, key);
        if (err == ENOENT) count = 0;
      }
      if (err != 0 && err != ENOENT) Fail(env, err, "could not delete from");
      deleted += count;
      at += count + (err == ENOENT ? 1 : 0);
    }
    return Napi::Number::New(env, deleted);
  }

  void Freeze(const Napi::CallbackInfo &info) {
    int err = -bpf_map_freeze(Open(info.Env(), "freeze"));
    if (err != 0) Fail(info.Env(), err, "could not freeze");
  }

  void Pin(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    std::string path = TextOf(info[0], "path");
    int err = -bpf_obj_pin(Open(env, "pin"), path.c_str());
    if (err != 0) Throw(env, {"BPF_PIN_FAILED", "pin", err, std::string("could not pin map '") + info_.name + "' at " + path});
  }

  void Close(const Napi::CallbackInfo &) { fd_.reset(); }

  // Hash batches use 4 bytes as cursor, others a key.
  size_t CursorBytes() const { return info_.key_size < 8 ? 8 : info_.key_size; }

  enum class Batches { kUnknown, kYes, kNo };
  UniqueFd fd_;
  bpf_map_info info_{};
  size_t value_bytes_ = 0;
  std::vector<uint8_t> value_;  // of the lookup under way
  Batches batches_ = Batches::kUnknown;
};

Napi::Value CreateMap(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Napi::Object options = info[0].As<Napi::Object>();
  std::string name = TextOf(options.Get("name"), "name");
  LIBBPF_OPTS(bpf_map_create_opts, opts);
  opts.map_flags = static_cast<uint32_t>(IntegerOf(options, "flags", 0));
  opts.inner_map_fd = static_cast<uint32_t>(IntegerOf(options, "innerMapFd", 0));
  auto type = static_cast<bpf_map_type>(IntegerOf(options, "type", 0));
  int fd = bpf_map_create(type, name.c_str(), static_cast<uint32_t>(IntegerOf(options, "keySize", 0)),
                          static_cast<uint32_t>(IntegerOf(options, "valueSize", 0)),
                          static_cast<uint32_t>(IntegerOf(options, "maxEntries", 0)), &opts);
  if (fd < 0)
    Throw(env, {fd == -EPERM ? "BPF_NO_PERMISSION" : "BPF_MAP_FAILED", "create", -fd, "could not create map '" + name + "'"});
  return NewMap(env, UniqueFd(fd));
}

Napi::Value OpenPinnedMap(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string path = TextOf(info[0], "path");
  UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd) Throw(env, {"BPF_PIN_FAILED", "openPinned", errno, "could not open the pinned map " + path});
  if (KindOfFd(fd.get()) != "bpf-map") Throw(env, {"BPF_PIN_FAILED", "openPinned", EINVAL, path + " is not a pinned map"});
  return NewMap(env, std::move(fd));
}

Napi::Value PossibleCpus(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), libbpf_num_possible_cpus());
}

}  // namespace

Napi::Object NewMap(Napi::Env env, UniqueFd fd) {
  return Of(env).map.New({Napi::External<UniqueFd>::New(env, &fd)});
}

void InitMap(Napi::Env env, Napi::Object exports) {
  Of(env).map = Napi::Persistent(Map::Define(env));
  exports.Set("createMap", Napi::Function::New(env, CreateMap, "createMap"));
  exports.Set("openPinnedMap", Napi::Function::New(env, OpenPinnedMap, "openPinnedMap"));
  exports.Set("possibleCpus", Napi::Function::New(env, PossibleCpus, "possibleCpus"));
}

}  // namespace picket
