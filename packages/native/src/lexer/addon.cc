// The lexer addon's table of contents: what JavaScript can call, and nothing that JavaScript could do itself.
// Every function is synchronous, allocates nothing that outlives it but its result, and copies no statement.
#include <napi.h>

#include <memory>
#include <vector>

#include "core/lexer.h"
#include "core/token_rules.h"

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
  picket_tokens(&how, 0, sql.at, sql.count, collect, &rows);
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

struct Free {
  void operator()(void* memory) const { free(memory); }
};

// A compiled table, copied, with the memory of one run. JavaScript calls it from one thread.
class Rules : public Napi::ObjectWrap<Rules> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Rules", {InstanceMethod("match", &Rules::match)});
  }

  explicit Rules(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Rules>(info) {
    auto table = bytesOf(info[0], "table");
    table_.resize(table.count / 4);
    if (table.count % 4 == 0) memcpy(table_.data(), table.at, table.count);
    if (table.count % 4 || picket_rules_open(&rules_, table_.data(), table.count))
      throw Napi::Error::New(info.Env(), "this is no table of token rules, or it is broken");
    scratch_.reset(static_cast<picket_rules_scratch*>(calloc(1, picket_rules_scratch_bytes(&rules_))));
    if (!scratch_) throw Napi::Error::New(info.Env(), "no memory for running token rules");
    spans_.resize(rules_.header->rules);
  }

  picket_rules_result run(const picket_lexing& how, Bytes sql, uint64_t stepsMax, picket_rules_span* spans) {
    return picket_rules_run(&rules_, scratch_.get(), &how, sql.at, sql.count, stepsMax, spans);
  }

 private:
  Napi::Value match(const Napi::CallbackInfo& info) {
    auto env = info.Env();
    auto sql = bytesOf(info[0], "sql");
    picket_lexing how = {info[1].As<Napi::Number>().Uint32Value(), info[2].As<Napi::Number>().Uint32Value(),
                         0x9e3779b97f4a7c15u, 0};
    auto result = run(how, sql, info[3].As<Napi::Number>().Int64Value(), spans_.data());
    auto array = Napi::Array::New(env);
    uint32_t at = 0;
    array.Set(at++, Napi::Number::New(env, result.exhausted));
    for (uint32_t i = 0; result.met && i < spans_.size(); i++) {
      if (!spans_[i].end) continue;
      array.Set(at++, Napi::Number::New(env, i));
      array.Set(at++, Napi::Number::New(env, spans_[i].start));
      array.Set(at++, Napi::Number::New(env, spans_[i].end));
    }
    return array;
  }

  std::vector<uint32_t> table_;
  picket_rules rules_{};
  std::unique_ptr<picket_rules_scratch, Free> scratch_;
  std::vector<picket_rules_span> spans_;
};

// Arguments 5 to 10: offsets, rules, stepsMax, then the results: fingerprints, danger, firstRule.
void judgeBatch(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  auto statements = bytesOf(info[0], "statements");
  auto how = lexingOf(info);
  auto offsets = info[5].As<Napi::Uint32Array>();
  auto* rules = info[6].IsObject() ? Rules::Unwrap(info[6].As<Napi::Object>()) : nullptr;
  uint64_t stepsMax = info[7].As<Napi::Number>().Int64Value();
  auto fingerprints = info[8].As<Napi::BigUint64Array>();
  auto danger = info[9].As<Napi::Uint32Array>();
  auto firstRule = info[10].As<Napi::Int32Array>();
  size_t count = fingerprints.ElementLength();

  for (size_t i = 0; i < count; i++) {
    uint32_t from = offsets[i], to = offsets[i + 1];
    if (from > to || to > statements.count)
      throw Napi::RangeError::New(env, "offsets[" + std::to_string(i + 1) + "] lies outside the statements");
    Bytes sql = {statements.at + from, to - from};
    auto fingerprint = picket_fingerprint(&how, sql.at, sql.count);
    fingerprints[i] = fingerprint.value;
    danger[i] = fingerprint.danger;
    if (!rules) continue;
    auto result = rules->run(how, sql, stepsMax, nullptr);
    danger[i] = fingerprint.danger | result.danger;
    firstRule[i] = result.exhausted && result.first < 0 ? -2 : result.first;
  }
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("shape", Napi::Function::New(env, shape));
  exports.Set("tokens", Napi::Function::New(env, tokens));
  exports.Set("redact", Napi::Function::New(env, redact));
  exports.Set("Rules", Rules::define(env));
  exports.Set("judgeBatch", Napi::Function::New(env, judgeBatch));
  return exports;
}

}  // namespace

NODE_API_MODULE(picket_lexer, init)
