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
  loop_ = kStop;
  loop_.notify_all();
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
}

void ThreadTeam::Begin(int64_t expected_ns) {
  may_wake_ = expected_ns >= kWorthWakingNs || NowNs() - ended_ns_ < kSpinNs;
}

void ThreadTeam::End() { ended_ns_ = NowNs(); }

void ThreadTeam::Share(size_t chunks_per_thread, Job job, const void* context) {
  const size_t chunks = size_ * chunks_per_thread;
  const bool wake = sleepers_.load() > 0 && MayWake();
  if (!wake && sleepers_.load() == size_ - 1) {
    for (size_t chunk = 0; chunk < chunks; ++chunk) job(context, chunk);
    return;
  }
  last_loop_ = last_loop_ == UINT32_MAX ? kNoLoop : last_loop_ + 1;
  job_ = job;
  context_ = context;
  done_.store(0, std::memory_order_relaxed);
  for (size_t t = 0; t < size_; ++t) {
    const auto first = static_cast<uint16_t>(t * chunks_per_thread);
    const auto end = static_cast<uint16_t>(first + chunks_per_thread);
    lanes_[t].part.store({last_loop_, first, end}, std::memory_order_release);
  }
  loop_.store(last_loop_, std::memory_order_release);
  if (wake) loop_.notify_all();
  TakeChunks(0, last_loop_);
  WaitForChunks(static_cast<uint32_t>(chunks));
}

bool ThreadTeam::MayWake() {
  if (!may_wake_) return false;
  const int64_t now_ns = NowNs();
  if (now_ns - woke_ns_ < kWakeEveryNs) return false;
  woke_ns_ = now_ns;
  return true;
}

// Takes this thread's chunks from the front, then what is left of the others' from the back.
void ThreadTeam::TakeChunks(size_t rank, uint32_t loop) {
  uint32_t taken = 0;
  for (size_t i = 0; i < size_; ++i) {
    const size_t owner = (rank + i) % size_;
    std::atomic<Part>& word = lanes_[owner].part;
    Part part = word.load(std::memory_order_acquire);
    while (part.loop == loop && part.next < part.end) {
      Part rest = part;
      const size_t chunk = owner == rank ? rest.next++ : --rest.end;
      if (!word.compare_exchange_weak(part, rest, std::memory_order_acquire)) continue;
      job_(context_, chunk);
      ++taken;
      part = word.load(std::memory_order_acquire);
    }
  }
  // Once for all of them: the loop cannot end before. Sequentially consistent with WaitForChunks.
  if (taken == 0) return;
  done_.fetch_add(taken);
  if (caller_sleeps_.load()) done_.notify_one();
}

void ThreadTeam::WaitForChunks(uint32_t chunks) {
  const auto all_done = [&] { return done_.load(std::memory_order_acquire) == chunks; };
  if (Spin(all_done)) return;
  // A worker's core was taken away: sleep, so that it may have this one.
  caller_sleeps_.store(true);
  for (uint32_t done = done_.load(); done != chunks; done = done_.load()) done_.wait(done);
  caller_sleeps_.store(false);
}

uint32_t ThreadTeam::WaitForLoop(uint32_t seen) {
  const auto changed = [&] { return loop_.load(std::memory_order_acquire) != seen; };
  if (!Spin(changed)) {
    sleepers_.fetch_add(1);
    loop_.wait(seen);
    sleepers_.fetch_sub(1);
  }
  return loop_.load(std::memory_order_acquire);
}

void ThreadTeam::Work(size_t rank) {
  const FlushDenormals flush;
  for (uint32_t loop = kNoLoop;;) {
    loop = WaitForLoop(loop);
    if (loop == kStop) return;
    TakeChunks(rank, loop);
  }
}

}  // namespace espalier
