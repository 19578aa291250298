// Who owns what. An object owns its programs (libbpf does). A link keeps its object alive and is undone
// before it, whichever of the two JavaScript collects first. Maps own a duplicate of their descriptor
// and depend on nobody.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "addon.h"

namespace picket {

struct LinkState;

struct ObjectState {
  bpf_object *object = nullptr;
  std::string name;
  bool loaded = false;
  bool loading = false;  // a worker thread holds it
  std::vector<std::weak_ptr<LinkState>> links;

  ObjectState() = default;
  ObjectState(const ObjectState &) = delete;
  ObjectState &operator=(const ObjectState &) = delete;
  ~ObjectState() { Close(); }
  void Close();
};

struct LinkState {
  std::shared_ptr<ObjectState> object;  // empty for a link opened from a pin
  std::string name;                     // of the program, for messages
  bpf_link *link = nullptr;
  // A sockmap has no link before kernel 6.10: the program is attached to the map itself.
  UniqueFd sockmap_program;
  UniqueFd sockmap;
  bpf_attach_type sockmap_type = BPF_SK_MSG_VERDICT;

  LinkState() = default;
  LinkState(const LinkState &) = delete;
  LinkState &operator=(const LinkState &) = delete;
  ~LinkState() { Close(); }
  bool open() const { return link != nullptr || sockmap; }
  int Close();
  void Release();
};

Napi::Object NewLink(Napi::Env env, std::shared_ptr<LinkState> state);
Napi::Object NewMap(Napi::Env env, UniqueFd fd);
Napi::Object NewProgram(Napi::Env env, std::shared_ptr<ObjectState> object, bpf_program *program);

}  // namespace picket
