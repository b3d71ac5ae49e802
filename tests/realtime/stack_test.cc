// That matrix kernels take no more stack than kernels.h says: small threads of real-time programs
// have little more.
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <functional>
#include <tuple>
#include <vector>

#include "formats/fit.h"
#include "kernels/kernels.h"
#include "kernels/matmul_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

// Sanitizers and a build without optimization make frames of their own.
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

constexpr size_t kStackBytes = 80 * 1024;

// Bytes of its stack that a thread has written to when `run` returns.
size_t StackOf(const std::function<void()>& run) {
  constexpr std::byte kPaint{0xb7};
  AlignedBuffer<std::byte> stack(size_t{1} << 20);
  std::fill(stack.begin(), stack.end(), kPaint);
  pthread_attr_t attributes;
  EXPECT_EQ(pthread_attr_init(&attributes), 0);
  EXPECT_EQ(pthread_attr_setstack(&attributes, stack.data(), stack.size()), 0);
  pthread_t thread;
  const auto call = [](void* function) -> void* {
    (*static_cast<const std::function<void()>*>(function))();
    return nullptr;
  };
  auto* argument = const_cast<std::function<void()>*>(&run);
  if (pthread_create(&thread, &attributes, call, argument) != 0) {
    ADD_FAILURE() << "no thread";
    return 0;
  }
  EXPECT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
  const auto used =
      std::find_if(stack.begin(), stack.end(), [&](std::byte byte) { return byte != kPaint; });
  return static_cast<size_t>(stack.end() - used);
}

class KernelStack : public ::testing::TestWithParam<std::tuple<const KernelTable*, FormatSpec>> {};

TEST_P(KernelStack, IsWhatTheHeaderSays) {
  const auto& [table, spec] = GetParam();
  const MatMulFn kernel = table->find_matmul(spec);
  // What a thread takes before it runs anything; a frame that is not touched leaves no trace.
  const size_t none = StackOf([] {});
  Rng rng(9);
  for (const int64_t rows : {17, 64, 160}) {
    Tensor w({FitRows(spec, rows, 40), 40});
    for (float& value : w.values) value = static_cast<float>(rng.Normal());
    FitMatrix(spec, 40, w.values);
    const EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(w)));
    for (const size_t count : {1, 3, 28}) {
      PaddedRows x = RandomX(40, count, &rng);
      PaddedRows y(static_cast<size_t>(w.dim(0)), count, kUntouched);
      const MatMulArgs args = ArgsOf(&x, {}, &y);
      EXPECT_LE(StackOf([&] { kernel(encoded.view(), args); }), none + kStackBytes)
          << rows << " rows, " << count << " of x";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, KernelStack,
                         ::testing::Combine(::testing::ValuesIn(AvailableKernels()),
                                            ::testing::ValuesIn(AllFormats())),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)->target) + "_" +
                                  FormatName(std::get<1>(test.param));
                         });

TEST(StackOf, SeesAFrameThatIsWrittenTo) {
  const size_t none = StackOf([] {});
  const size_t some = StackOf([] {
    volatile char frame[100'000];
    frame[0] = 1;
    frame[99'999] = frame[0];
  });
  EXPECT_GT(some, none + 90'000);
}

#endif

}  // namespace
}  // namespace espalier
