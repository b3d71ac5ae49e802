// add_columns, send_changes and stand_in on every target, against plain loops.
#include <cmath>
#include <limits>

#include "formats/format.h"
#include "kernels/kernels.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

class DeltaKernels : public ::testing::TestWithParam<const KernelTable*> {};
INSTANTIATE_TEST_SUITE_P(Targets, DeltaKernels, ::testing::ValuesIn(AvailableKernels()),
                         [](const auto& test) { return std::string(test.param->target); });

TEST_P(DeltaKernels, AddTheColumnsThatAreListed) {
  Rng rng(1);
  for (const char* format :
       {"columns_8x1", "columns_16x1", "columns_8x1_bf16", "columns_16x1_bf16"}) {
    const FormatSpec spec = ValueOrDie(FindFormat(format));
    // 130 rows of 150 columns have more runs than are listed at once, and one column more than 16;
    // of 600 rows columns have so many that none is listed.
    for (const int64_t rows : {1, 7, 8, 15, 16, 17, 40, 130, 131, 600}) {
      const bool has_many = rows == 130;
      const int64_t cols = has_many ? 150 : 1 + static_cast<int64_t>(rng.Below(30));
      std::vector<float> weights(static_cast<size_t>(rows * cols));
      for (float& weight : weights) {
        // Whole numbers, so that any order of sums is exact.
        if (rng.Below(4) == 0) weight = static_cast<float>(rng.Below(9)) - 4.0f;
      }
      for (int64_t row = 0; has_many && row < rows; ++row) {
        weights[static_cast<size_t>(row * cols + 70)] = 1.0f;
      }
      const EncodedMatrix matrix = ValueOrDie(Encode(spec, {weights.data(), rows, cols}));
      std::vector<int32_t> listed;
      std::vector<float> d;
      std::vector<float> y(static_cast<size_t>(rows) + 64), expected;
      for (float& value : y) value = static_cast<float>(rng.Below(9));
      expected = y;
      for (int32_t col = 0; col < cols; ++col) {
        if (!has_many && rng.Below(3) != 0) continue;
        listed.push_back(col);
        d.push_back(static_cast<float>(rng.Below(7)) - 3.0f);
        for (int64_t row = 0; row < rows; ++row) {
          expected[static_cast<size_t>(row)] +=
              weights[static_cast<size_t>(row * cols + col)] * d.back();
        }
      }
      const AddColumnsFn add = GetParam()->find_add_columns(spec);
      const size_t done = add(matrix.view(), {listed.data(), d.data(), listed.size(), y.data()});
      EXPECT_EQ(y, expected) << format << " " << rows;
      EXPECT_LE(done, StoredCount(matrix.view()));
      if (has_many) {
        EXPECT_GT(done, 512u * static_cast<size_t>(spec.strip_rows)) << format;
      }
    }
  }
  EXPECT_EQ(GetParam()->find_add_columns(FormatSpec()), nullptr);
}

TEST_P(DeltaKernels, SendWhatHasChanged) {
  Rng rng(2);
  for (const size_t bank : {1, 2, 3, 8, 100}) {
    for (const size_t size : {1, 5, 16, 17, 40, 100}) {
      for (const float threshold : {0.0f, 0.5f, 2.0f, 9.0f}) {
        std::vector<float> values(size), sent(size);
        for (size_t i = 0; i < size; ++i) {
          values[i] = static_cast<float>(rng.Below(9)) / 2.0f;
          sent[i] = static_cast<float>(rng.Below(9)) / 2.0f;
        }
        if (size > 4) values[4] = std::numeric_limits<float>::quiet_NaN();
        constexpr size_t kPadding = kPaddingBytes / sizeof(float);  // none of it is due
        values.resize(size + kPadding, 9.0f);
        sent.resize(size + kPadding, -9.0f);
        std::vector<float> expected_sent = sent, expected_d;
        std::vector<int32_t> expected_cols;
        for (size_t first = 0; first < size; first += bank) {
          const size_t end = std::min(size, first + bank);
          bool is_due = false;
          for (size_t i = first; i < end; ++i) {
            is_due |= !(std::abs(values[i] - sent[i]) < threshold);
          }
          for (size_t i = first; i < end && is_due; ++i) {
            expected_cols.push_back(static_cast<int32_t>(i));
            expected_d.push_back(values[i] - sent[i]);
            expected_sent[i] = values[i];
          }
        }
        for (const size_t most :
             {size, expected_cols.size(), expected_cols.size() / 2, size_t{0}}) {
          std::vector<float> found_sent = sent;
          std::vector<int32_t> cols(size + 16);
          std::vector<float> d(size + 16);
          const size_t count =
              GetParam()->send_changes({values.data(), found_sent.data(), size, threshold, bank,
                                        most, cols.data(), d.data()});
          EXPECT_EQ(count, expected_cols.size()) << bank << " " << size << " " << threshold;
          for (size_t i = 0; i < size + kPadding; ++i) {
            EXPECT_TRUE(found_sent[i] == expected_sent[i] || (std::isnan(found_sent[i]) && i == 4));
          }
          if (count > most) continue;  // which they are need not be told
          cols.resize(count);
          EXPECT_EQ(cols, expected_cols) << bank << " " << size << " " << threshold;
          for (size_t i = 0; i < count; ++i) {
            EXPECT_TRUE(d[i] == expected_d[i] || (std::isnan(d[i]) && std::isnan(expected_d[i])));
          }
        }
      }
    }
  }
}

// Sizes with and without a rest, values at, above and below the limit, and NaN.
TEST_P(DeltaKernels, StandsInWhereASumIsBeyondTheLimit) {
  Rng rng(6);
  const float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const size_t size : {size_t{1}, size_t{7}, size_t{16}, size_t{37}}) {
    for (const bool has_b : {false, true}) {
      for (const float sign : {1.0f, -1.0f}) {
        std::vector<float> a(size), b(size), ax(size, 3.0f), ah(size, 5.0f);
        for (float& value : a) value = rng.Uniform(-2.0f, 2.0f);
        for (float& value : b) value = rng.Uniform(-2.0f, 2.0f);
        a[size / 2] = has_b ? sign * 1.25f - b[size / 2] : 1.25f;  // the limit, or next to it
        if (size > 3) a[3] = kNan;
        std::vector<float> expected_ax = ax, expected_ah = ah;
        size_t expected = 0;
        for (size_t k = 0; k < size; ++k) {
          const float sum = has_b ? (a[k] + b[k]) * sign : std::abs(a[k]);
          if (!(sum > 1.25f)) continue;
          expected_ax[k] = has_b ? 0.0f : a[k];
          expected_ah[k] = 0.0f;
          ++expected;
        }
        std::vector<uint8_t> due(size + 8, 0), expected_due = due;
        due[0] = expected_due[0] = 1;
        for (size_t k = 0; k < size; ++k) {
          const bool is_out = expected_ah[k] == 0.0f;
          if (!is_out) expected_due[k] = 1;
        }
        const size_t count =
            GetParam()->stand_in({a.data(), has_b ? b.data() : nullptr, sign, 1.25f, ax.data(),
                                  ah.data(), size, size == 7 ? nullptr : due.data()});
        EXPECT_EQ(count, expected);
        EXPECT_EQ(ax, expected_ax);
        EXPECT_EQ(ah, expected_ah);
        if (size != 7) {
          EXPECT_EQ(due, expected_due);
        }
      }
    }
  }
}

}  // namespace
}  // namespace espalier
