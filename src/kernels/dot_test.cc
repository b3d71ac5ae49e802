// dot of every target against sums in double.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/tolerance.h"
#include "testing/testing.h"

namespace espalier {
namespace {

class Dot : public ::testing::TestWithParam<const KernelTable*> {};

TEST_P(Dot, IsTheSumOfProductsOfAnyLength) {
  Rng rng(3);
  for (size_t count = 0; count < 300; count = count < 70 ? count + 1 : count + 37) {
    // At an address that is aligned to nothing, and NaN past the end.
    std::vector<float> a(count + 18, std::numeric_limits<float>::quiet_NaN()), b = a;
    double exact = 0.0, size = 0.0;
    for (size_t k = 1; k <= count; ++k) {
      a[k] = rng.Uniform(-1.0f, 1.0f);
      b[k] = rng.Uniform(-1.0f, 1.0f);
      exact += double{a[k]} * b[k];
      size += std::abs(double{a[k]} * b[k]);
    }
    const float found = GetParam()->dot(a.data() + 1, b.data() + 1, count);
    ASSERT_NEAR(found, exact, Tolerance(size, count)) << count;
  }
}

TEST_P(Dot, SpreadsNanAndInfinity) {
  for (const size_t at : {0u, 30u, 39u}) {
    std::vector<float> a(40, 1.0f), b(40, 1.0f);
    a[at] = std::numeric_limits<float>::infinity();
    EXPECT_EQ(GetParam()->dot(a.data(), b.data(), a.size()), a[at]);
    b[at] = 0.0f;
    EXPECT_TRUE(std::isnan(GetParam()->dot(a.data(), b.data(), a.size())));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Dot, ::testing::ValuesIn(AvailableKernels()),
                         [](const auto& table) { return std::string(table.param->target); });

}  // namespace
}  // namespace espalier
