// The activations of every target: error in ULP over a sweep of all magnitudes, and the special
// values.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/kernels.h"
#include "testing/testing.h"

namespace espalier {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kMinNormal = std::numeric_limits<float>::min();

// Distance in units of the spacing of floats at `exact`.
double UlpError(float found, double exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::abs(static_cast<double>(found) - exact) / std::ldexp(1.0, exponent - 24);
}

// Every `step`-th float between -100 and 100, zero excluded.
std::vector<float> Sweep(uint32_t step) {
  std::vector<float> values;
  for (uint32_t bits = 1; bits <= std::bit_cast<uint32_t>(100.0f); bits += step) {
    values.push_back(std::bit_cast<float>(bits));
    values.push_back(-std::bit_cast<float>(bits));
  }
  return values;
}

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

class Activations : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  // Largest error over the sweep, and where; results below FLT_MIN must be at most that.
  static void ExpectUlp(ActivationFn f, double (*exact)(double), double bound) {
    const std::vector<float> xs = Sweep(1009);
    std::vector<float> ys = xs;
    f(ys.data(), ys.size());
    for (size_t i = 0; i < xs.size(); ++i) {
      const double want = exact(xs[i]);
      if (std::abs(want) < kMinNormal) {
        ASSERT_LE(std::abs(ys[i]), kMinNormal) << "at " << xs[i];
      } else {
        ASSERT_LE(UlpError(ys[i], want), bound) << "at " << xs[i] << ": " << ys[i];
      }
    }
  }
  static float Of(ActivationFn f, float x) {
    f(&x, 1);
    return x;
  }
};

TEST_P(Activations, SigmoidIsWithinItsBound) { ExpectUlp(GetParam()->sigmoid, Sigmoid, 3.0); }

TEST_P(Activations, TanhIsWithinItsBound) { ExpectUlp(GetParam()->tanh, std::tanh, 3.0); }

TEST_P(Activations, SigmoidSaturates) {
  const ActivationFn f = GetParam()->sigmoid;
  EXPECT_EQ(Of(f, kInf), 1.0f);
  EXPECT_EQ(Of(f, 3e38f), 1.0f);
  EXPECT_EQ(Of(f, 20.0f), 1.0f);
  EXPECT_EQ(Of(f, -kInf), 0.0f);
  EXPECT_EQ(Of(f, -3e38f), 0.0f);
  EXPECT_EQ(Of(f, 0.0f), 0.5f);
}

TEST_P(Activations, TanhSaturates) {
  const ActivationFn f = GetParam()->tanh;
  EXPECT_EQ(Of(f, kInf), 1.0f);
  EXPECT_EQ(Of(f, 3e38f), 1.0f);
  EXPECT_EQ(Of(f, 10.0f), 1.0f);
  EXPECT_EQ(Of(f, -kInf), -1.0f);
  EXPECT_EQ(Of(f, 0.0f), 0.0f);
}

TEST_P(Activations, TanhKeepsDenormals) {
  for (const float x : {1e-45f, -1e-45f, 1e-40f, -kMinNormal}) {
    EXPECT_EQ(Of(GetParam()->tanh, x), x);
  }
}

TEST_P(Activations, LetNanThrough) {
  for (const ActivationFn f : {GetParam()->relu, GetParam()->sigmoid, GetParam()->tanh}) {
    EXPECT_TRUE(std::isnan(Of(f, kNan)));
    EXPECT_TRUE(std::isnan(Of(f, -kNan)));
    std::vector<float> row(16, kNan);
    f(row.data(), row.size());
    for (const float value : row) EXPECT_TRUE(std::isnan(value));
  }
}

TEST_P(Activations, ReluKeepsPositiveValuesOnly) {
  std::vector<float> row = {-kInf, -1.0f, -0.0f, 0.0f, 1e-45f, 2.5f, kInf, -3.0f, 7.0f};
  GetParam()->relu(row.data(), row.size());
  EXPECT_EQ(row, (std::vector<float>{0, 0, 0, 0, 1e-45f, 2.5f, kInf, 0, 7.0f}));
}

TEST_P(Activations, WriteNothingPastTheirCount) {
  for (size_t count = 0; count <= 20; ++count) {
    std::vector<float> row(count + 16, 0.25f);
    for (const ActivationFn f :
         {GetParam()->relu, GetParam()->sigmoid, GetParam()->tanh, GetParam()->softmax}) {
      f(row.data(), count);
    }
    for (size_t i = count; i < row.size(); ++i) ASSERT_EQ(row[i], 0.25f);
  }
}

TEST_P(Activations, SoftmaxSharesOutOne) {
  Rng rng(1);
  for (size_t count = 1; count <= 40; ++count) {
    std::vector<float> row(count);
    const float middle = count % 2 == 0 ? 0.0f : -500.0f;  // far from what is after the row
    for (float& value : row) value = middle + rng.Uniform(-30.0f, 30.0f);
    std::vector<double> want(row.begin(), row.end());
    const double largest = *std::max_element(want.begin(), want.end());
    double sum = 0.0;
    for (const double value : want) sum += std::exp(value - largest);
    GetParam()->softmax(row.data(), count);
    for (size_t i = 0; i < count; ++i) {
      // Rounding x - max moves e^(x - max) by its size; the sum, exp and scaling by a few ULP each.
      const double distance = largest - want[i];
      const double exact = std::exp(-distance) / sum;
      const double ulps = distance + static_cast<double>(count) + 8.0;
      ASSERT_NEAR(row[i], exact, exact * ulps * 0x1.0p-24 + 1e-37);
    }
  }
}

TEST_P(Activations, SoftmaxGivesZeroToNegativeInfinity) {
  std::vector<float> row = {-kInf, 0.0f, 0.0f, -200.0f};
  GetParam()->softmax(row.data(), row.size());
  EXPECT_EQ(row[1], 0.5f);
  EXPECT_EQ(row[2], 0.5f);
  EXPECT_EQ(row[0], 0.0f);
  EXPECT_EQ(row[3], 0.0f);
}

TEST_P(Activations, SoftmaxMakesTheWholeRowNanForANan) {
  for (const size_t count : {3, 19}) {
    for (size_t at = 0; at < count; ++at) {
      std::vector<float> row(count, 1.0f);
      row[at] = kNan;
      GetParam()->softmax(row.data(), count);
      for (const float value : row) ASSERT_TRUE(std::isnan(value)) << at << " of " << count;
    }
  }
}

// A product alone is c' of an LSTM whose c is 0.
TEST_P(Activations, SigmoidTimesTanhIsWithinSixUlp) {
  const GateStepFn step = GetParam()->gate_step[static_cast<size_t>(CellKind::kLstmCell)];
  Rng rng(1);
  constexpr size_t kHidden = 1 << 16;
  std::vector<float> ax(4 * kHidden), ah(4 * kHidden), h(kHidden), c(kHidden);
  for (size_t k = 0; k < kHidden; ++k) {
    ax[k] = rng.Uniform(-100.0f, 20.0f);
    ax[2 * kHidden + k] = rng.Uniform(-12.0f, 12.0f);
    if (k % 3 == 0) ax[2 * kHidden + k] *= 1e-6f;
  }
  step({ax.data(), ah.data(), kHidden, h.data(), c.data(), kHidden});
  const double least = std::ldexp(1.0, -90);
  for (size_t k = 0; k < kHidden; ++k) {
    const double want = Sigmoid(ax[k]) * std::tanh(ax[2 * kHidden + k]);
    if (std::abs(want) < least) {
      ASSERT_NEAR(c[k], want, least) << ax[k] << ", " << ax[2 * kHidden + k];
    } else {
      ASSERT_LE(UlpError(c[k], want), 6.0) << ax[k] << ", " << ax[2 * kHidden + k];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Activations, ::testing::ValuesIn(AvailableKernels()),
                         [](const auto& table) { return std::string(table.param->target); });

}  // namespace
}  // namespace espalier
