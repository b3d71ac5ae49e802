// ThreadTeam: a few threads that share the loops of one session. Made for loops of 5 us and more:
// the parts of a loop are handed out through one word per thread, so that
//
//   - a thread takes its own part of a matrix every time, which stays in its core's cache;
//   - one that is late (asleep, or its core was taken away) is not waited for: the others take its
//     chunks from the far end. Only a chunk that a thread has begun is waited for.
//
// Workers spin while a run goes on and at most kSpinNs after its last loop, then sleep in the
// kernel until a run that is worth waking them (Begin). An idle team takes no time at all.
#ifndef ESPALIER_RUNTIME_THREAD_TEAM_H_
#define ESPALIER_RUNTIME_THREAD_TEAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "base/machine.h"
#include "base/status.h"

namespace espalier {

class ThreadTeam {
 public:
  static constexpr size_t kMostThreads = espalier::kMostThreads;
  // How long a thread spins for the others before it sleeps. Longer keeps workers awake between
  // steps that come with larger gaps; shorter takes less of a core that others want. A sleeping
  // thread costs its waker 7 us and takes 10 to 40 us to come (Zen 4 under KVM; 2 ms after a pause
  // of 10 ms), a spinning one 0.1 us.
  static constexpr int64_t kSpinNs = 50'000;
  static constexpr int64_t kWakeEveryNs = 1'000'000;

  ThreadTeam() = default;
  // Ends the threads.
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  // Once, before all else: starts size - 1 threads; the caller of For is the first.
  // Precondition: 2 <= size <= kMostThreads. Errors: kOutOfMemory if a thread does not start.
  Status Start(size_t size);

  size_t size() const { return size_; }

  // Before the loops of one run, and after. Workers that sleep are woken by its first loop if the
  // run is expected to take long enough, or if it follows the last one so closely that they would
  // still spin had they been awake; but only once in kWakeEveryNs, since one that does not come has
  // no core to itself. Else this thread does the work alone. Returns whether the workers are awake,
  // or the run is long enough for them to come.
  bool Begin(int64_t expected_ns);
  // Returns the nanoseconds since Begin.
  int64_t End();

  // Calls body(chunk) once for every chunk below size() * chunks_per_thread, on any threads, and
  // returns when all have returned; what they wrote is then seen here. Chunks
  // [t * chunks_per_thread, (t + 1) * chunks_per_thread) are those of thread t, as long as it
  // comes. One caller at a time. Precondition: chunks_per_thread <= 1000.
  template <typename Body>
  void For(size_t chunks_per_thread, const Body& body) {
    Share(
        chunks_per_thread,
        [](const void* context, size_t chunk) { (*static_cast<const Body*>(context))(chunk); },
        &body);
  }

 private:
  static constexpr uint32_t kStop = 0;  // ends the workers
  static constexpr uint64_t kNoLoop = 1;
  using Job = void (*)(const void* context, size_t chunk);

  // The chunks [next, end) that are left of one thread's part of loop `loop`: in one word, so that
  // taking one and seeing that the loop is still the same are one step.
  struct Part {
    uint32_t loop;
    uint16_t next, end;
  };
  static_assert(std::atomic<Part>::is_always_lock_free);

  // All that one thread is told of a loop, in one cache line: each line that goes from core to core
  // takes 0.1 us (Xeon of the fifth generation). Job and context are written only when all chunks
  // of the loop before have been done, and read only by who has taken one of this loop.
  struct alignas(64) Lane {
    std::atomic<uint32_t> loop = kNoLoop;  // the last loop, or kStop
    std::atomic<Part> part = Part{0, 0, 0};
    Job job = nullptr;
    const void* context = nullptr;
    uint64_t number = 0;  // all of the loop's; the others are its lower half
  };
  // What one thread tells: the last loop of which it has done chunks, and how many.
  struct alignas(64) Done {
    static constexpr int kCountBits = 16;
    std::atomic<uint64_t> loop_and_count = 0;  // of the loop the lower 48 bits
  };

  void Share(size_t chunks_per_thread, Job job, const void* context);
  size_t TakeChunks(size_t rank, uint32_t loop);
  size_t DoneChunks() const;
  void WaitForChunks(size_t chunks);
  bool MayWake();
  uint32_t WaitForLoop(size_t rank, uint32_t seen);
  void Work(size_t rank);

  size_t size_ = 1;
  bool may_wake_ = false;
  int64_t begun_ns_ = 0;
  int64_t ended_ns_ = 0;
  int64_t woke_ns_ = 0;
  uint64_t last_loop_ = kNoLoop;

  // Written only by who goes to sleep, or wakes the caller.
  alignas(64) std::atomic<uint32_t> sleepers_ = 0;
  std::atomic<bool> caller_sleeps_ = false;
  std::atomic<uint32_t> caller_wakes_ = 0;
  Lane lanes_[kMostThreads];
  Done done_[kMostThreads];
  std::thread workers_[kMostThreads - 1];
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_THREAD_TEAM_H_
