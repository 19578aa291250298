// Replaces this process by another program, as Node itself can from 23.11 on (process.execve).
#include "addon.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>

namespace picket {

namespace {

std::vector<std::string> TextsOf(const Napi::Value &value, const char *what) {
  Napi::Array array = value.As<Napi::Array>();
  std::vector<std::string> texts;
  for (uint32_t index = 0; index < array.Length(); index++) texts.push_back(TextOf(array.Get(index), what));
  return texts;
}

std::vector<char *> PointersTo(std::vector<std::string> &texts) {
  std::vector<char *> pointers;
  for (std::string &text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Returns only if it fails. What Node opened closes by itself. Node marks standard input and output so, too, lest
// children inherit them by accident: here they are meant to stay.
void ReplaceProcess(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string path = TextOf(info[0], "path");
  std::vector<std::string> arguments = TextsOf(info[1], "argument");
  std::vector<std::string> environment = TextsOf(info[2], "environment");
  // The next program starts as a shell would start it: nothing blocked, SIGPIPE not ignored.
  sigset_t none, before;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, &before);
  auto pipe = std::signal(SIGPIPE, SIG_DFL);
  for (int fd = 0; fd <= 2; fd++) fcntl(fd, F_SETFD, 0);
  execve(path.c_str(), PointersTo(arguments).data(), PointersTo(environment).data());
  int err = errno;
  for (int fd = 0; fd <= 2; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
  std::signal(SIGPIPE, pipe);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  Throw(env, {"BPF_FAILED", "exec", err, "could not start " + path});
}

}  // namespace

void InitProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("replaceProcess", Napi::Function::New(env, ReplaceProcess, "replaceProcess"));
}

}  // namespace picket
