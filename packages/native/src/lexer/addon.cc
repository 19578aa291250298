// The lexer addon's table of contents: what JavaScript can call, and nothing that JavaScript could do itself.
#include <napi.h>

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("napiVersion", Napi::Number::New(env, NAPI_VERSION));
  return exports;
}

NODE_API_MODULE(picket_lexer, init)
