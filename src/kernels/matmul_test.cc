// The contract suite of the matrix kernels: every format and tile on every target of this CPU, and
// the generic kernel, against a double-precision product with the decoded matrix.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "formats/fit.h"
#include "kernels/generic.h"
#include "kernels/kernels.h"
#include "kernels/matmul_test_support.h"
#include "kernels/quantize.h"
#include "kernels/tolerance.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

// One that the format can store, of about so many rows.
Tensor RandomMatrix(int64_t rows, int64_t cols, double sparsity, const FormatSpec& spec, Rng* rng) {
  Tensor tensor({FitRows(spec, rows, cols), cols});
  for (float& value : tensor.values) {
    if (rng->Uniform() >= sparsity) value = static_cast<float>(rng->Normal());
  }
  FitMatrix(spec, cols, tensor.values);
  return tensor;
}

size_t RowsOf(const Tensor& w) { return static_cast<size_t>(w.dim(0)); }

// What a kernel of the type multiplies: x, or x rounded.
std::vector<double> Multiplied(WeightType type, const float* x, size_t cols) {
  std::vector<double> multiplied(x, x + cols);
  if (type == WeightType::kI8) RoundX(0.0f, multiplied);
  return multiplied;
}

// Compares y with the oracle, row by row, and checks that nothing past the rows was written.
void ExpectProduct(WeightType type, const Tensor& w, PaddedRows* x, const std::vector<float>& init,
                   PaddedRows* y) {
  const auto rows = static_cast<size_t>(w.dim(0));
  const auto cols = static_cast<size_t>(w.dim(1));
  for (size_t n = 0; n < x->count; ++n) {
    const std::vector<double> multiplied = Multiplied(type, x->row(n), cols);
    for (size_t r = 0; r < rows; ++r) {
      double sum = init.empty() ? 0.0 : init[r];
      double norm = std::abs(sum);
      for (size_t c = 0; c < cols; ++c) {
        const double term = static_cast<double>(w.values[r * cols + c]) * multiplied[c];
        sum += term;
        norm += std::abs(term);
      }
      ASSERT_NEAR(y->row(n)[r], sum, Tolerance(norm, cols)) << "row " << r << " of x " << n;
    }
    for (size_t i = rows; i < y->stride; ++i) {
      ASSERT_EQ(y->row(n)[i], kUntouched) << "past the rows of y " << n;
    }
  }
}

// Cuts the groups at every place: each part gives the bits of the whole in its rows, and leaves the
// other rows as they were.
void ExpectGroups(const FormatSpec& spec, MatMulFn kernel) {
  Rng rng(6);
  constexpr size_t kMost = 9;
  for (const int64_t rows : {1, 17, 64, 131}) {
    const Tensor w = RandomMatrix(rows, 37, 0.7, spec, &rng);
    const size_t height = RowsOf(w);
    const EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(w)));
    const EncodedView view = encoded.view();
    const std::vector<float> init(height, 0.25f);
    PaddedRows x = RandomX(37, kMost, &rng);
    for (const size_t count : {size_t{1}, kMost}) {
      PaddedRows whole(height, kMost, kUntouched);
      MatMulArgs args = ArgsOf(&x, init, &whole);
      args.count = count;
      kernel(view, args);
      for (size_t cut = 0; cut <= RowGroups(view); ++cut) {
        PaddedRows first(height, kMost, kUntouched);
        PaddedRows second(height, kMost, kUntouched);
        args.y = first.values.data();
        args.first_group = 0;
        args.end_group = cut;
        kernel(view, args);
        args.y = second.values.data();
        args.first_group = cut;
        args.end_group = SIZE_MAX;
        kernel(view, args);
        for (size_t i = 0; i < whole.values.size(); ++i) {
          const size_t row = i % whole.stride;
          const bool in_first = row < height && GroupOfRow(view, static_cast<int64_t>(row)) < cut;
          ASSERT_EQ(first.values[i], in_first ? whole.values[i] : kUntouched)
              << rows << " rows, count " << count << ", groups [0, " << cut << "), value " << i;
          ASSERT_EQ(second.values[i], in_first ? kUntouched : whole.values[i])
              << rows << " rows, count " << count << ", groups from " << cut << ", value " << i;
        }
      }
    }
  }
}

using Case = std::tuple<const KernelTable*, FormatSpec>;

class EveryKernel : public ::testing::TestWithParam<Case> {
 protected:
  MatMulFn kernel() const { return std::get<0>(GetParam())->find_matmul(spec()); }
  FormatSpec spec() const { return std::get<1>(GetParam()); }
};

std::vector<int64_t> RaggedSizes() {
#if defined(__SANITIZE_ADDRESS__)  // with AVX-512 all of them take minutes, and these see any edge
  return {1, 7, 9, 16, 17, 33, 131};
#else
  return {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 97, 131};
#endif
}

TEST_P(EveryKernel, MultipliesAsTheOracleDoes) {
  Rng rng(1);
  for (const int64_t rows : RaggedSizes()) {
    for (const int64_t cols : RaggedSizes()) {
      for (const double sparsity : {0.0, 0.5, 0.95, 0.99, 1.0}) {
        const Tensor w = RandomMatrix(rows, cols, sparsity, spec(), &rng);
        const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
        PaddedRows x = RandomX(static_cast<size_t>(cols), 1, &rng);
        PaddedRows y(RowsOf(w), 1, kUntouched);
        kernel()(encoded.view(), ArgsOf(&x, {}, &y));
        SCOPED_TRACE(::testing::Message() << rows << "x" << cols << " sparsity " << sparsity);
        ASSERT_NO_FATAL_FAILURE(ExpectProduct(spec().type, w, &x, {}, &y));
      }
    }
  }
}

TEST_P(EveryKernel, AddsInit) {
  Rng rng(2);
  for (const int64_t rows : RaggedSizes()) {
    const Tensor w = RandomMatrix(rows, 20, 0.5, spec(), &rng);
    const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
    // Exactly `rows` long: a sanitizer sees a read past it.
    std::vector<float> init(RowsOf(w));
    for (float& value : init) value = static_cast<float>(rng.Normal());
    PaddedRows x = RandomX(20, 3, &rng);
    PaddedRows y(RowsOf(w), 3, kUntouched);
    kernel()(encoded.view(), ArgsOf(&x, init, &y));
    ASSERT_NO_FATAL_FAILURE(ExpectProduct(spec().type, w, &x, init, &y));
  }
}

// The products of `count` rows of x, each in a call of its own.
PaddedRows OneByOne(MatMulFn kernel, const EncodedMatrix& w, size_t count, PaddedRows* x) {
  PaddedRows y(static_cast<size_t>(w.view().rows), count, kUntouched);
  for (size_t n = 0; n < count; ++n) {
    MatMulArgs args = ArgsOf(x, {}, &y);
    args.x = x->row(n);
    args.y = y.row(n);
    args.count = 1;
    kernel(w.view(), args);
  }
  return y;
}

// `alone`: of at least `count` rows, as OneByOne has them.
void ExpectSameTogether(MatMulFn kernel, const EncodedMatrix& w, size_t count,
                        const PaddedRows& alone, PaddedRows* x) {
  PaddedRows y(static_cast<size_t>(w.view().rows), count, kUntouched);
  MatMulArgs args = ArgsOf(x, {}, &y);
  args.count = count;
  kernel(w.view(), args);
  const auto end = y.values.begin() + static_cast<ptrdiff_t>(count * y.stride);
  ASSERT_TRUE(std::equal(y.values.begin(), end, alone.values.begin())) << "count " << count;
}

TEST_P(EveryKernel, GivesTheSameBitsForAnyCount) {
  Rng rng(3);
  constexpr size_t kMost = 29;
#if defined(__SANITIZE_ADDRESS__) || defined(__aarch64__)  // which is tested under qemu, too
  constexpr size_t kNext = 5;                              // every rest of 2, 3 and 4 is among them
#else
  constexpr size_t kNext = 1;
#endif
  for (const int64_t rows : {1, 17, 64, 131}) {
    for (const int64_t cols : {5, 48, 131, 1030}) {
      if (rows > 1 && FitRows(spec(), rows, cols) == FitRows(spec(), 1, cols)) continue;
      const Tensor w = RandomMatrix(rows, cols, 0.6, spec(), &rng);
      const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
      PaddedRows x = RandomX(static_cast<size_t>(cols), kMost, &rng);
      PaddedRows alone = OneByOne(kernel(), encoded, kMost, &x);
      ASSERT_NO_FATAL_FAILURE(ExpectProduct(spec().type, w, &x, {}, &alone));
      for (size_t count = 2; count <= kMost; count += kNext) {
        SCOPED_TRACE(::testing::Message() << rows << "x" << cols);
        ASSERT_NO_FATAL_FAILURE(ExpectSameTogether(kernel(), encoded, count, alone, &x));
      }
    }
  }
}

// As many as sessions multiply at once, past what kernels round or gather together.
TEST_P(EveryKernel, GivesTheSameBitsForManyRows) {
  Rng rng(6);
  const Tensor w = RandomMatrix(64, 40, 0.6, spec(), &rng);
  const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
  constexpr size_t kMost = 257;
  PaddedRows x = RandomX(40, kMost, &rng);
  const PaddedRows alone = OneByOne(kernel(), encoded, kMost, &x);
  for (const size_t count : {size_t{33}, size_t{65}, kMost}) {
    ASSERT_NO_FATAL_FAILURE(ExpectSameTogether(kernel(), encoded, count, alone, &x));
  }
}

TEST_P(EveryKernel, ComputesTheRowsOfTheGroupsItIsGiven) {
  ASSERT_NO_FATAL_FAILURE(ExpectGroups(spec(), kernel()));
}

TEST_P(EveryKernel, WritesNothingForACountOfZero) {
  const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(Tensor({9, 9}))));
  PaddedRows x(9, 1, 1.0f);
  PaddedRows y(9, 1, kUntouched);
  MatMulArgs args = ArgsOf(&x, {}, &y);
  args.count = 0;
  kernel()(encoded.view(), args);
  EXPECT_EQ(y.values, std::vector<float>(y.stride, kUntouched));
}

TEST_P(EveryKernel, LetsNanAndInfinityThroughWhereAWeightIsStored) {
  Rng rng(4);
  for (const size_t count : {1, 11}) {
    Tensor w({40, 40});
    for (size_t r = 0; r < 40; ++r) w.values[r * 40 + r] = r % 2 == 0 ? 1.0f : -1.0f;
    RoundMatrix(spec().type, 40, w.values);
    const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
    PaddedRows x = RandomX(40, count, &rng);
    const size_t poisoned = count / 2;  // with others on both sides in any tile
    x.row(poisoned)[20] = kInf;
    x.row(poisoned)[33] = kNan;
    PaddedRows y(40, count, kUntouched);
    kernel()(encoded.view(), ArgsOf(&x, {}, &y));
    const float* last = y.row(poisoned);
    for (size_t n = 0; n < count; ++n) {
      if (n == poisoned) continue;
      EXPECT_TRUE(std::all_of(y.row(n), y.row(n) + 40, [](float v) { return std::isfinite(v); }))
          << "row " << n << " of " << count;
    }
    if (spec().type == WeightType::kI8) {  // x has one scale
      EXPECT_TRUE(std::all_of(last, last + 40, [](float v) { return std::isnan(v); }));
      continue;
    }
    // In `dense`, `rows` and `blocked` zeros are stored and 0 * inf is NaN; in `slot` and `nm`
    // padding may be.
    EXPECT_TRUE(spec().id == FormatId::k_csr ? last[20] == kInf : !std::isfinite(last[20]));
    EXPECT_TRUE(std::isnan(last[33]));
    for (size_t r = 0; r < 40; ++r) {
      if (spec().id == FormatId::k_csr && r != 20 && r != 33) {
        EXPECT_TRUE(std::isfinite(last[r]));
      }
    }
  }
}

TEST_P(EveryKernel, KeepsInfinityToTheRowsThatStoreItsColumn) {
  if (spec().type == WeightType::kI8) return;  // the test above
  Tensor w({64, 64});
  for (size_t r = 0; r < 16; ++r) w.values[r * 64 + 32 + r % 8] = 2.0f;
  RoundMatrix(spec().type, 64, w.values);
  const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
  PaddedRows x(64, 1, 1.0f);
  x.row(0)[35] = -kInf;
  PaddedRows y(64, 1, kUntouched);
  kernel()(encoded.view(), ArgsOf(&x, {}, &y));
  std::vector<bool> stores_it(64, false);  // a weight of column 35, or a 0 there
  ForEachStored(encoded.view(), &stores_it, [](void* rows, int64_t row, int64_t col, float) {
    if (col == 35) (*static_cast<std::vector<bool>*>(rows))[static_cast<size_t>(row)] = true;
  });
  for (size_t r = 0; r < 64; ++r) {
    if (r < 16 && r % 8 == 3) {
      EXPECT_TRUE(stores_it[r] && !std::isfinite(y.row(0)[r]));
    } else {
      EXPECT_EQ(std::isnan(y.row(0)[r]), stores_it[r]);
    }
  }
  if (spec().id == FormatId::k_slot || spec().id == FormatId::k_nm ||
      spec().id == FormatId::k_csr) {
    EXPECT_EQ(std::count(stores_it.begin(), stores_it.end(), true), 2);
  }
}

TEST_P(EveryKernel, IsNamedByTheGrammar) {
  const std::string name = std::get<0>(GetParam())->matmul_name(spec());
  FormatSpec tile = spec();
  tile.type = WeightType::kF32;
  std::string expected = "matvec_" + FormatName(tile);
  const size_t end = std::min(expected.find("_", 7), expected.size());
  expected.insert(end, std::string("_") + WeightTypeName(spec().type));
  EXPECT_EQ(name, expected);
}

// An artifact names the kernel that it was compiled for, by the costs of another CPU perhaps.
TEST_P(EveryKernel, HasOneNameOnEveryTarget) {
  EXPECT_STREQ(std::get<0>(GetParam())->matmul_name(spec()),
               AvailableKernels()[0]->matmul_name(spec()));
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryKernel,
                         ::testing::Combine(::testing::ValuesIn(AvailableKernels()),
                                            ::testing::ValuesIn(AllFormats())),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)->target) + "_" +
                                  FormatName(std::get<1>(test.param));
                         });

// Weights and x of such sizes that the sum times the scale of x, or the product of the scales, is
// too large or too small for a float, and the result is not.
void ExpectFinite(const FormatSpec& spec, MatMulFn kernel) {
  constexpr int64_t kCols = 64;
  Rng rng(8);
  for (const auto& [w_size, x_size] : {std::pair(1e-3f, 3e38f), std::pair(1e-35f, 3e38f),
                                       std::pair(3e38f, 1e-3f), std::pair(3e38f, 2e-30f)}) {
    Tensor w({FitRows(spec, 17, kCols), kCols});
    for (float& value : w.values) value = w_size;
    FitMatrix(spec, kCols, w.values);
    PaddedRows x(kCols, 3, x_size);
    for (size_t c = 0; c < kCols; ++c) x.row(1)[c] *= static_cast<float>(rng.Uniform(-1.0f, 1.0f));
    // The result of one x is at most about 1e38.
    const float down = std::min(1.0f, 1e36f / (w_size * x_size * static_cast<float>(kCols)));
    for (float& value : x.values) value *= down;
    const EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(w)));
    const std::vector<float> init(RowsOf(w), 0.5f);
    PaddedRows y(RowsOf(w), 3, kUntouched);
    kernel(encoded.view(), ArgsOf(&x, init, &y));
    ASSERT_NO_FATAL_FAILURE(ExpectProduct(spec.type, w, &x, init, &y))
        << "weights of " << w_size << ", x of " << x_size * down;
  }
}

class GenericKernel : public ::testing::TestWithParam<FormatSpec> {};

TEST_P(GenericKernel, MultipliesAsTheOracleDoes) {
  Rng rng(5);
  const Tensor w = RandomMatrix(33, 41, 0.7, GetParam(), &rng);
  const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(w)));
  const std::vector<float> init(RowsOf(w), 0.5f);
  PaddedRows x = RandomX(41, 3, &rng);
  PaddedRows y(RowsOf(w), 3, kUntouched);
  MatVecGeneric(encoded.view(), ArgsOf(&x, init, &y));
  ExpectProduct(GetParam().type, w, &x, init, &y);
}

TEST_P(GenericKernel, ComputesTheRowsOfTheGroupsItIsGiven) {
  ASSERT_NO_FATAL_FAILURE(ExpectGroups(GetParam(), MatVecGeneric));
}

TEST_P(GenericKernel, GivesAFiniteSumForLargeX) {
  if (GetParam().type == WeightType::kI8) {
    ASSERT_NO_FATAL_FAILURE(ExpectFinite(GetParam(), MatVecGeneric));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, GenericKernel, ::testing::ValuesIn(AllFormats()),
                         [](const auto& spec) { return FormatName(spec.param); });

class EveryI8Kernel : public EveryKernel {};

std::vector<FormatSpec> I8Formats() {
  std::vector<FormatSpec> specs = AllFormats();
  std::erase_if(specs, [](const FormatSpec& spec) { return spec.type != WeightType::kI8; });
  return specs;
}

// Whole weights and a row scale of 1, so that the result is the sum of whole numbers itself.
TEST_P(EveryI8Kernel, RoundsXAsQuantizeXDoes) {
  Rng rng(6);
  for (const int64_t cols : {1, 15, 64, 65, 200}) {
    Tensor w({FitRows(spec(), 17, cols), cols});
    for (float& value : w.values) value = static_cast<float>(rng.Below(253)) - 126.0f;
    for (size_t r = 0; r < RowsOf(w); ++r) w.values[r * static_cast<size_t>(cols)] = 127.0f;
    FitMatrix(spec(), cols, w.values);
    for (const float x_scale : {0.0f, 0x1p-5f}) {
      for (const float size : {1.0f, 0x1p-110f, 1e30f}) {
        const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w), x_scale));
        PaddedRows x = RandomX(static_cast<size_t>(cols), 5, &rng);
        for (float& value : x.values) value *= size;
        PaddedRows y(RowsOf(w), 5, kUntouched);
        kernel()(encoded.view(), ArgsOf(&x, {}, &y));
        for (size_t n = 0; n < 5; ++n) {
          std::vector<int8_t> q(static_cast<size_t>(cols));
          const float scale = QuantizeX(x.row(n), q.size(), x_scale, q.data());
          for (size_t r = 0; r < RowsOf(w); ++r) {
            int32_t sum = 0;
            for (size_t c = 0; c < q.size(); ++c) {
              sum += static_cast<int32_t>(w.values[r * q.size() + c]) * q[c];
            }
            ASSERT_EQ(y.row(n)[r], static_cast<float>(sum) * scale) << cols << " cols, row " << r;
          }
        }
      }
    }
  }
}

// Sums of the largest products, of one sign, over the most columns that fit in 32 bits, or as many
// of them as `nm` has weights.
TEST_P(EveryI8Kernel, AddsTheLargestProducts) {
  constexpr int64_t kCols = 65536;
  if (FitRows(spec(), 2, kCols) != 2) return;  // would take 16 GB
  const bool is_nm = spec().id == FormatId::k_nm;
  Tensor w({2, kCols});
  float count = 0.0f;
  for (int64_t c = 0; c < kCols; ++c) {
    if (is_nm && c % spec().bank_cols >= spec().depth) continue;
    w.values[static_cast<size_t>(c)] = 127.0f;
    w.values[static_cast<size_t>(kCols + c)] = -127.0f;
    ++count;
  }
  const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
  PaddedRows x(kCols, 1, 127.0f);
  PaddedRows y(2, 1, kUntouched);
  kernel()(encoded.view(), ArgsOf(&x, {}, &y));
  EXPECT_EQ(y.row(0)[0], 127.0f * 127.0f * count);
  EXPECT_EQ(y.row(0)[1], -127.0f * 127.0f * count);
}

TEST_P(EveryI8Kernel, GivesAFiniteSumForLargeX) {
  ASSERT_NO_FATAL_FAILURE(ExpectFinite(spec(), kernel()));
}

// The scales of the weights and of x would be infinite together, their sum is 0.
TEST_P(EveryI8Kernel, GivesZeroForTheLargestWeightTimesZero) {
  constexpr int64_t kCols = 16;
  Tensor w({FitRows(spec(), 16, kCols), kCols});
  w.values[0] = 3e38f;
  RoundMatrix(WeightType::kI8, kCols, w.values);
  const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
  PaddedRows x(kCols, 1, 0.0f);
  x.row(0)[8] = 1e38f;
  PaddedRows y(static_cast<size_t>(w.dim(0)), 1, kUntouched);
  kernel()(encoded.view(), ArgsOf(&x, {}, &y));
  EXPECT_EQ(y.row(0)[0], 0.0f);
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryI8Kernel,
                         ::testing::Combine(::testing::ValuesIn(AvailableKernels()),
                                            ::testing::ValuesIn(I8Formats())),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)->target) + "_" +
                                  FormatName(std::get<1>(test.param));
                         });

// Rows and columns without weights, over more than one portion of rows (kernels/compact.h).
class CompactKernel : public EveryKernel {};

TEST_P(CompactKernel, GivesInitToRowsThatAreLeftOut) {
  Rng rng(7);
  Tensor w({500, 70});
  for (size_t r = 3; r < 500; ++r) {
    for (size_t c = 2; c < 70 && r % 3 != 0; c += 2) {
      w.values[r * 70 + c] = static_cast<float>(rng.Normal());
    }
  }
  RoundMatrix(spec().type, 70, w.values);
  const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
  std::vector<float> init(500);
  for (float& value : init) value = static_cast<float>(rng.Normal());
  PaddedRows x = RandomX(70, 3, &rng);
  x.row(2)[1] = kNan;  // in a column without weights
  PaddedRows y(500, 3, kUntouched);
  kernel()(encoded.view(), ArgsOf(&x, init, &y));
  if (spec().type == WeightType::kI8) {
    EXPECT_TRUE(std::all_of(y.row(2), y.row(2) + 500, [](float v) { return std::isnan(v); }));
  } else {
    EXPECT_TRUE(std::all_of(y.row(2), y.row(2) + 500, [](float v) { return std::isfinite(v); }));
  }
  EXPECT_EQ(y.row(0)[0], init[0]);
  EXPECT_EQ(y.row(1)[498], init[498]);
  x.count = 2;
  ExpectProduct(spec().type, w, &x, init, &y);
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, CompactKernel,
    ::testing::Combine(::testing::ValuesIn(AvailableKernels()),
                       ::testing::Values(FormatSpec{FormatId::k_compact},
                                         FormatSpec{FormatId::k_compact, 0, 0, WeightType::kBf16},
                                         FormatSpec{FormatId::k_compact, 0, 0, WeightType::kI8})),
    [](const auto& test) {
      return std::string(std::get<0>(test.param)->target) + "_" +
             FormatName(std::get<1>(test.param));
    });

TEST(KernelTables, IncludeThePortableTargetLast) {
  const std::string last = AvailableKernels().back()->target;
  EXPECT_TRUE(last == "SCALAR" || last == "EMU128") << last;
}

#if defined(__x86_64__)
TEST(KernelTables, IncludeEveryX86TargetThatThisCpuHas) {
  if (__builtin_cpu_supports("sse4.2")) EXPECT_OK(FindKernels("SSE4"));
  if (__builtin_cpu_supports("avx2")) EXPECT_OK(FindKernels("AVX2"));
  if (__builtin_cpu_supports("avxvnni")) EXPECT_OK(FindKernels("AVX2_VNNI"));
}
#endif

#if defined(__aarch64__)
TEST(KernelTables, IncludeNeonWhateverTheCpu) { EXPECT_OK(FindKernels("NEON")); }
#endif

TEST(KernelTables, AreFoundByName) {
  for (const KernelTable* table : AvailableKernels()) {
    EXPECT_EQ(ValueOrDie(FindKernels(table->target)), table);
  }
}

TEST(KernelTables, GiveTheBestForAnEmptyName) {
  EXPECT_EQ(ValueOrDie(FindKernels("")), AvailableKernels().front());
}

TEST(KernelTables, NameThemselvesForAnUnknownTarget) {
  ExpectError(FindKernels("AVX").status(), Code::kInvalidArgument,
              {"'AVX' found", AvailableKernels().back()->target});
}

TEST(KernelTables, FallBackToTheGenericKernel) {
  for (const KernelTable* table : AvailableKernels()) {
    EXPECT_EQ(table->find_matmul({FormatId::k_slot, 4, 4}), MatVecGeneric);
  }
}

}  // namespace
}  // namespace espalier
