// The lexer addon's table of contents: what JavaScript can call, and nothing that JavaScript could do itself.
// Every function is synchronous, allocates nothing that outlives it but its result, and copies no statement.
#include <napi.h>

#include <vector>

#include "core/lexer.h"

namespace {


struct Text : picket_text {
  Text() : picket_text{} {}
  ~Text() { picket_text_free(this); }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
};

struct Bytes {
  const uint8_t* at;
  size_t count;
};

Bytes bytesOf(const Napi::Value& value, const char* what) {
  if (!value.IsTypedArray()) throw Napi::TypeError::New(value.Env(), std::string(what) + " is no Uint8Array");
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

// Arguments 1 to 4 of every function: dialect, session, key, start.
picket_lexing lexingOf(const Napi::CallbackInfo& info) {
  bool lossless = true;
  return {info[1].As<Napi::Number>().Uint32Value(), info[2].As<Napi::Number>().Uint32Value(),
          info[3].As<Napi::BigInt>().Uint64Value(&lossless), info[4].As<Napi::BigInt>().Uint64Value(&lossless)};
}

void requireMemory(Napi::Env env, const picket_text& text) {
  if (text.failed) throw Napi::Error::New(env, "no memory for the text of this statement");
}

// → [fingerprint, danger, shape]
Napi::Value shape(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  auto sql = bytesOf(info[0], "sql");
  auto how = lexingOf(info);
  Text text;
  auto fingerprint = picket_shape(&how, sql.at, sql.count, &text);
  requireMemory(env, text);
  auto result = Napi::Array::New(env, 3);
  result.Set(0u, Napi::BigInt::New(env, fingerprint.value));
  result.Set(1u, Napi::Number::New(env, fingerprint.danger));
  result.Set(2u, Napi::String::New(env, reinterpret_cast<const char*>(text.at), text.bytes));
  return result;
}

int collect(void* context, const picket_token* token) {
  auto& rows = *static_cast<std::vector<uint32_t>*>(context);
  rows.insert(rows.end(), {token->kind, static_cast<uint32_t>(token->start), static_cast<uint32_t>(token->end),
                           token->mark, token->number});
  return 0;
}

// → five numbers a token: kind, start, end, mark, whether it is a number
Napi::Value tokens(const Napi::CallbackInfo& info) {
  auto sql = bytesOf(info[0], "sql");
  auto how = lexingOf(info);
  std::vector<uint32_t> rows;
  picket_tokens(&how, sql.at, sql.count, collect, &rows);
  auto result = Napi::Uint32Array::New(info.Env(), rows.size());
  std::copy(rows.begin(), rows.end(), result.Data());
  return result;
}

Napi::Value redact(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  auto sql = bytesOf(info[0], "sql");
  auto how = lexingOf(info);
  Text text;
  picket_redact(&how, sql.at, sql.count, &text);
  requireMemory(env, text);
  return Napi::Buffer<uint8_t>::Copy(env, text.at, text.bytes);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("shape", Napi::Function::New(env, shape));
  exports.Set("tokens", Napi::Function::New(env, tokens));
  exports.Set("redact", Napi::Function::New(env, redact));
  return exports;
}

}  // namespace

NODE_API_MODULE(picket_lexer, init)
