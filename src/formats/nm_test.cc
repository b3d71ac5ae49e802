// The bytes of format `nm`, and what it refuses.
#include "formats/nm.h"

#include <gtest/gtest.h>

#include "formats/row_scales.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using testing::ExpectError;
using testing::ValueOrDie;

constexpr FormatSpec kTwoOfFour = {FormatId::k_nm, 16, 4, WeightType::kF32, 2};

TEST(NmFormat, SpendsFourAndAQuarterBytesAWeightOnTwoOfFour) {
  const EncodedMatrix encoded = ValueOrDie(Encode(kTwoOfFour, ViewOf(Tensor({32, 64}))));
  EXPECT_EQ(StoredCount(encoded.view()), 32u * 64u / 2u);
  EXPECT_EQ(encoded.bytes.size(), 32u * 64u / 2u * 17u / 4u);
}

TEST(NmFormat, RefusesAThirdWeightInABankAndNamesIt) {
  Tensor matrix({20, 18});
  float* row = matrix.values.data() + 19 * 18;
  row[12] = row[15] = row[16] = row[17] = 1.0f;
  EXPECT_OK(Encode(kTwoOfFour, ViewOf(matrix)));
  row[13] = 1.0f;
  ExpectError(Encode(kTwoOfFour, ViewOf(matrix)).status(), Code::kUnsupported,
              {"nm_16x4x2", "at most 2 weights", "row 19", "columns 12 to 15"});
}

TEST(NmFormat, RefusesASecondWeightWhereOneStaysAndAFifthWhereFourDo) {
  Tensor matrix({2, 16});
  for (const size_t col : {1, 4, 6, 7}) matrix.values[16 + col] = 1.0f;
  EXPECT_OK(Encode({FormatId::k_nm, 16, 8, WeightType::kF32, 4}, ViewOf(matrix)));
  ExpectError(Encode({FormatId::k_nm, 16, 8, WeightType::kI8, 1}, ViewOf(matrix)).status(),
              Code::kUnsupported,
              {"nm_16x8_i8", "at most 1 weight can be stored of row 1 in columns 0 to 7"});
  matrix.values[16] = 1.0f;
  ExpectError(Encode({FormatId::k_nm, 16, 16, WeightType::kF32, 4}, ViewOf(matrix)).status(),
              Code::kUnsupported,
              {"nm_16x16x4", "at most 4 weights can be stored of row 1 in columns 0 to 15"});
}

TEST(NmFormat, SpellsOneOfAsNoDepth) {
  EXPECT_EQ(ValueOrDie(FindFormat("nm_16x8")), (FormatSpec{FormatId::k_nm, 16, 8}));
  EXPECT_EQ(ValueOrDie(FindFormat("nm_16x16x4_bf16")),
            (FormatSpec{FormatId::k_nm, 16, 16, WeightType::kBf16, 4}));
}

TEST(NmFormat, PadsWithTheColumnOfTheLastWeight) {
  Tensor matrix({16, 8});
  matrix.values[3 * 8 + 6] = 5.0f;
  const EncodedMatrix encoded = ValueOrDie(Encode(kTwoOfFour, ViewOf(matrix)));
  const NmView view = ViewNm(encoded.view());
  ASSERT_EQ(view.slots(), 4u);
  EXPECT_EQ(view.IndexOf(2, 3), 2u);
  EXPECT_EQ(view.IndexOf(3, 3), 2u);
  EXPECT_EQ(LoadWeight(view.values, view.type, 2 * 16 + 3), 5.0f);
  EXPECT_EQ(LoadWeight(view.values, view.type, 3 * 16 + 3), 0.0f);
  EXPECT_EQ(view.IndexOf(2, 4), 0u);
}

TEST(NmFormat, RefusesAnIndexPastTheLastRaggedBank) {
  EncodedMatrix encoded = ValueOrDie(Encode(kTwoOfFour, ViewOf(Tensor({16, 6}))));
  encoded.bytes[encoded.bytes.size() - 3] = std::byte{0x20};  // slot 3, lane 6: 2
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"nm.index[3][6]", "less than 2 expected, 2 found"});
}

constexpr FormatSpec kTwoOfFourI8 = {FormatId::k_nm, 16, 4, WeightType::kI8, 2};

TEST(NmFormat, SpendsAByteAndAQuarterAWeightOnTwoOfFourInI8) {
  const EncodedMatrix encoded = ValueOrDie(Encode(kTwoOfFourI8, ViewOf(Tensor({32, 64}))));
  EXPECT_EQ(StoredCount(encoded.view()), 32u * 64u / 2u);
  EXPECT_EQ(BodyOf(encoded.view()).bytes.size(), 32u * 64u / 2u * 5u / 4u);
}

TEST(NmFormat, PutsTheFourWeightsOfTwoBanksSideBySideInI8) {
  Tensor matrix({16, 8});
  const std::array<float, 4> weights = {10.0f, 127.0f, -20.0f, 30.0f};
  const std::array<uint8_t, 4> index = {1, 3, 2, 3};
  for (size_t i = 0; i < 4; ++i) matrix.values[5 * 8 + i / 2 * 4 + index[i]] = weights[i];
  const EncodedMatrix encoded = ValueOrDie(Encode(kTwoOfFourI8, ViewOf(matrix)));
  const NmView view = ViewNm(BodyOf(encoded.view()));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(LoadWeight(view.values, view.type, 5 * 4 + i), weights[i]);
    // Numbers 20 to 23: bits 2 and 3 of bytes 4 to 7.
    EXPECT_EQ(view.index[4 + i], index[i] << 2);
  }
}

TEST(NmFormat, PutsTheFourWeightsOfFourBanksOrOfOneSideBySideInI8) {
  for (const int32_t n : {1, 4}) {
    Tensor matrix({16, n == 1 ? 32 : 8});
    const std::array<float, 4> weights = {10.0f, 127.0f, -20.0f, 30.0f};
    const std::array<uint8_t, 4> index = {1, 3, 4, 7};
    for (size_t i = 0; i < 4; ++i) {
      const size_t col = index[i] + (n == 1 ? 8 * i : 0);
      matrix.values[5 * static_cast<size_t>(matrix.shape[1]) + col] = weights[i];
    }
    const EncodedMatrix encoded =
        ValueOrDie(Encode({FormatId::k_nm, 16, 8, WeightType::kI8, n}, ViewOf(matrix)));
    const NmView view = ViewNm(BodyOf(encoded.view()));
    ASSERT_EQ(view.slots(), 4u);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(LoadWeight(view.values, view.type, 5 * 4 + i), weights[i]);
      EXPECT_EQ(view.index[20 + i], index[i]);  // numbers 20 to 23: the low bits of those bytes
    }
  }
}

TEST(NmFormat, RefusesAnIndexPastTheLastRaggedBankInI8) {
  EncodedMatrix encoded = ValueOrDie(Encode(kTwoOfFourI8, ViewOf(Tensor({16, 6}))));
  encoded.bytes[encoded.bytes.size() - 16 + 7] = std::byte{0x80};  // number 55: slot 3, lane 13
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"nm.index[3][13]", "less than 2 expected, 2 found"});
}

TEST(NmFormat, RefusesAWeightInABankPastTheLast) {
  EncodedMatrix encoded = ValueOrDie(Encode(kTwoOfFourI8, ViewOf(Tensor({16, 4}))));
  ASSERT_EQ(ViewNm(BodyOf(encoded.view())).banks, 2u);
  encoded.bytes[RowScalesBytes(16) + 4 * 9 + 2] = std::byte{5};
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"nm.values[2][9]: 0 past the last column expected, 5 found"});
}

TEST(NmFormat, RefusesAWeightOfARowPastTheLast) {
  EncodedMatrix encoded = ValueOrDie(Encode(kTwoOfFourI8, ViewOf(Tensor({18, 8}))));
  encoded.bytes[RowScalesBytes(18) + 4 * 16 + 4 * 2 + 1] = std::byte{5};  // row 2 of strip 1
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"nm.values[5][2]: 0 past the last row expected, 5 found"});
}

}  // namespace
}  // namespace espalier
