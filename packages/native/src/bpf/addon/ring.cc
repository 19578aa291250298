// class Ring: the consumer of one BPF ring buffer, on a thread of its own.
//
// The thread sleeps in epoll until the kernel commits a record, copies committed records into the current
// buffer of a pool that JavaScript allocated, and wakes JavaScript once; JavaScript takes whole buffers and
// gives them back. With no buffer free the thread stops consuming, so the ring fills and the *kernel* counts
// what is lost.
//
// Why one copy, and not a view onto the mapped ring: the data pages can only be mapped read-only, so a write
// from JavaScript would kill the process; a record that JavaScript keeps through an await would hold up every
// later one, since the consumer position is linear; a view kept by mistake would show other events' bytes,
// silently; and a wrap-free view needs the pages mapped twice, which doubles the ring's share of the
// process's resident memory. The copy costs tens of nanoseconds per event, and frees the ring at once.
#include "handles.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

namespace picket {

namespace {

constexpr uint32_t kBusy = 1u << 31;     // BPF_RINGBUF_BUSY_BIT
constexpr uint32_t kDiscard = 1u << 30;  // BPF_RINGBUF_DISCARD_BIT
constexpr size_t kHeader = 8;            // BPF_RINGBUF_HDR_SZ
constexpr size_t kChunkBytes = 64 * 1024;  // copied per hold of the lock
constexpr size_t kChunkRecords = 1024;

// A pooled buffer: [offsets: u32 × records][lengths: u32 × records][bytes].
struct Pooled {
  uint32_t index = 0;
  uint8_t *memory = nullptr;
  uint32_t records = 0;
  size_t bytes = 0;
};

struct Mapping {
  void *at = MAP_FAILED;
  size_t size = 0;
  Mapping() = default;
  Mapping(const Mapping &) = delete;
  Mapping &operator=(const Mapping &) = delete;
  ~Mapping() { Unmap(); }
  void Unmap() {
    if (at != MAP_FAILED) munmap(std::exchange(at, MAP_FAILED), size);
  }
  bool Map(int fd, size_t bytes, int protection, off_t offset) {
    at = mmap(nullptr, bytes, protection, MAP_SHARED, fd, offset);
    size = bytes;
    return at != MAP_FAILED;
  }
};

class Ring : public Napi::ObjectWrap<Ring> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Ring",
                       {
                           InstanceMethod<&Ring::Take>("take"),
                           InstanceMethod<&Ring::Recycle>("recycle"),
                           InstanceMethod<&Ring::Finish>("finish"),
                           InstanceMethod<&Ring::Drained>("drained"),
                           InstanceMethod<&Ring::Stats>("stats"),
                           InstanceMethod<&Ring::Destroy>("destroy"),
                           InstanceMethod<&Ring::SetKeepAlive>("setKeepAlive"),
                       });
  }

  // (map fd, pool: ArrayBuffer[], records per buffer, onReady)
  explicit Ring(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Ring>(info) {
    Napi::Env env = info.Env();
    map_ = Duplicate(env, static_cast<int>(IntegerOf(info[0], "map fd")), "open");
    bpf_map_info kernel{};
    uint32_t size = sizeof(kernel);
    int err = bpf_obj_get_info_by_fd(map_.get(), &kernel, &size);
    if (err != 0) Throw(env, {"BPF_RING_FAILED", "open", -err, "could not read the ring buffer map"});
    if (kernel.type != BPF_MAP_TYPE_RINGBUF)
      Throw(env, {"BPF_BAD_INPUT", "open", 0, std::string("map '") + kernel.name + "' is not a ring buffer"});
    ring_bytes_ = kernel.max_entries;
    records_max_ = static_cast<uint32_t>(IntegerOf(info[2], "records"));
    AdoptPool(env, info[1].As<Napi::Array>());

    // Kernel layout: the consumer page, the producer page, then the data (twice, of which once is mapped).
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    if (!consumer_page_.Map(map_.get(), page, PROT_READ | PROT_WRITE, 0) ||
        !producer_pages_.Map(map_.get(), page + ring_bytes_, PROT_READ, static_cast<off_t>(page)))
      Throw(env, {"BPF_RING_FAILED", "open", errno, std::string("could not map ring buffer '") + kernel.name + "'"});
    consumer_ = static_cast<std::atomic<uint64_t> *>(consumer_page_.at);
    producer_ = static_cast<std::atomic<uint64_t> *>(producer_pages_.at);
    data_ = static_cast<uint8_t *>(producer_pages_.at) + page;
    position_ = consumer_->load(std::memory_order_acquire);

    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!epoll_ || !wake_ || !Watch(map_.get()) || !Watch(wake_.get()))
      Throw(env, {"BPF_RING_FAILED", "open", errno, std::string("could not wait for ring buffer '") + kernel.name + "'"});
    napi_status status = napi_create_threadsafe_function(env, info[3], nullptr, Napi::String::New(env, "picket:ring"), 0, 1,
                                                         nullptr, nullptr, nullptr, OnReady, &ready_);
    if (status != napi_ok) Throw(env, {"BPF_RING_FAILED", "open", 0, "could not create the ring buffer's callback"});
    // Registered after the function above, so run before that is torn down with the environment: the thread
    // must be joined by then, or it would call into freed memory.
    napi_add_env_cleanup_hook(env, OnEnvironmentEnd, this);
    env_ = env;
    thread_ = std::thread([this] { Run(); });
  }

  ~Ring() override { Stop(); }

 private:
  // Plain N-API: the C++ wrapper would throw out of the event loop when the environment is ending.
  static void OnReady(napi_env env, napi_value callback, void *, void *) {
    if (env == nullptr || callback == nullptr) return;
    napi_value global, ignored;
    if (napi_get_global(env, &global) != napi_ok) return;
    if (napi_call_function(env, global, callback, 0, nullptr, &ignored) != napi_pending_exception) return;
    napi_value error;
    bool pending = false;
    // A thread being terminated says that an exception is pending and has none to give.
    if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok)
      napi_fatal_exception(env, error);
  }

  static void OnEnvironmentEnd(void *ring) {
    auto *self = static_cast<Ring *>(ring);
    self->env_ = nullptr;
    self->Stop();
  }

  void AdoptPool(Napi::Env env, Napi::Array pool) {
    buffers_.resize(pool.Length());
    references_.resize(pool.Length());
    for (uint32_t i = 0; i < pool.Length(); i++) {
      auto memory = pool.Get(i).As<Napi::ArrayBuffer>();
      buffer_bytes_ = memory.ByteLength() - 2 * sizeof(uint32_t) * static_cast<size_t>(records_max_);
      buffers_[i].index = i;
      buffers_[i].memory = static_cast<uint8_t *>(memory.Data());
      // The thread writes into this memory: it must not be collected before the thread is joined.
      references_[i] = Napi::Persistent(memory.As<Napi::Object>());
      free_.push_back(&buffers_[i]);
    }
    if (buffer_bytes_ < 4096 || buffer_bytes_ > UINT32_MAX)
      Throw(env, {"BPF_BAD_INPUT", "open", 0, "a batch buffer must hold at least 4096 bytes"});
  }

  // Edge-triggered: while a record is reserved and not committed, a level-triggered wait would spin.
  bool Watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.fd = fd;
    return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  void Wake() {
    uint64_t one = 1;
    // EAGAIN means the counter is at its top: a wake-up is pending anyway.
    if (write(wake_.get(), &one, sizeof(one)) < 0) return;
  }

  // ---- the thread ----

  enum class Filled { kEmpty, kMore, kStarved };

  void Run() {
    while (!stop_.load(std::memory_order_acquire)) {
      Filled filled;
      do {
        filled = Fill();
        Notify();
      } while (filled == Filled::kMore && !stop_.load(std::memory_order_acquire));
      epoll_event events[2];
      epoll_wait(epoll_.get(), events, 2, -1);
      wakeups_.fetch_add(1, std::memory_order_relaxed);
      uint64_t ignored;
      while (read(wake_.get(), &ignored, sizeof(ignored)) > 0) {
      }
    }
  }

  // Copies one chunk of committed records into the current buffer.
  Filled Fill() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (current_ == nullptr && !NextBuffer()) return Filled::kStarved;
    size_t copied = 0;
    uint32_t records = 0;
    Filled filled = Filled::kMore;
    while (copied < kChunkBytes && records < kChunkRecords) {
      if (position_ == producer_->load(std::memory_order_acquire)) {
        filled = Filled::kEmpty;
        break;
      }
      uint32_t header = HeaderAt(position_);
      if (header & kBusy) {
        filled = Filled::kEmpty;
        break;
      }
      size_t length = header & ~(kBusy | kDiscard);
      size_t step = (length + kHeader + 7) & ~size_t{7};
      if (header & kDiscard) {
        discarded_++;
      } else if (length > buffer_bytes_) {
        oversized_++;  // cannot be delivered: counted, so that it is not lost silently
      } else if (current_->records == records_max_ || current_->bytes + length > buffer_bytes_) {
        full_.push_back(std::exchange(current_, nullptr));
        if (!NextBuffer()) {
          filled = Filled::kStarved;
          break;
        }
        continue;
      } else {
        Copy(position_ + kHeader, length);
        copied += length;
        records++;
      }
      position_ += step;
    }
    consumer_->store(position_, std::memory_order_seq_cst);
    if (filled != Filled::kEmpty) return filled;
    // The kernel wakes only when it commits the record that the consumer position stands at. A commit just
    // before the store above saw the old position and woke nobody: look once more, after the store.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (position_ == producer_->load(std::memory_order_seq_cst)) return Filled::kEmpty;
    return (HeaderAt(position_) & kBusy) ? Filled::kEmpty : Filled::kMore;
  }

  uint32_t HeaderAt(uint64_t position) const {
    auto *header = reinterpret_cast<std::atomic<uint32_t> *>(data_ + (position & (ring_bytes_ - 1)));
    return header->load(std::memory_order_acquire);
  }

  void Copy(uint64_t position, size_t length) {
    auto *offsets = reinterpret_cast<uint32_t *>(current_->memory);
    uint32_t *lengths = offsets + records_max_;
    uint8_t *bytes = reinterpret_cast<uint8_t *>(lengths + records_max_);
    size_t start = position & (ring_bytes_ - 1);
    size_t before_end = std::min<size_t>(length, ring_bytes_ - start);
    memcpy(bytes + current_->bytes, data_ + start, before_end);
    if (before_end < length) memcpy(bytes + current_->bytes + before_end, data_, length - before_end);
    offsets[current_->records] = static_cast<uint32_t>(current_->bytes);
    lengths[current_->records] = static_cast<uint32_t>(length);
    current_->records++;
    // Every record starts at a multiple of 8, so that 64-bit fields are aligned.
    current_->bytes = (current_->bytes + length + 7) & ~size_t{7};
    delivered_bytes_ += length;
    delivered_++;
  }

  bool NextBuffer() {
    if (free_.empty()) {
      stalls_++;
      return false;
    }
    current_ = free_.front();
    free_.pop_front();
    current_->records = 0;
    current_->bytes = 0;
    return true;
  }

  bool HasBatch() const { return !full_.empty() || (current_ != nullptr && current_->records > 0); }

  // One pending call at most: while JavaScript is busy, the current buffer just fills further.
  void Notify() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (notified_ || released_ || !(HasBatch() || (finishing_ && DrainedLocked()))) return;
    notified_ = true;
    if (napi_call_threadsafe_function(ready_, nullptr, napi_tsfn_nonblocking) == napi_closing) released_ = true;
  }

  bool DrainedLocked() const { return position_ >= finish_at_ && !HasBatch(); }

  // ---- JavaScript ----

  // → [index, records, bytes] of the oldest batch, or undefined.
  Napi::Value Take(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Pooled *batch = nullptr;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      notified_ = false;
      if (!full_.empty()) {
        batch = full_.front();
        full_.pop_front();
      } else if (current_ != nullptr && current_->records > 0) {
        batch = std::exchange(current_, nullptr);
      }
      if (batch != nullptr) {
        in_flight_++;
        batches_++;
      }
    }
    if (batch == nullptr) return env.Undefined();
    Napi::Array result = Napi::Array::New(env, 3);
    result.Set(0u, batch->index);
    result.Set(1u, batch->records);
    result.Set(2u, static_cast<double>(batch->bytes));
    return result;
  }

  // (index, memory): the buffer comes back, under another ArrayBuffer since the old one was detached.
  void Recycle(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    auto index = static_cast<size_t>(IntegerOf(info[0], "index"));
    auto memory = info[1].As<Napi::ArrayBuffer>();
    if (index >= buffers_.size() || !memory.IsArrayBuffer() ||
        memory.ByteLength() != buffer_bytes_ + 2 * sizeof(uint32_t) * static_cast<size_t>(records_max_))
      Throw(env, {"BPF_BAD_INPUT", "recycle", 0, "not a buffer of this ring"});
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) return;
    references_[index] = Napi::Persistent(memory.As<Napi::Object>());
    buffers_[index].memory = static_cast<uint8_t *>(memory.Data());
    free_.push_back(&buffers_[index]);
    in_flight_--;
    if (free_.size() == 1) Wake();  // the thread may be waiting for one
  }

  // Asks for what was committed until now; `drained()` tells when it has all been taken.
  void Finish(const Napi::CallbackInfo &) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) return;
    finishing_ = true;
    finish_at_ = producer_->load(std::memory_order_acquire);
    Wake();
  }

  Napi::Value Drained(const Napi::CallbackInfo &info) {
    std::lock_guard<std::mutex> lock(mutex_);
    return Napi::Boolean::New(info.Env(), stopped_ || DrainedLocked());
  }

  Napi::Value Stats(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    std::lock_guard<std::mutex> lock(mutex_);
    Napi::Object result = Napi::Object::New(env);
    auto set = [&](const char *name, uint64_t value) { result.Set(name, static_cast<double>(value)); };
    set("events", delivered_);
    set("bytes", delivered_bytes_);
    set("batches", batches_);
    set("discarded", discarded_);
    set("oversized", oversized_);
    set("stalls", stalls_);
    set("wakeups", wakeups_.load(std::memory_order_relaxed));
    set("batchesInFlight", in_flight_);
    set("ringBytes", ring_bytes_);
    set("ringBytesWaiting", stopped_ ? 0 : producer_->load(std::memory_order_acquire) - position_);
    return result;
  }

  void SetKeepAlive(const Napi::CallbackInfo &info) {
    if (stopped_) return;
    if (info[0].ToBoolean().Value()) napi_ref_threadsafe_function(info.Env(), ready_);
    else napi_unref_threadsafe_function(info.Env(), ready_);
  }

  void Destroy(const Napi::CallbackInfo &) { Stop(); }

  // Joins the thread; it never waits for JavaScript, so this ends within one chunk of copying.
  void Stop() {
    if (stopped_) return;
    if (env_ != nullptr) napi_remove_env_cleanup_hook(std::exchange(env_, nullptr), OnEnvironmentEnd, this);
    stop_.store(true, std::memory_order_release);
    if (thread_.joinable()) {
      Wake();
      thread_.join();
    }
    std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    // A call that answered napi_closing has given the function back already.
    if (ready_ != nullptr && !std::exchange(released_, true)) napi_release_threadsafe_function(ready_, napi_tsfn_release);
    for (auto &reference : references_) reference.Reset();
    // All that it holds goes now, not when the handle is collected.
    consumer_page_.Unmap();
    producer_pages_.Unmap();
    map_.reset();
    epoll_.reset();
    wake_.reset();
  }

  napi_env env_ = nullptr;  // while the cleanup hook is registered
  UniqueFd map_, epoll_, wake_;
  Mapping consumer_page_, producer_pages_;
  std::atomic<uint64_t> *consumer_ = nullptr;
  std::atomic<uint64_t> *producer_ = nullptr;
  uint8_t *data_ = nullptr;
  size_t ring_bytes_ = 0;
  size_t buffer_bytes_ = 0;
  uint32_t records_max_ = 0;

  std::vector<Pooled> buffers_;
  std::vector<Napi::ObjectReference> references_;
  napi_threadsafe_function ready_ = nullptr;

  std::mutex mutex_;  // guards what follows
  std::deque<Pooled *> free_, full_;
  Pooled *current_ = nullptr;
  uint64_t position_ = 0;
  uint64_t finish_at_ = 0;
  bool notified_ = false;
  bool released_ = false;
  bool finishing_ = false;
  bool stopped_ = false;
  uint64_t delivered_ = 0, delivered_bytes_ = 0, batches_ = 0, in_flight_ = 0;
  uint64_t discarded_ = 0, oversized_ = 0, stalls_ = 0;

  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> wakeups_{0};
  std::thread thread_;
};

}  // namespace

void InitRing(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = Ring::Define(env);
  Of(env).ring = Napi::Persistent(constructor);
  exports.Set("Ring", constructor);
}

}  // namespace picket
