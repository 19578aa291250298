// One SOCK_DIAG exchange over netlink, which JavaScript cannot open. Messages are made and read in
// TypeScript (src/bpf/sockets.ts).
#include "addon.h"

#include <linux/netlink.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <thread>

namespace picket {

namespace {

struct Exchange {
  std::vector<uint8_t> reply;
  const char *step = "";
  int err = 0;
};

void Converse(int socket, const std::vector<uint8_t> &request, Exchange *exchange) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  exchange->step = "send";
  if (sendto(socket, request.data(), request.size(), 0, reinterpret_cast<sockaddr *>(&kernel), sizeof(kernel)) < 0) {
    exchange->err = errno;
    return;
  }
  exchange->step = "receive";
  std::vector<uint8_t> chunk(256 * 1024);
  for (;;) {
    ssize_t size = recv(socket, chunk.data(), chunk.size(), MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0 || static_cast<size_t>(size) > chunk.size()) {
      exchange->err = size < 0 ? errno : EMSGSIZE;
      return;
    }
    exchange->reply.insert(exchange->reply.end(), chunk.begin(), chunk.begin() + size);
    int left = static_cast<int>(size);
    for (auto *header = reinterpret_cast<nlmsghdr *>(chunk.data()); NLMSG_OK(header, static_cast<unsigned>(left));
         header = NLMSG_NEXT(header, left))
      if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) return;
  }
}

void Open(const std::vector<uint8_t> &request, Exchange *exchange) {
  exchange->step = "open";
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!socket) {
    exchange->err = errno;
    return;
  }
  // A kernel that never answers must not hang the agent.
  timeval timeout{5, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  Converse(socket.get(), request, exchange);
}

// (request, path of a network namespace | undefined) → all replies
Napi::Value SockDiag(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Bytes bytes = BytesOf(info[0], "request");
  std::vector<uint8_t> request(bytes.data, bytes.data + bytes.size);
  Exchange exchange;
  if (info[1].IsUndefined()) {
    Open(request, &exchange);
  } else {
    std::string path = TextOf(info[1], "netns");
    UniqueFd netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!netns) Throw(env, {"BPF_NETLINK_FAILED", "netns", errno, "could not open network namespace " + path});
    // A thread of its own: it enters the namespace and ends there, so nothing has to be switched back.
    std::thread([&] {
      exchange.step = "netns";
      if (setns(netns.get(), CLONE_NEWNET) != 0) exchange.err = errno;
      else Open(request, &exchange);
    }).join();
  }
  if (exchange.err != 0)
    Throw(env, {"BPF_NETLINK_FAILED", exchange.step, exchange.err, "the socket diagnosis (SOCK_DIAG) failed"});
  return Napi::Buffer<uint8_t>::Copy(env, exchange.reply.data(), exchange.reply.size());
}

// What ioctl(FIONREAD) says of a descriptor: the number that membership in a socket map can falsify.
Napi::Value WaitingBytes(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int bytes = 0;
  if (ioctl(static_cast<int>(IntegerOf(info[0], "fd")), FIONREAD, &bytes) != 0)
    Throw(env, {"BPF_FAILED", "FIONREAD", errno, "the descriptor does not say how many bytes wait"});
  return Napi::Number::New(env, bytes);
}

}  // namespace

void InitSockets(Napi::Env env, Napi::Object exports) {
  exports.Set("sockDiag", Napi::Function::New(env, SockDiag, "sockDiag"));
  exports.Set("waitingBytes", Napi::Function::New(env, WaitingBytes, "waitingBytes"));
}

}  // namespace picket
