// What kernels over format `rows` promise beside the contract suite (matmul_test.cc), since
// sessions leave out single rows: the bits of a row hang on nothing but that row and x.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/matmul_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

Tensor RandomMatrix(int64_t rows, int64_t cols, const FormatSpec& spec, Rng* rng) {
  Tensor tensor({rows, cols});
  for (float& value : tensor.values) value = static_cast<float>(rng->Normal());
  RoundMatrix(spec.type, cols, tensor.values);
  return tensor;
}

using Case = std::tuple<const KernelTable*, FormatSpec>;

class RowsKernel : public ::testing::TestWithParam<Case> {
 protected:
  MatMulFn kernel() const { return std::get<0>(GetParam())->find_matmul(spec()); }
  FormatSpec spec() const { return std::get<1>(GetParam()); }
  // Columns about whole vectors and whole rounds of 4 of them, on every target.
  static std::vector<int64_t> Columns() {
    return {1, 3, 4, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 100, 127, 128, 129, 1000, 1030};
  }
};

// Every row of every x, alone and in any run of rows, is to the bit what it is in the whole product
// with all x.
TEST_P(RowsKernel, GivesARowTheSameBitsAloneAsAmongOthers) {
  constexpr size_t kRows = 7;
  constexpr size_t kCount = 8;
  Rng rng(12);
  for (const int64_t cols : Columns()) {
    const Tensor w = RandomMatrix(kRows, cols, spec(), &rng);
    const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
    std::vector<float> init(kRows);
    for (float& value : init) value = static_cast<float>(rng.Normal());
    PaddedRows x = RandomX(static_cast<size_t>(cols), kCount, &rng);
    PaddedRows whole(kRows, kCount, kUntouched);
    kernel()(encoded.view(), ArgsOf(&x, init, &whole));
    for (size_t count = 1; count <= kCount; ++count) {
      for (size_t first = 0; first < kRows; ++first) {
        for (size_t end = first + 1; end <= kRows; ++end) {
          PaddedRows part(kRows, kCount, kUntouched);
          MatMulArgs args = ArgsOf(&x, init, &part);
          const size_t from = kCount - count;  // the last x: never where the whole began
          args.x = x.row(from);
          args.y = part.row(from);
          args.count = count;
          args.first_group = first;
          args.end_group = end;
          kernel()(encoded.view(), args);
          for (size_t n = 0; n < kCount; ++n) {
            for (size_t r = 0; r < part.stride; ++r) {
              const bool is_due = n >= from && r >= first && r < end;
              ASSERT_EQ(part.row(n)[r], is_due ? whole.row(n)[r] : kUntouched)
                  << cols << " columns, rows [" << first << ", " << end << "), " << count
                  << " of x, row " << r << " of x " << n;
            }
          }
        }
      }
    }
  }
}

// Of any set of rows, in a range: to the bit as all, and the others are not written.
TEST_P(RowsKernel, MultipliesTheRowsThatAreDue) {
  constexpr size_t kRows = 7;
  constexpr size_t kCount = 4;
  Rng rng(14);
  const Tensor w = RandomMatrix(kRows, 100, spec(), &rng);
  const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
  PaddedRows x = RandomX(100, kCount, &rng);
  PaddedRows whole(kRows, kCount, kUntouched);
  kernel()(encoded.view(), ArgsOf(&x, {}, &whole));
  for (unsigned set = 0; set < 1u << kRows; ++set) {
    uint8_t due[kRows];
    for (size_t r = 0; r < kRows; ++r) due[r] = static_cast<uint8_t>(set >> r & 1);
    for (const size_t count : {size_t{1}, kCount}) {
      for (const size_t first : {0, 2}) {
        const size_t end = first + 5;
        PaddedRows y(kRows, kCount, kUntouched);
        MatMulArgs args = ArgsOf(&x, {}, &y);
        args.count = count;
        args.first_group = first;
        args.end_group = end;
        args.due = due;
        kernel()(encoded.view(), args);
        for (size_t n = 0; n < kCount; ++n) {
          for (size_t r = 0; r < y.stride; ++r) {
            const bool is_due = n < count && r >= first && r < end && due[r] != 0;
            ASSERT_EQ(y.row(n)[r], is_due ? whole.row(n)[r] : kUntouched)
                << "set " << set << ", row " << r << " of x " << n;
          }
        }
      }
    }
  }
}

// What follows x changes no bit; the last column of x, beside it, counts.
TEST_P(RowsKernel, LetsNothingInFromPastTheLastColumn) {
  Rng rng(13);
  for (const int64_t cols : Columns()) {
    const auto width = static_cast<size_t>(cols);
    const Tensor w = RandomMatrix(5, cols, spec(), &rng);
    const EncodedMatrix encoded = ValueOrDie(Encode(spec(), ViewOf(w)));
    for (const size_t count : {1, 4}) {
      PaddedRows x = RandomX(width, count, &rng);
      PaddedRows expected(5, count, kUntouched);
      for (size_t n = 0; n < count; ++n) std::fill_n(x.row(n) + width, kPad, 0.0f);
      kernel()(encoded.view(), ArgsOf(&x, {}, &expected));
      for (const float past : {kNan, kInf, -kInf, 1.0f}) {
        for (size_t n = 0; n < count; ++n) std::fill_n(x.row(n) + width, kPad, past);
        PaddedRows y(5, count, kUntouched);
        kernel()(encoded.view(), ArgsOf(&x, {}, &y));
        ASSERT_EQ(y.values, expected.values) << cols << " columns, " << past << " past them";
      }
      for (const float last : {kInf, kNan}) {
        x.row(count - 1)[width - 1] = last;
        PaddedRows y(5, count, kUntouched);
        kernel()(encoded.view(), ArgsOf(&x, {}, &y));
        for (size_t r = 0; r < 5; ++r) {
          const float found = y.row(count - 1)[r];
          const float weight = w.values[r * width + width - 1];
          ASSERT_TRUE(std::isnan(last) ? std::isnan(found) : found == weight * kInf)
              << cols << " columns, " << last << " in the last: " << found << " in row " << r;
          if (count > 1) {
            ASSERT_EQ(y.row(0)[r], expected.row(0)[r]);
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, RowsKernel,
                         ::testing::Combine(::testing::ValuesIn(AvailableKernels()),
                                            ::testing::Values(FormatSpec{FormatId::k_rows},
                                                              FormatSpec{FormatId::k_rows, 0, 0,
                                                                         WeightType::kBf16})),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)->target) + "_" +
                                  FormatName(std::get<1>(test.param));
                         });

}  // namespace
}  // namespace espalier
