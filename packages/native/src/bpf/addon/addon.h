// What every part of the addon shares: the table of classes per JavaScript environment, the one way to
// throw, and a capture of what libbpf prints. Nothing here is static state that two worker threads
// could fight over: per-environment data lives in the N-API instance data, the capture is per thread.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace picket {

struct Environment {
  Napi::FunctionReference error;  // class BpfError, given by the TypeScript side
  Napi::FunctionReference object;
  Napi::FunctionReference program;
  Napi::FunctionReference map;
  Napi::FunctionReference link;
  Napi::FunctionReference ring;
};

inline Environment &Of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

// A file descriptor that closes itself. It is the only owner of its number.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd &operator=(UniqueFd &&other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

// One refusal: `code` is what a program switches on, `step` what was being done, `err` the errno.
struct Refusal {
  const char *code;
  const char *step;
  int err = 0;
  std::string message;
  std::string log = {};
  std::string program = {};
};

[[noreturn]] void Throw(Napi::Env env, const Refusal &refusal);

// "EPERM", "LIBBPF_ERRNO__VERIFY", or the number as text.
std::string ErrnoName(int err);

// A duplicate with close-on-exec, so that this handle's life is its own.
UniqueFd Duplicate(Napi::Env env, int fd, const char *step);

// What a BPF descriptor is: "bpf-map", "bpf-prog" or "bpf_link". A pin does not say it.
std::string KindOfFd(int fd);

// Collects what libbpf prints on this thread while it is in scope.
class PrintCapture {
 public:
  PrintCapture();
  ~PrintCapture();
  PrintCapture(const PrintCapture &) = delete;
  PrintCapture &operator=(const PrintCapture &) = delete;

  const std::string &text() const { return text_; }
  void Append(const char *text, size_t size);
  // The verifier log that libbpf prints between its BEGIN/END marks; empty if there was none.
  std::string VerifierLog() const;
  std::string FailedProgram() const;
  // The last line libbpf printed outside a verifier log, for messages.
  std::string LastLine() const;

 private:
  std::string text_;
  PrintCapture *previous_;
};

// Bytes of a Buffer, TypedArray or DataView argument.
struct Bytes {
  uint8_t *data = nullptr;
  size_t size = 0;
};
Bytes BytesOf(const Napi::Value &value, const char *what);
std::string TextOf(const Napi::Value &value, const char *what);
int64_t IntegerOf(const Napi::Value &value, const char *what);
bool BoolOf(const Napi::Object &options, const char *name, bool otherwise);
int64_t IntegerOf(const Napi::Object &options, const char *name, int64_t otherwise);

void InitObject(Napi::Env env, Napi::Object exports);
void InitProgram(Napi::Env env, Napi::Object exports);
void InitMap(Napi::Env env, Napi::Object exports);
void InitLink(Napi::Env env, Napi::Object exports);
void InitRing(Napi::Env env, Napi::Object exports);
void InitProbe(Napi::Env env, Napi::Object exports);
void InitSockets(Napi::Env env, Napi::Object exports);
void InitProcess(Napi::Env env, Napi::Object exports);

}  // namespace picket
