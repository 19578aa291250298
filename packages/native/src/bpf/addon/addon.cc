// The table of contents of the addon: one class per native handle, and the free functions.
#include "addon.h"

namespace {

// The TypeScript side hands over its error class, so that `instanceof BpfError` holds per environment.
void SetErrorClass(const Napi::CallbackInfo &info) {
  picket::Of(info.Env()).error = Napi::Persistent(info[0].As<Napi::Function>());
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new picket::Environment());
  exports.Set("setErrorClass", Napi::Function::New(env, SetErrorClass, "setErrorClass"));
  picket::InitObject(env, exports);   // Object: open, configure, load
  picket::InitProgram(env, exports);  // Program: information, pinning, attaching
  picket::InitMap(env, exports);      // Map: elements, batches, slots
  picket::InitLink(env, exports);     // Link: an attachment
  picket::InitRing(env, exports);     // Ring: ring buffer reader thread
  picket::InitProbe(env, exports);    // what this kernel can do
  picket::InitSockets(env, exports);  // TCP sockets by SOCK_DIAG
  picket::InitProcess(env, exports);  // exec
  return exports;
}

}  // namespace

NODE_API_MODULE(picket_bpf, Init)
