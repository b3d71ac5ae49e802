#include "formats/weight_type.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  const auto round = [](float value) {
    RoundMatrix(WeightType::kBf16, 1, {&value, 1});
    return value;
  };
  EXPECT_EQ(round(1.0f), 1.0f);
  EXPECT_EQ(round(0x1.01p0f), 0x1.00p0f);        // a tie: down to even
  EXPECT_EQ(round(0x1.03p0f), 0x1.04p0f);        // a tie: up to even
  EXPECT_EQ(round(-0x1.010002p0f), -0x1.02p0f);  // more than half
  EXPECT_EQ(round(3.4028235e38f), 0x1.fep127f);  // not infinity
  EXPECT_EQ(round(1e-45f), 0.0f);
  EXPECT_TRUE(HoldsRow(WeightType::kBf16, std::vector<float>{1.0f, round(0.1f)}));
  EXPECT_FALSE(HoldsRow(WeightType::kBf16, std::vector<float>{1.0f, 0.1f}));
}

std::vector<float> RoundedRow(std::vector<float> row) {
  RoundMatrix(WeightType::kI8, static_cast<int64_t>(row.size()), row);
  return row;
}

TEST(I8, RoundsToMultiplesOfTheScaleOfTheRow) {
  const std::vector<float> row = RoundedRow({127.0f, -63.5f, 0.4f, 1.5f, -2.5f, 0.0f});
  EXPECT_EQ(row, (std::vector<float>{127.0f, -64.0f, 0.0f, 2.0f, -2.0f, 0.0f}));
  EXPECT_EQ(RowScale(row), 1.0f);
}

TEST(I8, RoundsRowsOnTheirOwn) {
  std::vector<float> rows = {127.0f, 0.6f, 12.7f, 0.6f};
  RoundMatrix(WeightType::kI8, 2, rows);
  EXPECT_EQ(rows[1], 1.0f);
  EXPECT_NEAR(rows[3], 0.6f, 1e-4f);
}

TEST(I8, RoundsAgainToTheSame) {
  Rng rng(11);
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> row(9);
    const double size = std::exp(rng.Normal() * 20.0);
    for (float& value : row) value = static_cast<float>(rng.Normal() * size);
    const std::vector<float> once = RoundedRow(row);
    const float scale = RowScale(once);
    ASSERT_EQ(RoundedRow(once), once);
    ASSERT_TRUE(HoldsRow(WeightType::kI8, once));
    for (size_t k = 0; k < row.size(); ++k) {
      ASSERT_LE(std::abs(once[k] - row[k]), 0.5001f * scale + 0x1p-119f) << k;
      ASSERT_EQ(once[k] / scale * scale, once[k]);
    }
  }
}

TEST(I8, MakesTheLargestOfWhatIsLarger) {
  const std::vector<float> large = {3.4028235e38f, -3.4028235e38f, 0x1p96f};
  EXPECT_FALSE(HoldsRow(WeightType::kI8, large));
  const std::vector<float> row = RoundedRow(large);
  EXPECT_EQ(row, (std::vector<float>{127 * kMostRowScale, -127 * kMostRowScale, 0x1p96f}));
  EXPECT_TRUE(HoldsRow(WeightType::kI8, row));
}

TEST(I8, MakesZerosOfARowThatIsTooSmall) {
  EXPECT_EQ(RoundedRow({1e-37f, -1e-38f}), (std::vector<float>{0.0f, 0.0f}));
  EXPECT_EQ(RowScale(std::vector<float>{0.0f, 0.0f}), 0.0f);
}

TEST(I8, DoesNotHoldWhatIsNotOnTheGrid) {
  EXPECT_FALSE(HoldsRow(WeightType::kI8, std::vector<float>{127.0f, 0.5f}));
}

TEST(F28, RoundsToTheNearestThatCarriesTheColumn) {
  const auto bits_of = [](float value) { return std::bit_cast<uint32_t>(value); };
  for (uint32_t last = 0; last < 16; ++last) {
    const float value = std::bit_cast<float>(bits_of(1.5f) | last);
    std::vector<float> row(40, value);
    row[33] = -value;
    RoundMatrix(WeightType::kF28, 40, row);
    for (uint32_t col = 0; col < 40; ++col) {
      EXPECT_EQ(F28Column(row[col]), col % 16);
      const auto moved = static_cast<int32_t>(bits_of(row[col]) & 0x7fffffffu) -
                         static_cast<int32_t>(bits_of(value));
      EXPECT_LE(std::abs(moved), 8) << last << " in column " << col;
      EXPECT_NE(moved, 8) << "of two equally near, the one nearer to 0";
      EXPECT_LE(std::abs(std::abs(row[col]) - value), 0x1p-20f * value);
    }
    EXPECT_LT(row[33], 0.0f);
    EXPECT_TRUE(HoldsRow(WeightType::kF28, row));
    std::vector<float> again = row;
    RoundMatrix(WeightType::kF28, 40, again);
    EXPECT_EQ(again, row);
    std::swap(row[3], row[4]);
    EXPECT_FALSE(HoldsRow(WeightType::kF28, row));
  }
}

TEST(F28, KeepsZerosAndStaysBetweenTheSmallestAndTheLargest) {
  // Columns 15 and 31 carry 15, column 16 carries 0.
  std::vector<float> rows(2 * 32);
  rows[15] = 0x1p-126f;         // 15 less would be below the smallest
  rows[16] = -0x1.fffffep127f;  // 1 more would be infinite
  rows[20] = 1e-39f;            // below the smallest
  rows[32 + 31] = 0x1.fffffep127f;
  rows[32 + 8] = -0.0f;
  RoundMatrix(WeightType::kF28, 32, rows);
  EXPECT_EQ(std::bit_cast<uint32_t>(rows[15]), 0x0080000fu);
  EXPECT_EQ(std::bit_cast<uint32_t>(rows[16]), 0xff7ffff0u);
  EXPECT_EQ(std::bit_cast<uint32_t>(rows[20]), 0u);
  EXPECT_EQ(std::bit_cast<uint32_t>(rows[32 + 31]), 0x7f7fffffu);
  EXPECT_EQ(rows[32 + 8], 0.0f);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), 0.0f), 61);
  EXPECT_TRUE(HoldsRow(WeightType::kF28, rows));
  EXPECT_FALSE(HoldsRow(WeightType::kF28, std::vector<float>{1e-39f}));
}

TEST(WeightType, IsFoundByItsName) {
  for (const WeightType type :
       {WeightType::kF32, WeightType::kBf16, WeightType::kI8, WeightType::kF28}) {
    EXPECT_EQ(ValueOrDie(ParseWeightType(WeightTypeName(type))), type);
  }
  ExpectError(ParseWeightType("bf15").status(), Code::kInvalidArgument, {"did you mean 'bf16'"});
}

}  // namespace
}  // namespace espalier
