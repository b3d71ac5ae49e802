// The bytes of format `slot`, and what it refuses.
#include "formats/slot.h"

#include <gtest/gtest.h>

#include "formats/row_scales.h"
#include "formats/sections.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using testing::ExpectError;
using testing::ValueOrDie;

TEST(SlotFormat, NeedsAsManySlotsAsTheFullestRow) {
  Tensor matrix({8, 16});
  for (size_t col = 0; col < 3; ++col) matrix.values[2 * 16 + col * 5] = 1.0f;
  for (size_t row = 0; row < 8; ++row) matrix.values[row * 16 + row] = 2.0f;
  const EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_slot, 8, 16}, ViewOf(matrix)));
  // Row 2 has columns 0, 5, 10 and 2.
  EXPECT_EQ(StoredCount(encoded.view()), 4u * 8u);
}

TEST(SlotFormat, SpendsFourAndAHalfBytesAWeightOnAMatrixPrunedInSlots) {
  Tensor matrix({64, 128});
  for (size_t row = 0; row < 64; ++row) {
    for (size_t col = 0; col < 128; col += 16) {
      matrix.values[row * 128 + col + (row * 7 + col) % 16] = 1.0f;
    }
  }
  const EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_slot, 16, 16}, ViewOf(matrix)));
  const size_t slots = 4 * 8;
  EXPECT_EQ(StoredCount(encoded.view()), slots * 16);
  EXPECT_EQ(encoded.bytes.size(), 64 + 64 + slots * (16 * 4 + 8 + 2));
}

TEST(SlotFormat, SpendsNoBytesOnIndicesInF28) {
  Tensor matrix({64, 128});
  for (size_t row = 0; row < 64; ++row) {
    for (size_t col = 0; col < 128; col += 8) {
      matrix.values[row * 128 + col + (row * 7 + col) % 8] = 0.1f;
    }
  }
  RoundMatrix(WeightType::kF28, 128, matrix.values);
  const FormatSpec spec = {FormatId::k_slot, 64, 8, WeightType::kF28};
  const EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(matrix)));
  const SlotView view = ViewSlot(encoded.view());
  ASSERT_EQ(view.slots, 16u);
  EXPECT_EQ(encoded.bytes.size(), 64 + 64 + 16 * (64 * 4 + 2));
  for (size_t slot = 0; slot < 16; ++slot) {
    for (size_t row = 0; row < 64; ++row) {
      EXPECT_EQ(view.IndexOf(slot, row), (row * 7 + view.bank_col[slot]) % 8);
    }
  }
}

TEST(SlotFormat, RefusesAColumnThatAWeightOfF28CarriesPastTheLast) {
  Tensor matrix({64, 20});
  matrix.values[17] = 1.0f;  // of the last bank, which has 4 columns
  RoundMatrix(WeightType::kF28, 20, matrix.values);
  EncodedMatrix encoded =
      ValueOrDie(Encode({FormatId::k_slot, 64, 16, WeightType::kF28}, ViewOf(matrix)));
  ASSERT_OK(Validate(encoded.view()));
  const size_t at = static_cast<size_t>(ViewSlot(encoded.view()).values - encoded.bytes.data());
  encoded.bytes[at] = std::byte{4};  // the lowest of a little-endian f32
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"slot.index[0][0]: less than 4 expected, 4 found"});
}

TEST(SlotFormat, RefusesAColumnOfF28ThatIsInAnotherBank) {
  Tensor matrix({64, 16});
  matrix.values[3] = 1.0f;
  RoundMatrix(WeightType::kF28, 16, matrix.values);
  EncodedMatrix encoded =
      ValueOrDie(Encode({FormatId::k_slot, 64, 8, WeightType::kF28}, ViewOf(matrix)));
  const size_t at = static_cast<size_t>(ViewSlot(encoded.view()).values - encoded.bytes.data());
  encoded.bytes[at] = std::byte{11};
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"slot.values[0][0]: last 4 bits 3 expected, 11 found"});
}

// Strips of 8 rows with 1 to 12 weights in each row, of three sections in turn: sorted they would
// all be mixed.
TEST(SlotFormat, KeepsSectionsTogether) {
  for (const FormatSpec& spec :
       {FormatSpec{FormatId::k_slot, 8, 16}, FormatSpec{FormatId::k_slot, 16, 16, WeightType::kF28},
        FormatSpec{FormatId::k_slot, 64, 64, WeightType::kI8, 4}}) {
    const int64_t strip_rows = spec.strip_rows;
    Tensor matrix({12 * strip_rows, 16});
    std::vector<int32_t> sections;
    for (int64_t row = 0; row < matrix.dim(0); ++row) {
      const int64_t strip = row / strip_rows;
      sections.push_back(static_cast<int32_t>(strip % 3));
      for (int64_t col = 0; col <= (strip * 5) % 12; ++col) {
        matrix.values[static_cast<size_t>(row * 16 + col)] = 1.0f;
      }
    }
    RoundMatrix(spec.type, 16, matrix.values);
    const EncodedMatrix encoded = ValueOrDie(EncodeInSections(spec, ViewOf(matrix), sections));
    ASSERT_OK(Validate(encoded.view()));
    std::vector<float> decoded(matrix.size());
    Decode(encoded.view(), decoded.data());
    EXPECT_EQ(decoded, matrix.values);
    size_t last = 0;
    for (int32_t section = 0; section < 3; ++section) {
      for (int64_t row = 0; row < matrix.dim(0); ++row) {
        if (sections[static_cast<size_t>(row)] != section) continue;
        const size_t group = GroupOfRow(encoded.view(), row);
        const size_t groups = RowGroups(encoded.view()) / 3;
        EXPECT_EQ(group / groups, static_cast<size_t>(section));
        last = std::max(last, group);
      }
    }
    EXPECT_EQ(last, RowGroups(encoded.view()) - 1);
    EXPECT_EQ(EncodeInSections(spec, ViewOf(matrix), {})->bytes.size(),
              Encode(spec, ViewOf(matrix))->bytes.size());
  }
}

constexpr FormatSpec kWideSlot = {FormatId::k_slot, 64, 16};
constexpr FormatSpec kWideI8 = {FormatId::k_slot, 64, 64, WeightType::kI8, 4};

TEST(SlotFormat, SpendsAsManyBytesInWideStripsAndPadsNoStripToAnother) {
  Tensor matrix({128, 32});
  for (size_t row = 0; row < 128; ++row) matrix.values[row * 32 + row % 16] = 1.0f;
  matrix.values[100 * 32 + 17] = 2.0f;  // a second slot of the second strip
  const EncodedMatrix encoded = ValueOrDie(Encode(kWideSlot, ViewOf(matrix)));
  const SlotView view = ViewSlot(encoded.view());
  EXPECT_EQ(view.groups, 2u);
  EXPECT_EQ(view.strip[0], 0u);  // in the order of their rows, though the second is longer
  EXPECT_EQ(view.slots, 3u);
  EXPECT_EQ(encoded.bytes.size(), 64 + 64 + 3 * 64 * 4 + RoundUp(size_t{3 * 32}, 64) + 3 * 2);
}

TEST(SlotFormat, PutsTwoPartsOfAWideStripSideBySideInBf16) {
  Tensor matrix({64, 16});
  for (size_t row = 0; row < 64; ++row) matrix.values[row * 16] = static_cast<float>(1 + row);
  const FormatSpec spec = {FormatId::k_slot, 64, 16, WeightType::kBf16};
  const EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(matrix)));
  const SlotView view = ViewSlot(encoded.view());
  ASSERT_EQ(view.slots, 1u);
  for (size_t place = 0; place < 64; ++place) {
    const size_t row = place / 32 * 32 + place % 2 * 16 + place % 32 / 2;
    EXPECT_EQ(LoadWeight(view.values, WeightType::kBf16, place), static_cast<float>(1 + row));
    EXPECT_EQ(view.WeightOf(0, row), static_cast<float>(1 + row));
  }
}

TEST(SlotFormat, PutsTheIndicesOfFourPartsOfAWideStripInAWord) {
  Tensor matrix({64, 16});
  for (size_t row = 0; row < 64; ++row) matrix.values[row * 16 + (row * 5 + row / 16) % 16] = 1.0f;
  const EncodedMatrix encoded = ValueOrDie(Encode(kWideSlot, ViewOf(matrix)));
  const SlotView view = ViewSlot(encoded.view());
  ASSERT_EQ(view.slots, 1u);
  for (size_t lane = 0; lane < 16; ++lane) {
    const unsigned word = view.index[2 * lane] | view.index[2 * lane + 1] << 8;
    for (size_t part = 0; part < 4; ++part) {
      const size_t row = part * 16 + lane;
      EXPECT_EQ(word >> (4 * part) & 15, (row * 5 + part) % 16) << "row " << row;
      EXPECT_EQ(view.IndexOf(0, row), (row * 5 + part) % 16) << "row " << row;
    }
  }
}

TEST(SlotFormat, PutsTheLastSixtyFourIndicesOfSixBitsAboveTheOthers) {
  Tensor matrix({64, 64});
  for (size_t row = 0; row < 64; ++row) {
    for (size_t j = 0; j < 4; ++j) matrix.values[row * 64 + j * 16 + row % 16] = 1.0f;
  }
  RoundMatrix(WeightType::kI8, 64, matrix.values);
  const EncodedMatrix encoded = ValueOrDie(Encode(kWideI8, ViewOf(matrix)));
  const SlotView view = ViewSlot(BodyOf(encoded.view()));
  ASSERT_EQ(view.slots, 1u);
  for (size_t lane = 0; lane < 256; ++lane) {
    EXPECT_EQ(view.IndexOf(0, lane), lane % 4 * 16 + lane / 4 % 16) << "lane " << lane;
  }
  // Lane 255: row 63's last weight, column 63. Two bits each in bytes 63, 127 and 191.
  EXPECT_EQ(view.index[63] >> 6, 3);
  EXPECT_EQ(view.index[127] >> 6, 3);
  EXPECT_EQ(view.index[191] >> 6, 3);
  EXPECT_EQ(view.index[60] >> 6, 3);  // lane 252: column 15, 0b001111
  EXPECT_EQ(view.index[188] >> 6, 0);
}

TEST(SlotFormat, RefusesAnIndexOfAWideStripPastTheLastRaggedBank) {
  Tensor matrix({64, 20});
  for (size_t row = 0; row < 64; ++row) matrix.values[row * 20 + 19] = 1.0f;
  EncodedMatrix encoded = ValueOrDie(Encode(kWideSlot, ViewOf(matrix)));
  const SlotView view = ViewSlot(encoded.view());
  const auto offset = reinterpret_cast<const std::byte*>(view.index) - encoded.bytes.data();
  encoded.bytes[static_cast<size_t>(offset) + 11] = std::byte{0x43};  // row 5 of the last part: 4
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"slot.index[0][53]", "less than 4 expected, 4 found"});
}

// A file could store such a row as often as it likes, so that its sums pass 32 bits.
TEST(SlotFormat, RefusesAWeightOfARowPastTheLast) {
  for (const FormatSpec& spec : {FormatSpec{FormatId::k_slot, 16, 64, WeightType::kI8, 4}, kWideI8,
                                 FormatSpec{FormatId::k_slot, 8, 16}}) {
    Tensor matrix({67, 64});  // the last of several strips, which is not the longest
    std::fill_n(matrix.values.begin() + 3 * 64, 8, 127.0f);
    matrix.values[66 * 64] = 127.0f;
    EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(matrix)));
    ASSERT_OK(Validate(encoded.view()));
    const SlotView view = ViewSlot(BodyOf(encoded.view()));
    const auto place =
        std::find(view.strip, view.strip + view.strips, view.strips - 1) - view.strip;
    const size_t group = static_cast<size_t>(place) / view.group_strips();
    const size_t slot = view.group_start[group] * view.group_strips() +
                        static_cast<size_t>(place) % view.group_strips();
    const size_t number = (slot + 1) * view.lanes() - 1;  // the last row's last weight
    const auto offset = view.values - encoded.bytes.data();
    StoreWeight(5.0f, encoded.bytes.data() + offset, view.type, number);
    ExpectError(Validate(encoded.view()), Code::kBadFormat,
                {"slot.values[" + std::to_string(slot) + "]", "0 past the last row expected, 5"});
  }
}

TEST(SlotFormat, RefusesAnIndexPastTheLastRaggedBank) {
  Tensor matrix({8, 20});
  for (size_t row = 0; row < 8; ++row) matrix.values[row * 20 + 19] = 1.0f;
  EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_slot, 8, 16}, ViewOf(matrix)));
  const SlotView view = ViewSlot(encoded.view());
  ASSERT_EQ(view.IndexOf(0, 5), 3u);
  const auto offset = reinterpret_cast<const std::byte*>(view.index) - encoded.bytes.data();
  encoded.bytes[static_cast<size_t>(offset) + 2] = std::byte{0x43};  // row 5 of the strip: 4
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"slot.index[0][5]", "less than 4 expected, 4 found"});
}

}  // namespace
}  // namespace espalier
