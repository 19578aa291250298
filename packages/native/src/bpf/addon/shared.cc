// Errors, argument reading and the capture of libbpf's prints.
#include "addon.h"

#include <bpf/libbpf.h>
#include <fcntl.h>

#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>

namespace picket {

namespace {

thread_local PrintCapture *t_capture = nullptr;

int Print(enum libbpf_print_level level, const char *format, va_list args) {
  if (level == LIBBPF_DEBUG || t_capture == nullptr) return 0;
  va_list again;
  va_copy(again, args);
  int size = vsnprintf(nullptr, 0, format, args);
  if (size > 0) {
    // A verifier log can be megabytes: it is printed whole, never through a fixed buffer.
    std::string text(static_cast<size_t>(size) + 1, '\0');
    vsnprintf(text.data(), text.size(), format, again);
    t_capture->Append(text.data(), static_cast<size_t>(size));
  }
  va_end(again);
  return size;
}

constexpr char kBegin[] = "-- BEGIN PROG LOAD LOG --\n";
constexpr char kEnd[] = "-- END PROG LOAD LOG --";

}  // namespace

PrintCapture::PrintCapture() : previous_(t_capture) {
  // libbpf has one print function per process: it is set once and dispatches by thread.
  static std::once_flag once;
  std::call_once(once, [] { libbpf_set_print(Print); });
  t_capture = this;
}

PrintCapture::~PrintCapture() { t_capture = previous_; }

void PrintCapture::Append(const char *text, size_t size) { text_.append(text, size); }

std::string PrintCapture::VerifierLog() const {
  size_t begin = text_.find(kBegin);
  if (begin == std::string::npos) return {};
  begin += sizeof(kBegin) - 1;
  size_t end = text_.rfind(kEnd);
  return text_.substr(begin, end == std::string::npos || end < begin ? std::string::npos : end - begin);
}

std::string PrintCapture::FailedProgram() const {
  constexpr char kPrefix[] = "prog '";
  size_t begin = text_.find(kBegin);
  if (begin == std::string::npos) return {};
  size_t name = text_.rfind(kPrefix, begin);
  if (name == std::string::npos) return {};
  name += sizeof(kPrefix) - 1;
  return text_.substr(name, text_.find('\'', name) - name);
}

std::string PrintCapture::LastLine() const {
  std::string text = text_;
  size_t begin = text.find(kBegin);
  size_t end = text.rfind(kEnd);
  if (begin != std::string::npos && end != std::string::npos) text = text.substr(0, begin) + text.substr(end);
  std::string first;
  // The first complaint names the cause; later ones only say that everything above it failed too.
  for (size_t at = 0; at < text.size();) {
    size_t stop = text.find('\n', at);
    if (stop == std::string::npos) stop = text.size();
    std::string line = text.substr(at, stop - at);
    if (line.rfind("libbpf: ", 0) == 0) line = line.substr(8);
    if (!line.empty() && line.find("BPF program load failed") == std::string::npos && line.rfind("--", 0) != 0) {
      first = line;
      break;
    }
    at = stop + 1;
  }
  return first;
}

std::string ErrnoName(int err) {
  if (err == 0) return {};
  if (err == 524) return "ENOTSUPP";  // kernel-internal, yet returned by map batches and attaches
  static const char *const libbpf_names[] = {"LIBELF",   "FORMAT",  "KVERSION", "ENDIAN",   "INTERNAL",
                                             "RELOC",    "LOAD",    "VERIFY",   "PROG2BIG", "KVER",
                                             "PROGTYPE", "WRNGPID", "INVSEQ",   "NLPARSE"};
  if (err >= __LIBBPF_ERRNO__START && err < __LIBBPF_ERRNO__END)
    return std::string("LIBBPF_ERRNO__") + libbpf_names[err - __LIBBPF_ERRNO__START];
  const char *name = strerrorname_np(err);
  return name != nullptr ? name : std::to_string(err);
}

void Throw(Napi::Env env, const Refusal &refusal) {
  std::string message = refusal.message;
  if (refusal.err != 0) {
    char text[128] = "";
    libbpf_strerror(refusal.err, text, sizeof(text));
    if (refusal.err == 524) snprintf(text, sizeof(text), "not supported by this kernel");
    message += ": " + std::string(text) + " (" + ErrnoName(refusal.err) + ")";
  }
  Napi::Object fields = Napi::Object::New(env);
  fields.Set("code", refusal.code);
  fields.Set("step", refusal.step);
  if (refusal.err != 0) fields.Set("errno", ErrnoName(refusal.err));
  if (!refusal.log.empty()) fields.Set("verifierLog", refusal.log);
  if (!refusal.program.empty()) fields.Set("program", refusal.program);
  Napi::Object error = Of(env).error.New({Napi::String::New(env, message), fields});
  throw Napi::Error(env, error);
}

UniqueFd Duplicate(Napi::Env env, int fd, const char *step) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) Throw(env, {"BPF_FAILED", step, errno, "could not duplicate a file descriptor"});
  return UniqueFd(copy);
}

std::string KindOfFd(int fd) {
  constexpr char kPrefix[] = "anon_inode:";
  char target[64] = "";
  ssize_t size = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof(target) - 1);
  std::string kind(target, size > 0 ? static_cast<size_t>(size) : 0);
  return kind.rfind(kPrefix, 0) == 0 ? kind.substr(sizeof(kPrefix) - 1) : kind;
}

Bytes BytesOf(const Napi::Value &value, const char *what) {
  if (value.IsTypedArray()) {
    auto array = value.As<Napi::TypedArray>();
    return {static_cast<uint8_t *>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
  }
  if (value.IsArrayBuffer()) {
    auto buffer = value.As<Napi::ArrayBuffer>();
    return {static_cast<uint8_t *>(buffer.Data()), buffer.ByteLength()};
  }
  if (value.IsDataView()) {
    auto view = value.As<Napi::DataView>();
    return {static_cast<uint8_t *>(view.Data()), view.ByteLength()};
  }
  Throw(value.Env(), {"BPF_BAD_INPUT", "call", 0, std::string(what) + " must be a Buffer or Uint8Array"});
}

std::string TextOf(const Napi::Value &value, const char *what) {
  if (!value.IsString()) Throw(value.Env(), {"BPF_BAD_INPUT", "call", 0, std::string(what) + " must be a string"});
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos)
    Throw(value.Env(), {"BPF_BAD_INPUT", "call", 0, std::string(what) + " must not contain a zero byte"});
  return text;
}

int64_t IntegerOf(const Napi::Value &value, const char *what) {
  if (value.IsNumber()) {
    double number = value.As<Napi::Number>().DoubleValue();
    if (std::nearbyint(number) == number && std::fabs(number) <= 9007199254740991.0)
      return static_cast<int64_t>(number);
  }
  Throw(value.Env(), {"BPF_BAD_INPUT", "call", 0, std::string(what) + " must be an integer"});
}

bool BoolOf(const Napi::Object &options, const char *name, bool otherwise) {
  Napi::Value value = options.Get(name);
  return value.IsUndefined() ? otherwise : value.ToBoolean().Value();
}

int64_t IntegerOf(const Napi::Object &options, const char *name, int64_t otherwise) {
  Napi::Value value = options.Get(name);
  return value.IsUndefined() ? otherwise : IntegerOf(value, name);
}

}  // namespace picket
