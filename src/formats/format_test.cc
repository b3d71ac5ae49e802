// The contract suite of the formats: every format and tile of formats.inc passes it.
#include "formats/format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "formats/blocked.h"
#include "formats/compact.h"
#include "formats/diagonal.h"
#include "formats/fit.h"
#include "formats/format_ops.h"
#include "formats/row_scales.h"
#include "formats/rows.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using testing::ExpectError;
using testing::ValueOrDie;

// One that the format can store, of about so many rows.
Tensor RandomMatrix(int64_t rows, int64_t cols, double density, const FormatSpec& spec, Rng* rng) {
  Tensor tensor({FitRows(spec, rows, cols), cols});
  for (float& value : tensor.values) {
    if (rng->Uniform() < density) value = static_cast<float>(rng->Normal());
  }
  FitMatrix(spec, cols, tensor.values);
  return tensor;
}

// Bytes of exactly this size on the heap, so that a sanitizer sees a read past the end.
class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> bytes)
      : data_(static_cast<std::byte*>(
            ::operator new(std::max<size_t>(bytes.size(), 1), std::align_val_t(64)))),
        size_(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), data_);
  }
  ~Bytes() { ::operator delete(data_, std::align_val_t(64)); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;

  std::span<std::byte> span() { return {data_, size_}; }

 private:
  std::byte* data_;
  size_t size_;
};

// If Validate lets the bytes pass, everything that relies on it must stay in bounds.
void UseIfValid(const EncodedView& view, size_t* refused) {
  if (!Validate(view).ok()) {
    ++*refused;
    return;
  }
  std::vector<float> dense(static_cast<size_t>(view.rows * view.cols));
  Decode(view, dense.data());
  EXPECT_LE(StoredCount(view) * SizeOf(view.spec.type), view.bytes.size());
}

class EveryFormat : public ::testing::TestWithParam<FormatSpec> {};

TEST_P(EveryFormat, IsFoundByItsName) {
  EXPECT_EQ(ValueOrDie(FindFormat(FormatName(GetParam()))), GetParam());
}

TEST_P(EveryFormat, RoundTripsRaggedShapes) {
  Rng rng(1);
  for (const int64_t rows : {1, 7, 8, 9, 15, 16, 17, 31, 64, 97}) {
    for (const int64_t cols : {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 101}) {
      for (const double density : {0.0, 0.05, 0.5, 1.0}) {
        const Tensor matrix = RandomMatrix(rows, cols, density, GetParam(), &rng);
        const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(matrix)));
        ASSERT_OK(Validate(encoded.view()));
        Tensor decoded(matrix.shape);
        std::fill(decoded.values.begin(), decoded.values.end(), 7.0f);
        Decode(encoded.view(), decoded.values.data());
        ASSERT_EQ(decoded, matrix) << rows << "x" << cols << " at density " << density;
      }
    }
  }
}

TEST_P(EveryFormat, KeepsDenormalAndLargestValues) {
  std::array<float, 3> values = {1e-45f, -3.4028235e38f, 3.4028235e38f};
  if (GetParam().type == WeightType::kBf16) {
    values = {0x1p-133f, -0x1.fep127f, 0x1.fep127f};
  } else if (GetParam().type == WeightType::kI8) {
    values = {kMostRowScale, -127 * kMostRowScale, 127 * kMostRowScale};
  } else if (GetParam().type == WeightType::kF28) {
    values = {0x1p-126f, -0x1.ffffep127f, 0x1.ffffep127f};
  }
  Tensor matrix({33, 33});
  for (size_t i = 0; i < values.size(); ++i) matrix.values[33 + 16 * i] = values[i];
  const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(matrix)));
  Tensor decoded({33, 33});
  Decode(encoded.view(), decoded.values.data());
  EXPECT_EQ(decoded, matrix);
}

TEST_P(EveryFormat, StoresAtLeastTheNonzeros) {
  Rng rng(2);
  const Tensor matrix = RandomMatrix(33, 50, 0.2, GetParam(), &rng);
  const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(matrix)));
  EXPECT_GE(StoredCount(encoded.view()), CountNonzeros(matrix.values));
}

// 64 rows of 64: nothing of a strip is padding, so that visits are all the work there is.
TEST_P(EveryFormat, CountsTheWorkOfItsRowGroups) {
  struct Count {
    EncodedView view;
    std::vector<uint64_t> of_group;
  };
  Rng rng(9);
  const Tensor matrix = RandomMatrix(64, 64, 0.2, GetParam(), &rng);
  const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(matrix)));
  Count count{encoded.view(), std::vector<uint64_t>(RowGroups(encoded.view()))};
  ForEachStored(count.view, &count, [](void* context, int64_t row, int64_t, float) {
    auto& c = *static_cast<Count*>(context);
    ++c.of_group.at(GroupOfRow(c.view, row));
  });
  uint64_t before = 0;
  for (size_t group = 0; group < count.of_group.size(); ++group) {
    EXPECT_EQ(WorkBefore(count.view, group), before) << "group " << group;
    before += count.of_group[group];
  }
  EXPECT_EQ(StoredCount(count.view), before);
}

TEST_P(EveryFormat, ReadsARowIfItCan) {
  Rng rng(10);
  const Tensor matrix = RandomMatrix(35, 21, 0.4, GetParam(), &rng);
  const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(matrix)));
  const ReadRowFn read_row = FindReadRow(GetParam());
  if (read_row == nullptr) {
    EXPECT_TRUE(GetParam().strip_rows > 0) << "a format without tiles can";
    return;
  }
  for (int64_t row = 0; row < 35; ++row) {
    std::vector<float> found(21, 7.0f);
    read_row(encoded.view(), row, found.data());
    const auto first = matrix.values.begin() + row * 21;
    EXPECT_EQ(found, std::vector<float>(first, first + 21)) << "row " << row;
  }
}

TEST_P(EveryFormat, PutsEveryRowInAGroup) {
  const Tensor matrix({FitRows(GetParam(), 67, 9), 9});
  const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(matrix)));
  for (int64_t row = 0; row < matrix.dim(0); ++row) {
    EXPECT_LT(GroupOfRow(encoded.view(), row), RowGroups(encoded.view())) << "row " << row;
  }
}

TEST_P(EveryFormat, RefusesEveryTruncation) {
  Rng rng(3);
  const Tensor matrix = RandomMatrix(19, 37, 0.3, GetParam(), &rng);
  const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(matrix)));
  for (size_t size = 0; size < encoded.bytes.size(); ++size) {
    Bytes cut(std::span<const std::byte>(encoded.bytes).first(size));
    const Status status = Validate({encoded.spec, encoded.rows, encoded.cols, cut.span()});
    ASSERT_EQ(status.code(), Code::kBadFormat) << "at " << size << " bytes";
  }
}

TEST_P(EveryFormat, RefusesTrailingBytes) {
  const Tensor matrix({5, 5});
  const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(matrix)));
  std::vector<std::byte> longer(encoded.bytes.begin(), encoded.bytes.end());
  longer.push_back(std::byte{0});
  Bytes bytes(longer);
  ExpectError(Validate({encoded.spec, 5, 5, bytes.span()}), Code::kBadFormat,
              {"bytes expected", "found"});
}

TEST_P(EveryFormat, StaysInBoundsWithAnyOneByteChanged) {
  Rng rng(4);
  const Tensor matrix = RandomMatrix(19, 37, 0.3, GetParam(), &rng);
  const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(matrix)));
  Bytes bytes(encoded.bytes);
  size_t refused = 0;
  for (std::byte& byte : bytes.span()) {
    for (const int flip : {0x01, 0x08, 0x80, 0xff}) {
      byte ^= static_cast<std::byte>(flip);
      UseIfValid({encoded.spec, encoded.rows, encoded.cols, bytes.span()}, &refused);
      byte ^= static_cast<std::byte>(flip);
    }
  }
  if (GetParam().id != FormatId::k_dense) {
    EXPECT_GT(refused, 0u);
  }
}

TEST_P(EveryFormat, StaysInBoundsOnRandomBytes) {
  Rng rng(5);
  size_t refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> noise(rng.Below(600));
    for (std::byte& byte : noise) {
      // Mostly small values, so that counts have a chance to be right.
      byte = static_cast<std::byte>(rng.Uniform() < 0.9 ? rng.Below(3) * rng.Below(2)
                                                        : rng.Below(256));
    }
    Bytes bytes(noise);
    const auto rows = static_cast<int64_t>(1 + rng.Below(20));
    const auto cols = static_cast<int64_t>(1 + rng.Below(20));
    UseIfValid({GetParam(), rows, cols, bytes.span()}, &refused);
  }
  EXPECT_GT(refused, 0u);
}

TEST_P(EveryFormat, RefusesShapesThatAreNone) {
  const EncodedMatrix encoded = ValueOrDie(Encode(GetParam(), ViewOf(Tensor({2, 2}))));
  for (const int64_t dim : {int64_t{0}, int64_t{-1}, int64_t{1} << 40}) {
    ExpectError(Validate({GetParam(), dim, 2, encoded.bytes}), Code::kBadFormat, {"rows"});
    ExpectError(Validate({GetParam(), 2, dim, encoded.bytes}), Code::kBadFormat, {"columns"});
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, EveryFormat, ::testing::ValuesIn(AllFormats()),
                         [](const auto& spec) { return FormatName(spec.param); });

TEST(Formats, NameTheNearestForAnUnknownName) {
  ExpectError(FindFormat("slot_8x166").status(), Code::kInvalidArgument,
              {"did you mean 'slot_8x16'?"});
}

TEST(Formats, RefuseValuesThatTheirTypeDoesNotHold) {
  const Tensor matrix({2, 2}, {1.0f, 0.5f, 1.00390625f, 2.0f});  // 1 + 2^-8
  ExpectError(Encode({FormatId::k_slot, 8, 8, WeightType::kBf16}, ViewOf(matrix)).status(),
              Code::kUnsupported, {"slot_8x8_bf16", "type bf16 expected in row 1"});
}

TEST(RowScales, AreCheckedAgainstTheNumbers) {
  const Tensor matrix({2, 5}, {127, 1, 0, 0, 3, 0, 0, 127, -2, 5});
  const EncodedMatrix good =
      ValueOrDie(Encode({FormatId::k_dense, 0, 0, WeightType::kI8}, ViewOf(matrix), 0.25f));
  const RowScales scales = ViewRowScales(good.view());
  EXPECT_EQ(scales.x_scale, 0.25f);
  EXPECT_EQ(scales.scale[1], 1.0f);
  EXPECT_EQ(scales.offset[0], -128 * 131);
  const auto with = [&](const void* at, auto value) {
    EncodedMatrix bad{good.spec, good.rows, good.cols, AlignedBuffer<std::byte>(good.bytes.size())};
    std::copy(good.bytes.begin(), good.bytes.end(), bad.bytes.begin());
    std::memcpy(bad.bytes.data() + (static_cast<const std::byte*>(at) - good.bytes.data()), &value,
                sizeof(value));
    return Validate(bad.view());
  };
  ExpectError(with(good.bytes.data(), -1.0f), Code::kBadFormat, {"x_scale", "-1 found"});
  ExpectError(with(good.bytes.data(), 1e-40f), Code::kBadFormat,
              {"x_scale", "6.16298e-33 to 1e+30"});
  ExpectError(with(good.bytes.data(), 1e31f), Code::kBadFormat, {"x_scale", "1e+31 found"});
  ExpectError(with(scales.scale + 1, std::nanf("")), Code::kBadFormat, {"scale[1]", "nan found"});
  ExpectError(with(scales.scale, 1e30f), Code::kBadFormat,
              {"scale[0]: 0 to 7.92282e+28 expected, 1e+30 found"});
  ExpectError(with(scales.offset, int32_t{7}), Code::kBadFormat,
              {"offset[0]: -16768 expected, 7 found"});
}

TEST(RowScales, AreOfNoMoreColumnsThanKernelsRound) {
  const FormatSpec spec = {FormatId::k_dense, 0, 0, WeightType::kI8};
  const EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(Tensor({1, 65536}))));
  ASSERT_OK(Validate(encoded.view()));
  ExpectError(Validate({spec, 1, 65537, encoded.bytes}), Code::kBadFormat,
              {"dense_i8: at most 65536 columns expected, 65537 found"});
}

TEST(Formats, RefuseATileThatIsNotListed) {
  const Tensor matrix({4, 4});
  ExpectError(Encode({FormatId::k_slot, 8, 24}, ViewOf(matrix)).status(), Code::kInvalidArgument,
              {"slot_8x16", "slot_8x24 found"});
  ExpectError(Encode({FormatId::k_dense, 8, 8}, ViewOf(matrix)).status(), Code::kInvalidArgument,
              {"dense", "dense_8x8 found"});
}

TEST(Formats, RefuseAnIdThatIsNotListed) {
  const Tensor matrix({4, 4});
  ExpectError(Encode({static_cast<FormatId>(200), 0, 0}, ViewOf(matrix)).status(),
              Code::kInvalidArgument, {"200 found"});
}

TEST(CsrFormat, NamesItsColumnLimit) {
  const Tensor matrix({1, 65537});
  ExpectError(Encode({FormatId::k_csr, 0, 0}, ViewOf(matrix)).status(), Code::kUnsupported,
              {"65536", "65537"});
}

// 15 rows: the starts take 64 bytes.
TEST(CsrFormat, SpendsTwoBytesAWeightMoreThanItsType) {
  const Tensor matrix({15, 64}, std::vector<float>(15 * 64, 127.0f));
  const size_t count = 15 * 64;
  for (const WeightType type : {WeightType::kF32, WeightType::kBf16, WeightType::kI8}) {
    const EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_csr, 0, 0, type}, ViewOf(matrix)));
    EXPECT_EQ(BodyOf(encoded.view()).bytes.size(), 64 + count * (SizeOf(type) + 2));
  }
}

TEST(CsrFormat, RefusesWholeNumbersWhoseSumsCouldPass32Bits) {
  constexpr FormatSpec kSpec = {FormatId::k_csr, 0, 0, WeightType::kI8};
  constexpr uint32_t kMost = 66052;                  // of 127: 8388604
  for (const uint32_t count : {kMost, kMost + 1}) {  // all of the one element
    const EncodedMatrix one = ValueOrDie(Encode(kSpec, ViewOf(Tensor({1, 1}, {127.0f}))));
    const size_t header = RowScalesBytes(1);
    const size_t cols = header + 64 + RoundUp(count, 64);
    AlignedBuffer<std::byte> bytes(cols + 2 * count);
    std::copy_n(one.bytes.begin(), header, bytes.begin());
    const auto offset = static_cast<int32_t>(-128 * 127 * static_cast<int64_t>(count));
    std::memcpy(bytes.data() + kAlignmentBytes + RowScaleCount(1) * sizeof(float), &offset, 4);
    std::memcpy(bytes.data() + header + sizeof(uint32_t), &count, sizeof(count));
    std::fill_n(bytes.begin() + header + 64, count, std::byte{127});
    const Status status = Validate({kSpec, 1, 1, {bytes.data(), bytes.size()}});
    if (count == kMost) {
      EXPECT_OK(status);
    } else {
      ExpectError(status, Code::kBadFormat,
                  {"row 0", "add to at most 8388608 expected, to 8388731 found"});
    }
  }
}

TEST(RowsFormat, BeginsEveryRowOnACacheLine) {
  for (const WeightType type : {WeightType::kF32, WeightType::kBf16}) {
    const int64_t full = static_cast<int64_t>(64 / SizeOf(type));
    for (const auto& [cols, lines] : {std::pair(full, 1u), {full + 1, 2u}, {int64_t{1}, 1u}}) {
      Tensor matrix({3, cols});
      matrix.values[static_cast<size_t>(2 * cols)] = 2.0f;
      const EncodedMatrix encoded =
          ValueOrDie(Encode({FormatId::k_rows, 0, 0, type}, ViewOf(matrix)));
      EXPECT_EQ(encoded.bytes.size(), 3u * lines * 64u);
      EXPECT_EQ(LoadWeight(encoded.bytes.data() + 2u * lines * 64u, type, 0), 2.0f);
    }
  }
}

TEST(RowsFormat, HasEveryRowInAGroupOfItsOwn) {
  const EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_rows}, ViewOf(Tensor({5, 37}))));
  EXPECT_EQ(RowGroups(encoded.view()), 5u);
  for (int64_t row = 0; row < 5; ++row) {
    EXPECT_EQ(GroupOfRow(encoded.view(), row), static_cast<size_t>(row));
    EXPECT_EQ(WorkBefore(encoded.view(), static_cast<size_t>(row)), static_cast<size_t>(row) * 37);
  }
}

TEST(RowsFormat, RefusesAWeightPastTheLastColumn) {
  EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_rows}, ViewOf(Tensor({2, 17}))));
  StoreWeight(5.0f, encoded.bytes.data(), WeightType::kF32, 32 + 31);
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"rows.values[1], column 31: 0 past the last column expected, 5 found"});
}

TEST(BlockedFormat, StoresTheBlocksThatHoldAWeight) {
  Tensor matrix({10, 10});
  matrix.values[0 * 10 + 5] = 1.0f;  // strip 0, columns 4 to 7
  matrix.values[9 * 10 + 9] = 2.0f;  // strip 1, columns 8 and 9: the block begins at 6
  const EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_blocked, 8, 4}, ViewOf(matrix)));
  const BlockedView view = ViewBlocked(encoded.view());
  EXPECT_EQ(StoredCount(encoded.view()), 2u * 32u);
  EXPECT_EQ(view.col[0], 4);
  EXPECT_EQ(LoadWeight(view.values, view.type, 0 * 4 + 1), 1.0f);
  EXPECT_EQ(view.col[1], 6);
  EXPECT_EQ(LoadWeight(view.values, view.type, 32 + 1 * 4 + 3), 2.0f);
}

// Of 8 columns the second four come after all rows of the first; of one column rows are side by
// side, unless weights are of 8 bits.
TEST(BlockedFormat, PutsFourColumnsSideBySide) {
  const FormatSpec wide = {FormatId::k_blocked, 8, 8};
  EXPECT_EQ(BlockedOffset(wide, 0, 3, 2), 3u * 4 + 2);
  EXPECT_EQ(BlockedOffset(wide, 2, 3, 6), 2u * 64 + 32 + 3 * 4 + 2);
  EXPECT_EQ(BlockedOffset({FormatId::k_blocked, 16, 1}, 5, 3, 0), 5u * 16 + 3);
  const FormatSpec whole = {FormatId::k_blocked, 16, 1, WeightType::kI8};
  EXPECT_EQ(BlockedOffset(whole, 5, 3, 0), 64u + 3 * 4 + 1);
}

TEST(BlockedFormat, FillsWholeSixtyFourBytesOfEightBitWeights) {
  Tensor matrix({32, 12});
  matrix.values[0 * 12 + 11] = 127.0f;
  matrix.values[17 * 12 + 2] = -127.0f;
  const auto blocks = [&](int32_t rows, int32_t cols) {
    const FormatSpec spec = {FormatId::k_blocked, rows, cols, WeightType::kI8};
    const EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(matrix)));
    EXPECT_OK(Validate(encoded.view()));
    const BlockedView view = ViewBlocked(BodyOf(encoded.view()));
    for (uint32_t block = 0; block < view.block_start[view.strips]; ++block) {
      EXPECT_EQ(view.col[block], view.col[block / BlockedMultiple(spec) * BlockedMultiple(spec)]);
    }
    std::vector<float> dense(matrix.values.size());
    Decode(encoded.view(), dense.data());
    EXPECT_EQ(dense, matrix.values);
    return view.block_start[view.strips];
  };
  EXPECT_EQ(blocks(4, 4), 8u);
  EXPECT_EQ(blocks(8, 4), 4u);
  EXPECT_EQ(blocks(8, 8), 2u);
  EXPECT_EQ(blocks(16, 1), 8u);
}

TEST(BlockedFormat, RefusesStripsOfPartsOfSixtyFourBytes) {
  const FormatSpec spec = {FormatId::k_blocked, 16, 1, WeightType::kI8};
  Tensor matrix({32, 8});
  matrix.values[0] = matrix.values[16 * 8] = 127.0f;
  EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(matrix)));
  auto* starts = reinterpret_cast<uint32_t*>(encoded.bytes.data() + RowScalesBytes(32));
  ASSERT_EQ(starts[1], 4u);
  starts[1] = 3;
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"blocked.block_start[1]", "a multiple of 4 expected, 3 found"});
}

TEST(BlockedFormat, RefusesABlockPastTheEdge) {
  Tensor matrix({8, 10});
  matrix.values[9] = 1.0f;
  EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_blocked, 8, 4}, ViewOf(matrix)));
  encoded.bytes[encoded.bytes.size() - 2] = std::byte{8};
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"blocked.col[0]", "a multiple of 4 below 6, or 6 expected, 8 found"});
}

TEST(BlockedFormat, RefusesAWeightOfARowPastTheLast) {
  const FormatSpec spec = {FormatId::k_blocked, 8, 4, WeightType::kI8};
  Tensor matrix({10, 8});
  matrix.values[9 * 8] = 127.0f;
  EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(matrix)));
  ASSERT_OK(Validate(encoded.view()));
  const auto offset = ViewBlocked(BodyOf(encoded.view())).values - encoded.bytes.data();
  encoded.bytes[static_cast<size_t>(offset) + 7 * 4] = std::byte{5};
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"blocked.values[0], row 7, column 0: 0 past the last row expected, 5 found"});
}

TEST(BlockedFormat, RefusesAWeightOfAColumnPastTheLast) {
  for (const WeightType type : {WeightType::kF32, WeightType::kI8}) {
    const FormatSpec spec = {FormatId::k_blocked, 8, 4, type};
    Tensor matrix({16, 3});
    matrix.values[9 * 3] = 127.0f;
    EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(matrix)));
    ASSERT_OK(Validate(encoded.view()));
    const EncodedView body = BodyOf(encoded.view());
    auto* values = const_cast<std::byte*>(ViewBlocked(body).values);
    StoreWeight(5.0f, values, type, 6 * 4 + 3);
    ExpectError(Validate(encoded.view()), Code::kBadFormat,
                {"blocked.values[0], row 6, column 3: 0 past the last column expected, 5 found"});
  }
}

TEST(DiagonalFormat, StoresTheDiagonalOfEveryGateBesideTheBlocks) {
  Tensor matrix({48, 24});
  for (size_t row = 0; row < 48; ++row) {
    matrix.values[row * 24 + row % 24] = static_cast<float>(row + 1);
  }
  matrix.values[40 * 24 + 5] = -1.0f;
  const EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_diagonal, 8, 4}, ViewOf(matrix)));
  EXPECT_EQ(StoredCount(encoded.view()), 48u + 32u);  // one block
  const DiagonalView view = ViewDiagonal(encoded.view());
  EXPECT_EQ(LoadWeight(view.diagonal, WeightType::kF32, 30), 31.0f);
  EXPECT_EQ(ViewBlocked(view.rest).col[0], 4);
}

TEST(DiagonalFormat, RefusesRowsThatAreNoMultipleOfTheColumns) {
  const FormatSpec spec = {FormatId::k_diagonal, 16, 1};
  ExpectError(Encode(spec, ViewOf(Tensor({30, 20}))).status(), Code::kUnsupported,
              {"diagonal_16x1", "multiple of 20", "30 found"});
  const EncodedMatrix encoded = ValueOrDie(Encode(spec, ViewOf(Tensor({20, 20}))));
  ExpectError(Validate({spec, 20, 19, encoded.bytes}), Code::kBadFormat,
              {"multiple of 19", "20 found"});
}

TEST(CompactFormat, StoresOnlyRowsAndColumnsThatHoldAWeight) {
  Tensor matrix({40, 30});
  matrix.values[7 * 30 + 3] = 1.0f;
  matrix.values[39 * 30 + 12] = 2.0f;
  const EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_compact}, ViewOf(matrix)));
  const CompactView view = ViewCompact(encoded.view());
  EXPECT_EQ(std::vector<uint32_t>(view.row, view.row + view.row_count),
            (std::vector<uint32_t>{7, 39}));
  EXPECT_EQ(std::vector<uint32_t>(view.col, view.col + view.col_count),
            (std::vector<uint32_t>{3, 12}));
  EXPECT_EQ(StoredCount(encoded.view()), 16u * 2u);
  EXPECT_EQ(encoded.bytes.size(), 3u * 64u + 16u * 2u * 4u);
}

TEST(CompactFormat, NamesItsColumnLimit) {
  Tensor matrix({1, 16385});
  std::fill(matrix.values.begin(), matrix.values.end(), 1.0f);
  ExpectError(Encode({FormatId::k_compact}, ViewOf(matrix)).status(), Code::kUnsupported,
              {"compact", "16384", "16385 found"});
  matrix.values[5] = 0.0f;
  EXPECT_OK(Encode({FormatId::k_compact}, ViewOf(matrix)));
}

TEST(CompactFormat, RefusesNumbersThatDoNotRise) {
  Tensor matrix({4, 4});
  for (const size_t i : {0u, 5u, 10u}) matrix.values[i] = 1.0f;
  EncodedMatrix encoded = ValueOrDie(Encode({FormatId::k_compact}, ViewOf(matrix)));
  encoded.bytes[64 + 2 * 4] = std::byte{1};
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"compact.row[2]: 2 to 3 expected, 1 found"});
  encoded.bytes[64 + 2 * 4] = std::byte{2};
  encoded.bytes[128 + 2 * 4] = std::byte{4};
  ExpectError(Validate(encoded.view()), Code::kBadFormat,
              {"compact.col[2]: 2 to 3 expected, 4 found"});
}

}  // namespace
}  // namespace espalier
