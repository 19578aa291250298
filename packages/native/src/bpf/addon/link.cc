// class Link: one attachment. Closing it detaches, unless it is pinned.
#include "handles.h"

#include <cerrno>
#include <fcntl.h>

namespace picket {

int LinkState::Close() {
  int err = 0;
  if (link != nullptr) err = bpf_link__destroy(std::exchange(link, nullptr));
  if (sockmap) {
    // ENOENT: another program took the place, or the map detached it: nothing of ours is left there.
    err = bpf_prog_detach2(sockmap_program.get(), sockmap.get(), sockmap_type);
    if (err == -ENOENT) err = 0;
    sockmap.reset();
    sockmap_program.reset();
  }
  return err;
}

void LinkState::Release() {
  if (link != nullptr) {
    bpf_link__disconnect(link);
    bpf_link__destroy(std::exchange(link, nullptr));
  }
  sockmap.reset();
  sockmap_program.reset();
}

namespace {

class Link : public Napi::ObjectWrap<Link> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Link",
                       {
                           InstanceMethod<&Link::Close>("close"),
                           InstanceMethod<&Link::Release>("release"),
                           InstanceMethod<&Link::Detach>("detach"),
                           InstanceMethod<&Link::Pin>("pin"),
                           InstanceMethod<&Link::Unpin>("unpin"),
                           InstanceMethod<&Link::Update>("update"),
                           InstanceMethod<&Link::Info>("info"),
                           InstanceMethod<&Link::ReadIter>("readIter"),
                           InstanceMethod<&Link::IsOpen>("isOpen"),
                       });
  }

  explicit Link(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Link>(info) {
    state_ = std::move(*info[0].As<Napi::External<std::shared_ptr<LinkState>>>().Data());
  }

 private:
  LinkState &Open(Napi::Env env, const char *step) {
    if (!state_->open()) Throw(env, {"BPF_CLOSED", step, 0, "the link of program '" + state_->name + "' is closed"});
    return *state_;
  }

  bpf_link *Kernel(Napi::Env env, const char *step, const char *why) {
    LinkState &state = Open(env, step);
    if (state.link == nullptr)
      Throw(env, {"BPF_UNSUPPORTED", step, 0, "program '" + state.name + "' is attached to a socket map: " + why});
    return state.link;
  }

  void Close(const Napi::CallbackInfo &info) {
    int err = state_->Close();
    if (err != 0)
      Throw(info.Env(), {"BPF_DETACH_FAILED", "detach", -err, "could not detach program '" + state_->name + "'"});
  }

  void Release(const Napi::CallbackInfo &) { state_->Release(); }

  Napi::Value IsOpen(const Napi::CallbackInfo &info) { return Napi::Boolean::New(info.Env(), state_->open()); }

  // Detaches even where a pin or another process still holds the link.
  void Detach(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    LinkState &state = Open(env, "detach");
    if (state.link != nullptr) {
      PrintCapture capture;
      int err = bpf_link__detach(state.link);
      if (err != 0) Throw(env, {"BPF_DETACH_FAILED", "detach", -err, "could not detach program '" + state.name + "'"});
    }
    Close(info);
  }

  void Pin(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    std::string path = TextOf(info[0], "path");
    bpf_link *link = Kernel(env, "pin", "pin the map, which keeps the program attached");
    PrintCapture capture;
    int err = bpf_link__pin(link, path.c_str());
    if (err != 0) Throw(env, {"BPF_PIN_FAILED", "pin", -err, "could not pin the link of '" + state_->name + "' at " + path});
  }

  void Unpin(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_link *link = Kernel(env, "unpin", "it has no pin");
    PrintCapture capture;
    int err = bpf_link__unpin(link);
    if (err != 0) Throw(env, {"BPF_PIN_FAILED", "unpin", -err, "could not unpin the link of '" + state_->name + "'"});
  }

  void Update(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    int program = static_cast<int>(IntegerOf(info[0], "fd"));
    bpf_link *link = Kernel(env, "update", "sockets already in the map would keep the old program; "
                                           "attach a dispatcher once and swap a PROG_ARRAY slot");
    int err = bpf_link_update(bpf_link__fd(link), program, nullptr);
    if (err != 0)
      Throw(env, {"BPF_ATTACH_FAILED", "update", -err, "this kind of link cannot be given another program"});
  }

  Napi::Value Info(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    LinkState &state = Open(env, "info");
    Napi::Object result = Napi::Object::New(env);
    if (state.link == nullptr) {
      result.Set("type", "sockmap");
      return result;
    }
    bpf_link_info kernel{};
    uint32_t size = sizeof(kernel);
    int err = bpf_obj_get_info_by_fd(bpf_link__fd(state.link), &kernel, &size);
    if (err != 0) Throw(env, {"BPF_FAILED", "info", -err, "could not read the link of program '" + state.name + "'"});
    const char *type = libbpf_bpf_link_type_str(static_cast<bpf_link_type>(kernel.type));
    result.Set("type", type != nullptr ? type : std::to_string(kernel.type).c_str());
    result.Set("id", kernel.id);
    result.Set("programId", kernel.prog_id);
    const char *path = bpf_link__pin_path(state.link);
    if (path != nullptr) result.Set("pinPath", path);
    return result;
  }

  // Runs the iterator once, from start to end.
  Napi::Value ReadIter(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    bpf_link *link = Kernel(env, "iterate", "it is not an iterator");
    UniqueFd iter(bpf_iter_create(bpf_link__fd(link)));
    if (!iter) Throw(env, {"BPF_ATTACH_FAILED", "iterate", errno, "program '" + state_->name + "' is not an attached iterator"});
    std::vector<uint8_t> output;
    uint8_t chunk[65536];
    for (;;) {
      ssize_t n = read(iter.get(), chunk, sizeof(chunk));
      if (n == 0) break;
      if (n > 0) {
        output.insert(output.end(), chunk, chunk + n);
      } else if (errno != EINTR && errno != EAGAIN) {  // EAGAIN: the kernel asks to go on where it stopped
        Throw(env, {"BPF_FAILED", "iterate", errno, "the walk of iterator '" + state_->name + "' failed"});
      }
    }
    return Napi::Buffer<uint8_t>::Copy(env, output.data(), output.size());
  }

  std::shared_ptr<LinkState> state_;
};

Napi::Value OpenPinnedLink(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string path = TextOf(info[0], "path");
  auto state = std::make_shared<LinkState>();
  state->name = path;
  PrintCapture capture;
  state->link = bpf_link__open(path.c_str());
  if (state->link == nullptr) Throw(env, {"BPF_PIN_FAILED", "openPinned", errno, "could not open the pinned link " + path});
  return NewLink(env, std::move(state));
}

}  // namespace

Napi::Object NewLink(Napi::Env env, std::shared_ptr<LinkState> state) {
  return Of(env).link.New({Napi::External<std::shared_ptr<LinkState>>::New(env, &state)});
}

void InitLink(Napi::Env env, Napi::Object exports) {
  Of(env).link = Napi::Persistent(Link::Define(env));
  exports.Set("openPinnedLink", Napi::Function::New(env, OpenPinnedLink, "openPinnedLink"));
}

}  // namespace picket
