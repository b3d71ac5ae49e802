// Proves the promises of runtime/session.h and runtime/pool.h: after Create, Run, Step and Reset
// neither allocate, lock nor enter the kernel, and InitAt does not allocate. Every allocation and
// every lock of a mutex or a read-write lock passes the counters below; for system calls, the
// operating system kills the process at its first.
#include <dlfcn.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "formats/fit.h"
#include "kernels/kernels.h"
#include "model/build.h"
#include "runtime/pool.h"
#include "runtime/session.h"
#include "testing/testing.h"

namespace {
std::atomic<long> allocation_count{0};
std::atomic<long> lock_count{0};
}  // namespace

#define ESPALIER_INTERPOSE extern "C" __attribute__((visibility("default")))

#if defined(__SANITIZE_ADDRESS__)
// AddressSanitizer owns malloc and tells of every call. (gcc ships the function without its
// header.)
extern "C" int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void* pointer, size_t size),
    void (*on_free)(const volatile void* pointer));
namespace {
const int kHooks = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, size_t) { ++allocation_count; }, [](const volatile void*) {});
}
#else
// These stand in front of the C library's for the whole process, operator new included.
extern "C" void* __libc_malloc(size_t size);
extern "C" void* __libc_calloc(size_t count, size_t size);
extern "C" void* __libc_realloc(void* pointer, size_t size);
extern "C" void* __libc_memalign(size_t alignment, size_t size);

ESPALIER_INTERPOSE void* malloc(size_t size) {
  ++allocation_count;
  return __libc_malloc(size);
}
ESPALIER_INTERPOSE void* calloc(size_t count, size_t size) {
  ++allocation_count;
  return __libc_calloc(count, size);
}
ESPALIER_INTERPOSE void* realloc(void* pointer, size_t size) {
  ++allocation_count;
  return __libc_realloc(pointer, size);
}
ESPALIER_INTERPOSE void* aligned_alloc(size_t alignment, size_t size) {
  ++allocation_count;
  return __libc_memalign(alignment, size);
}
#endif

// ThreadSanitizer has its own in front of these.
#if !defined(__SANITIZE_THREAD__)
namespace {
// The C library's own.
template <typename Lock>
int LockAsIs(const char* function, Lock* lock) {
  using Function = int (*)(Lock*);
  ++lock_count;
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, function))(lock);
}
}  // namespace

ESPALIER_INTERPOSE int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  return LockAsIs("pthread_mutex_lock", mutex);
}
ESPALIER_INTERPOSE int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  return LockAsIs("pthread_rwlock_rdlock", lock);
}
ESPALIER_INTERPOSE int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  return LockAsIs("pthread_rwlock_wrlock", lock);
}

TEST(Counter, SeesEveryKindOfLock) {
  std::mutex mutex;
  std::shared_mutex shared;
  const long before = lock_count;
  { const std::lock_guard lock(mutex); }
  { const std::lock_guard lock(shared); }
  { const std::shared_lock lock(shared); }
  EXPECT_EQ(lock_count - before, 3);
}
#endif

namespace espalier {
namespace {

using ::espalier::testing::RandomBatch;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::ZeroRandomWeights;

Graph EveryCellAndOperator(const GraphInput& input) {
  Rng rng(1);
  GraphBuilder builder("all", input, &rng);
  if (input.type.element == Element::kI32) builder.Embedding(12);
  for (const CellInfo& info : kCells) builder.Recurrent(info.kind, 12).Dropout(0.5);
  builder.Recurrent(CellKind::kLstmCell, 6, {Direction::kBidirectional, 0.0});
  const std::string layer = builder.value();
  const std::string end_c = builder.EndC().value();
  builder.From(layer).LayerNorm().Gemm(24).Glu();
  const std::string encoder = builder.value();
  const std::string end = builder.LastStep().value();
  builder.From(encoder).Recurrent(CellKind::kLstmPeepholeCell, 12,
                                  {Direction::kForward, 0.0, 12, {end, end_c}});
  builder.Conv1d(12, {3, 2});
  builder.Activation(Op::kRelu).Activation(Op::kSigmoid).Activation(Op::kTanh);
  const std::string top = builder.value();
  builder.LastStep();
  const std::string last = builder.value();
  builder.From(top).MeanOverTime().Add(last).Concat(last).Gemm(5).Activation(Op::kSoftmax);
  Graph graph = ValueOrDie(builder.Finish());
  ZeroRandomWeights(0.7, &rng, &graph);
  testing::RoundForEveryFormat(&graph);
  return graph;
}

// Dense where the format does not store matrices of the shape.
Artifact ArtifactOf(Graph graph, const std::string& format) {
  const FormatSpec spec = ValueOrDie(FindFormat(format));
  for (auto& [name, weight] : graph.weights) {
    if (weight.shape.size() == 2) RoundMatrix(spec.type, weight.dim(1), weight.values);
  }
  ArtifactContent content;
  for (const MatrixPart& part : ValueOrDie(MatrixPartsOf(graph))) {
    if (part.by_column || part.is_plain) continue;
    const bool fits = FitRows(spec, part.rows, part.cols) == part.rows;
    content.choices[part.name].spec = fits ? spec : FormatSpec();
  }
  return ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(graph, content))));
}

// True if every call succeeded. No gtest macros: they allocate.
bool RunAll(const std::vector<Batch>& batches, std::vector<Session>* sessions) {
  bool ok = true;
  for (Session& session : *sessions) {
    for (const Batch& batch : batches) {
      ok = ok && session.Run(ViewOf(batch)).ok();
      ok = ok && !session.Output(0).empty();
    }
    const Batch& one = batches[1];
    ok = ok && (one.ids.empty() ? session.Step(std::span<const float>(one.features))
                                : session.Step(std::span<const int32_t>(one.ids)))
                   .ok();
    ok = ok && session.ResetStream(1).ok();
    float values[12];
    ok = ok && session.GetState(session.states()[0].name, values).ok();
    ok = ok && session.SetState(session.states()[0].name, values).ok();
    session.Reset();
  }
  return ok;
}

// Runs `run`, which returns whether it succeeded, where any system call kills the process.
template <typename Run>
void ExpectNoSystemCall(const Run& run) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // From here on only read, write and exit are allowed.
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0) != 0) ::_exit(77);
    ::syscall(SYS_exit, run() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "no seccomp here";
  EXPECT_FALSE(WIFSIGNALED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

struct Case {
  const char* name;
  GraphInput input;
};

class Realtime : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    for (const FormatSpec& spec : AllFormats()) {
      artifacts_.push_back(std::make_unique<Artifact>(ArtifactOf(graph_, FormatName(spec))));
      for (const KernelTable* table : AvailableKernels()) {
        SessionOptions options;
        options.max_batch = 3;
        options.max_steps = 6;
        options.target = table->target;
        sessions_.push_back(ValueOrDie(Session::Create(*artifacts_.back(), options)));
      }
    }
    Rng rng(2);
    batches_.push_back(RandomBatch(graph_, 6, 3, 0, &rng));
    batches_.push_back(RandomBatch(graph_, 1, 1, 1, &rng));
    batches_.push_back(RandomBatch(graph_, 4, 2, 0, &rng));
    batches_.back().lengths = {0, 0};
  }

  const Graph graph_ = EveryCellAndOperator(GetParam().input);
  std::vector<std::unique_ptr<Artifact>> artifacts_;
  std::vector<Session> sessions_;
  std::vector<Batch> batches_;
};

INSTANTIATE_TEST_SUITE_P(
    Inputs, Realtime,
    ::testing::Values(Case{"features", {"x", {Element::kF32, Layout::kSequence, 12}}},
                      Case{"ids", {"ids", {Element::kI32, Layout::kSequence, 9}}}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Counter, SeesWhatTheStandardLibraryAllocates) {
  const long before = allocation_count;
  const std::string text = std::to_string(before) + std::string(100, 'x');
  EXPECT_GT(allocation_count - before, 0) << text;
}

TEST(Counter, SeesAnAlignedBuffer) {
  const long before = allocation_count;
  const AlignedBuffer<float> buffer(10);
  EXPECT_GT(allocation_count - before, 0) << buffer.size();
}

TEST_P(Realtime, RunsWithoutAnAllocationOrALock) {
  const long before = allocation_count;
  const long locks_before = lock_count;
  const bool ok = RunAll(batches_, &sessions_);
  const long locks_after = lock_count;
  const long after = allocation_count;
  EXPECT_TRUE(ok);
  EXPECT_EQ(after - before, 0);
  EXPECT_EQ(locks_after - locks_before, 0);
}

TEST_P(Realtime, IsMadeInTheCallersMemoryWithoutAnAllocation) {
  const Program program = ValueOrDie(Program::Of(*artifacts_.front()));
  for (const KernelTable* table : AvailableKernels()) {
    SessionOptions options;
    options.max_batch = 3;
    options.max_steps = 6;
    options.target = table->target;
    const size_t bytes = ValueOrDie(Session::SizeOf(program, options));
    AlignedBuffer<std::byte> memory(bytes);
    const long before = allocation_count;
    bool ok = Session::SizeOf(program, options).ok();
    {
      Result<Session> session = Session::InitAt(program, options, memory);
      ok = ok && session.ok() && session->Run(ViewOf(batches_[0])).ok();
    }
    const long after = allocation_count;
    EXPECT_TRUE(ok);
    EXPECT_EQ(after - before, 0);
  }
}

// A microsecond later each time it is read, and no system call.
int64_t CountMicroseconds(void* context) { return *static_cast<int64_t*>(context) += 1000; }

// True if every call succeeded.
bool RunWithBudget(const std::vector<float>& x, Session* session) {
  ExitResult result;
  session->Reset();
  bool ok = session->RunUntil({6, 1, x, {}, {}}, {0.999f, 2, 2}, &result).ok();
  for (int t = 0; t < 30; ++t) ok = ok && session->Step(std::span(x).first(12)).ok();
  return ok && result.looks > 0 && session->Budget().raised > 0 && session->Budget().late > 0;
}

TEST(RealtimeDynamic, RunsUntilItIsSureAndWithinABudget) {
  Rng rng(5);
  GraphBuilder builder("dynamic", {"x", {Element::kF32, Layout::kSequence, 12}}, &rng);
  GraphBuilder::RecurrentOptions recurrent;
  recurrent.delta = Delta{0.1, 0.1, 1};
  recurrent.skip = true;
  builder.Recurrent(CellKind::kGruCell, 12, recurrent);
  for (const int64_t top : {0, 2}) {
    recurrent.delta.reset();
    recurrent.banks = UnitBanks{3, top};
    builder.Recurrent(CellKind::kGruCell, 12, recurrent);
  }
  recurrent.banks.reset();
  recurrent.idle = IdleCandidates{0.4};
  recurrent.predicted = PredictedRows{4, 0.4};
  builder.Recurrent(CellKind::kLstmCell, 12, recurrent);
  builder.MeanOverTime().Gemm(5);
  const Artifact artifact = ArtifactOf(ValueOrDie(builder.Finish()), "csr");
  SessionOptions options;
  options.max_steps = 2;
  Session session = ValueOrDie(Session::Create(artifact, options));
  int64_t now = 0;
  BudgetOptions budget;
  budget.step_ns = 400;
  budget.clock = {&CountMicroseconds, &now};
  ASSERT_OK(session.SetBudget(budget));
  const std::vector<float> x(6 * 12, 0.5f);
  const long before = allocation_count;
  const long locks_before = lock_count;
  const bool ok = RunWithBudget(x, &session);
  const long locks_after = lock_count;
  const long after = allocation_count;
  EXPECT_TRUE(ok);
  EXPECT_EQ(after - before, 0);
  EXPECT_EQ(locks_after - locks_before, 0);
  ExpectNoSystemCall([&] { return RunWithBudget(x, &session); });
}

// True if every call succeeded: streams come, step in and out of order, and go.
bool StepAll(const std::vector<float>& x, StreamPool* pool) {
  constexpr int32_t kStreams = 40;
  int32_t streams[kStreams];
  bool ok = true;
  for (int32_t& stream : streams) {
    const Result<int32_t> added = pool->Add();
    ok = ok && added.ok();
    if (added.ok()) stream = *added;
  }
  ok = ok && pool->Step({streams, x, {}}).ok();
  std::swap(streams[3], streams[5]);
  ok = ok && pool->Step({streams, x, {}}).ok() && !pool->Output(0).empty();
  for (const int32_t stream : streams) ok = ok && pool->Remove(stream).ok();
  return ok;
}

class RealtimePool : public ::testing::Test {
 protected:
  static Graph Streaming() {
    Rng rng(4);
    GraphBuilder builder("pool", {"x", {Element::kF32, Layout::kSequence, 7}}, &rng);
    for (const CellInfo& info : kCells) builder.Recurrent(info.kind, 12);
    return ValueOrDie(builder.Gemm(3).Finish());
  }

  PoolOptions options_ = [] {
    PoolOptions options;
    options.max_streams = 40;
    return options;
  }();
  const Artifact artifact_ = ArtifactOf(Streaming(), "csr");
  const Program program_ = ValueOrDie(Program::Of(artifact_));
  const std::vector<float> x_ = std::vector<float>(40 * 7, 0.5f);
};

TEST_F(RealtimePool, IsMadeAndStepsWithoutAnAllocationOrALock) {
  AlignedBuffer<std::byte> memory(ValueOrDie(StreamPool::SizeOf(program_, options_)));
  const long before = allocation_count;
  const long locks_before = lock_count;
  bool ok = false;
  {
    Result<StreamPool> pool = StreamPool::InitAt(program_, options_, memory);
    ok = pool.ok() && StepAll(x_, &*pool);
  }
  const long locks_after = lock_count;
  const long after = allocation_count;
  EXPECT_TRUE(ok);
  EXPECT_EQ(after - before, 0);
  EXPECT_EQ(locks_after - locks_before, 0);
}

TEST_F(RealtimePool, StepsWithoutASystemCall) {
  StreamPool pool = ValueOrDie(StreamPool::Create(artifact_, options_));
  const std::vector<float>& x = x_;
  ExpectNoSystemCall([&] { return StepAll(x, &pool); });
}

// Nor do the session's own threads.
TEST(RealtimeThreads, RunWithoutAnAllocationOrALock) {
  Rng rng(3);
  GraphBuilder builder("large", {"x", {Element::kF32, Layout::kSequence, 64}}, &rng);
  const Graph graph = ValueOrDie(builder.Recurrent(CellKind::kLstmCell, 256).Finish());
  const Artifact artifact = ArtifactOf(graph, "dense");
  SessionOptions options;
  options.threads = 3;
  options.max_steps = 8;
  Session session = ValueOrDie(Session::Create(artifact, options));
  ASSERT_EQ(session.threads(), 3u);
  const Batch batch = RandomBatch(graph, 8, 1, 0, &rng);
  ASSERT_TRUE(session.Run(ViewOf(batch)).ok());  // by now all threads have started
  const long before = allocation_count;
  const long locks_before = lock_count;
  bool ok = true;
  for (int run = 0; run < 20; ++run) ok = ok && session.Run(ViewOf(batch)).ok();
  const long after = allocation_count;
  const long locks_after = lock_count;
  EXPECT_TRUE(ok);
  EXPECT_EQ(after - before, 0);
  EXPECT_EQ(locks_after - locks_before, 0);
}

TEST_P(Realtime, RunsWithoutASystemCall) {
  // Taken before the filter: UBSan's check of `this` calls the system.
  std::vector<Session>* sessions = &sessions_;
  const std::vector<Batch>& batches = batches_;
  ExpectNoSystemCall([&] { return RunAll(batches, sessions); });
}

}  // namespace
}  // namespace espalier
