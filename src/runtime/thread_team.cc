#include "runtime/thread_team.h"

#include <chrono>
#include <exception>

#include "base/strings.h"
#include "runtime/denormals.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace espalier {
namespace {

// A run shorter than this is over, or nearly, when a woken worker comes.
constexpr int64_t kWorthWakingNs = 200'000;

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Tells the core that it spins.
void Pause() {
#if defined(__SSE2__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until `done()` or for kSpinNs. Returns the last of done().
template <typename Done>
bool Spin(const Done& done) {
  constexpr int kPausesPerLook = 64;  // at the clock
  int64_t end_ns = 0;
  for (;;) {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (done()) return true;
      Pause();
    }
    const int64_t now_ns = NowNs();
    if (end_ns == 0) end_ns = now_ns + ThreadTeam::kSpinNs;
    if (now_ns >= end_ns) return done();
  }
}

}  // namespace

Status ThreadTeam::Start(size_t size) {
  ESPALIER_ASSERT(size >= 2 && size <= kMostThreads);
  size_ = size;
  try {
    for (size_t rank = 1; rank < size_; ++rank) {
      workers_[rank - 1] = std::thread([this, rank] { Work(rank); });
    }
    return Ok();
  } catch (const std::exception& exception) {
    return OutOfMemory(
        StrCat("threads: ", size, " expected, one does not start: ", exception.what()));
  }
}

ThreadTeam::~ThreadTeam() {
  for (Lane& lane : lanes_) {
    lane.loop = kStop;
    lane.loop.notify_all();
  }
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
}

bool ThreadTeam::Begin(int64_t expected_ns) {
  begun_ns_ = NowNs();
  const bool is_long = expected_ns >= kWorthWakingNs;
  may_wake_ = is_long || begun_ns_ - ended_ns_ < kSpinNs;
  return is_long || sleepers_.load() == 0;
}

int64_t ThreadTeam::End() {
  ended_ns_ = NowNs();
  return ended_ns_ - begun_ns_;
}

void ThreadTeam::Share(size_t chunks_per_thread, Job job, const void* context) {
  const size_t chunks = size_ * chunks_per_thread;
  const uint32_t sleepers = sleepers_.load();
  const bool wake = sleepers > 0 && MayWake();
  if (!wake && sleepers == size_ - 1) {
    for (size_t chunk = 0; chunk < chunks; ++chunk) job(context, chunk);
    return;
  }
  ++last_loop_;
  if (static_cast<uint32_t>(last_loop_) == kStop) ++last_loop_;
  const auto loop = static_cast<uint32_t>(last_loop_);
  for (size_t t = size_; t-- > 0;) {
    const auto first = static_cast<uint16_t>(t * chunks_per_thread);
    const auto end = static_cast<uint16_t>(first + chunks_per_thread);
    Lane& lane = lanes_[t];
    lane.job = job;
    lane.context = context;
    lane.number = last_loop_;
    lane.part.store({loop, first, end}, std::memory_order_release);
    lane.loop.store(loop, std::memory_order_release);
  }
  for (size_t t = 1; wake && t < size_; ++t) lanes_[t].loop.notify_all();
  const size_t taken = TakeChunks(0, loop);
  if (taken < chunks) WaitForChunks(chunks - taken);
}

bool ThreadTeam::MayWake() {
  if (!may_wake_) return false;
  const int64_t now_ns = NowNs();
  if (now_ns - woke_ns_ < kWakeEveryNs) return false;
  woke_ns_ = now_ns;
  return true;
}

// Takes this thread's chunks from the front, then what is left of the others' from the back.
// Returns how many.
size_t ThreadTeam::TakeChunks(size_t rank, uint32_t loop) {
  size_t taken = 0;
  for (size_t i = 0; i < size_; ++i) {
    const size_t owner = (rank + i) % size_;
    Lane& lane = lanes_[owner];
    Part part = lane.part.load(std::memory_order_acquire);
    while (part.loop == loop && part.next < part.end) {
      Part rest = part;
      const size_t chunk = owner == rank ? rest.next++ : --rest.end;
      if (!lane.part.compare_exchange_weak(part, rest, std::memory_order_acquire)) continue;
      lane.job(lane.context, chunk);
      ++taken;
      part = lane.part.load(std::memory_order_acquire);
    }
  }
  return taken;
}

// Of the last loop, by workers.
size_t ThreadTeam::DoneChunks() const {
  size_t chunks = 0;
  for (size_t t = 1; t < size_; ++t) {
    const uint64_t word = done_[t].loop_and_count.load();
    if (word >> Done::kCountBits != last_loop_) continue;  // 2^48 loops are centuries
    chunks += word & ((uint64_t{1} << Done::kCountBits) - 1);
  }
  return chunks;
}

void ThreadTeam::WaitForChunks(size_t chunks) {
  const auto all_done = [&] { return DoneChunks() == chunks; };
  if (Spin(all_done)) return;
  // A worker's core was taken away: sleep, so that it may have this one.
  caller_sleeps_.store(true);
  for (;;) {
    const uint32_t wakes = caller_wakes_.load();
    if (all_done()) break;
    caller_wakes_.wait(wakes);
  }
  caller_sleeps_.store(false);
}

uint32_t ThreadTeam::WaitForLoop(size_t rank, uint32_t seen) {
  std::atomic<uint32_t>& loop = lanes_[rank].loop;
  const auto changed = [&] { return loop.load(std::memory_order_acquire) != seen; };
  if (!Spin(changed)) {
    sleepers_.fetch_add(1);
    loop.wait(seen);
    sleepers_.fetch_sub(1);
  }
  return loop.load(std::memory_order_acquire);
}

void ThreadTeam::Work(size_t rank) {
  const FlushDenormals flush;
  for (uint32_t loop = kNoLoop;;) {
    loop = WaitForLoop(rank, loop);
    if (loop == kStop) return;
    const size_t taken = TakeChunks(rank, loop);
    // Once for all of them: the loop cannot end before, so that its number is still there. Both
    // are sequentially consistent with WaitForChunks.
    if (taken == 0) continue;
    done_[rank].loop_and_count.store(lanes_[rank].number << Done::kCountBits | taken);
    if (!caller_sleeps_.load()) continue;
    caller_wakes_.fetch_add(1);
    caller_wakes_.notify_one();
  }
}

}  // namespace espalier
