// The contract of every granularity that cuts one weight: exact counts over ragged shapes.
#include "prune/granularity.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/rng.h"
#include "base/strings.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

constexpr double kSparsities[] = {0.0, 0.1, 0.5, 0.9, 0.99};

enum class Values { kRandom, kTies, kAllEqual };

struct Case {
  std::string granularity;
  int64_t rows, cols;
  Values values;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Granularity* kind : AllGranularities()) {
    if (kind->extent != Extent::kWeight) continue;
    const std::string name = kind->name;
    std::vector<std::string> texts = {name};
    if (kind->tile >= Tile::kRowsByCols) texts = {name + "_8x16", name + "_16x32"};
    if (kind->tile == Tile::kCols || kind->tile == Tile::kRows) texts = {name + "_1", name + "_6"};
    if (kind->tile == Tile::kRowsByColsByDepth) texts.push_back(name + "_16x64x4");
    for (const std::string& text : texts) {
      for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{16, 32},
                                       {17, 33},
                                       {16, 1},
                                       {101, 47},
                                       {64, 100},
                                       {18, 36}}) {
        for (const Values values : {Values::kRandom, Values::kTies, Values::kAllEqual}) {
          cases.push_back({text, rows, cols, values});
        }
      }
    }
  }
  return cases;
}

std::vector<float> Saliency(const Case& c) {
  Rng rng(11);
  std::vector<float> saliency(static_cast<size_t>(c.rows * c.cols), 0.25f);
  for (float& value : saliency) {
    if (c.values == Values::kRandom) value = static_cast<float>(rng.Uniform());
    if (c.values == Values::kTies) value = static_cast<float>(rng.Below(4));
  }
  return saliency;
}

class EveryGranularity : public ::testing::TestWithParam<Case> {
 protected:
  EveryGranularity()
      : spec_(ValueOrDie(ParseGranularity(GetParam().granularity))),
        saliency_(Saliency(GetParam())) {}

  Partition Cut(std::span<const uint8_t> alive = {}) const {
    return spec_.kind->partition(spec_, {saliency_, alive, GetParam().rows, GetParam().cols});
  }
  static std::vector<uint8_t> MaskOf(const Partition& partition, double sparsity) {
    const Keep keep = KeepBest(partition.pool.pieces, KeepBudget(sparsity, partition.pool.size));
    std::vector<uint8_t> mask;
    for (const int32_t piece : partition.piece_of) {
      mask.push_back(piece >= 0 && keep[static_cast<size_t>(piece)] != 0);
    }
    return mask;
  }

  GranularitySpec spec_;
  std::vector<float> saliency_;
};
std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  const char* values[] = {"random", "ties", "equal"};
  return StrCat(info.param.granularity, "_on_", info.param.rows, "x", info.param.cols, "_",
                values[static_cast<size_t>(info.param.values)]);
}
INSTANTIATE_TEST_SUITE_P(List, EveryGranularity, ::testing::ValuesIn(Cases()), CaseName);

TEST_P(EveryGranularity, PutsEachElementInOnePiece) {
  const Partition partition = Cut();
  std::vector<int32_t> sizes(partition.pool.pieces.size(), 0);
  for (const int32_t piece : partition.piece_of) ++sizes.at(static_cast<size_t>(piece));
  for (size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(sizes[i], partition.pool.pieces[i].size);
  EXPECT_EQ(partition.pool.size, GetParam().rows * GetParam().cols);
}

TEST_P(EveryGranularity, ScoresAPieceByTheMeanOfItsSaliencies) {
  const Partition partition = Cut();
  const std::vector<Piece>& pieces = partition.pool.pieces;
  if (spec_.kind->tile == Tile::kCols || spec_.kind->tile == Tile::kRows) {  // by rounds: see below
    const auto rises = [](const Piece& a, const Piece& b) { return a.score < b.score; };
    EXPECT_EQ(std::adjacent_find(pieces.begin(), pieces.end(), rises), pieces.end());
    return;
  }
  std::vector<double> sums(pieces.size(), 0.0);
  for (size_t i = 0; i < saliency_.size(); ++i) {
    sums[static_cast<size_t>(partition.piece_of[i])] += saliency_[i];
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    EXPECT_NEAR(pieces[i].score, sums[i] / pieces[i].size, 1e-6);
  }
}

// Oracle: sort all pieces, walk down, stop before the first that does not fit.
TEST_P(EveryGranularity, KeepsTheLongestRunOfBestPiecesWithinTheBudget) {
  const Partition partition = Cut();
  const std::vector<Piece>& pieces = partition.pool.pieces;
  std::vector<size_t> order(pieces.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (pieces[a].tier != pieces[b].tier) return pieces[a].tier > pieces[b].tier;
    return pieces[a].score > pieces[b].score;
  });
  for (const double sparsity : kSparsities) {
    int64_t left = KeepBudget(sparsity, partition.pool.size);
    Keep expected(pieces.size(), 0);
    for (const size_t i : order) {
      if (pieces[i].size > left) break;
      left -= pieces[i].size;
      expected[i] = 1;
    }
    EXPECT_EQ(KeepBest(pieces, KeepBudget(sparsity, partition.pool.size)), expected) << sparsity;
  }
}

TEST_P(EveryGranularity, MissesTheBudgetByLessThanOnePiece) {
  const Partition partition = Cut();
  int32_t largest = 1;
  for (const Piece& piece : partition.pool.pieces) largest = std::max(largest, piece.size);
  const int64_t size = GetParam().rows * GetParam().cols;
  for (const int64_t percent : {0, 10, 50, 90, 99}) {
    const std::vector<uint8_t> mask = MaskOf(partition, static_cast<double>(percent) / 100.0);
    const int64_t kept = std::count(mask.begin(), mask.end(), 1);
    const int64_t budget = size - size * percent / 100;  // integers only
    EXPECT_LE(kept, budget) << percent << " %";
    EXPECT_GT(kept, budget - largest) << percent << " %";  // so equal if pieces are single weights
  }
}

TEST_P(EveryGranularity, KeepsASubsetAtAHigherSparsity) {
  const Partition partition = Cut();
  std::vector<uint8_t> denser = MaskOf(partition, 0.0);
  EXPECT_EQ(std::count(denser.begin(), denser.end(), 0), 0);
  for (const double sparsity : kSparsities) {
    const std::vector<uint8_t> mask = MaskOf(partition, sparsity);
    for (size_t i = 0; i < mask.size(); ++i) EXPECT_LE(mask[i], denser[i]) << sparsity;
    denser = mask;
  }
}

TEST_P(EveryGranularity, NeverRevivesADroppedElement) {
  const std::vector<uint8_t> alive = MaskOf(Cut(), 0.5);
  const std::vector<uint8_t> mask = MaskOf(Cut(alive), 0.75);
  int64_t kept = 0;
  for (size_t i = 0; i < mask.size(); ++i) {
    EXPECT_LE(mask[i], alive[i]);
    kept += mask[i];
  }
  EXPECT_LE(kept, KeepBudget(0.75, static_cast<int64_t>(mask.size())));
  const std::vector<uint8_t> again = MaskOf(Cut(alive), 0.5);
  EXPECT_EQ(again, alive);  // what still fits the budget stays as it is
}

TEST(SlotGranularity, KeepsTheLargestWeightsOfEachRowAndEquallyManyInAStrip) {
  const GranularitySpec spec = ValueOrDie(ParseGranularity("slot_8x16"));
  constexpr int64_t kRows = 20, kCols = 40;  // strips of 8, 8, 4; banks of 16, 16, 8
  Rng rng(3);
  std::vector<float> saliency(kRows * kCols);
  for (float& value : saliency) value = static_cast<float>(rng.Uniform());
  const Partition partition = spec.kind->partition(spec, {saliency, {}, kRows, kCols});
  const Keep keep = KeepBest(partition.pool.pieces, KeepBudget(0.7, kRows * kCols));
  for (int64_t strip = 0; strip < kRows; strip += 8) {
    for (int64_t bank = 0; bank < kCols; bank += 16) {
      int64_t in_first_row = -1;
      for (int64_t row = strip; row < std::min(strip + 8, kRows); ++row) {
        int64_t kept = 0;
        float smallest_kept = 2.0f, largest_dropped = -1.0f;
        for (int64_t col = bank; col < std::min(bank + 16, kCols); ++col) {
          const auto i = static_cast<size_t>(row * kCols + col);
          if (keep[static_cast<size_t>(partition.piece_of[i])] != 0) {
            ++kept;
            smallest_kept = std::min(smallest_kept, saliency[i]);
          } else {
            largest_dropped = std::max(largest_dropped, saliency[i]);
          }
        }
        EXPECT_GT(smallest_kept, largest_dropped) << "row " << row << " bank " << bank;
        if (in_first_row < 0) in_first_row = kept;
        EXPECT_EQ(kept, in_first_row) << "row " << row << " bank " << bank;
      }
    }
  }
}

TEST(SlotGranularity, TakesAsManyWeightsOfARowAsItIsDeep) {
  const GranularitySpec spec{&granularities::slot, 2, 4, 2};
  const std::vector<float> saliency = {0.1f, 0.4f, 0.3f, 0.2f,   //
                                       0.8f, 0.7f, 0.6f, 0.5f};  //
  const Partition partition = spec.kind->partition(spec, {saliency, {}, 2, 4});
  EXPECT_EQ(partition.piece_of, (std::vector<int32_t>{1, 0, 0, 1, 0, 0, 1, 1}));
  ASSERT_EQ(partition.pool.pieces.size(), 2u);
  EXPECT_FLOAT_EQ(partition.pool.pieces[0].score, (0.4f + 0.3f + 0.8f + 0.7f) / 4);
  EXPECT_EQ(partition.pool.pieces[0].size, 4);
}

TEST(SlotGranularity, LinesUpTheLargestWeightsOfRowsThatLostWeightsBefore) {
  const GranularitySpec spec{&granularities::slot, 2, 4};
  const std::vector<float> saliency = {0.1f, 0.4f, 0.3f, 0.2f,   //
                                       0.8f, 0.7f, 0.6f, 0.5f};  //
  const std::vector<uint8_t> alive = {1, 1, 1, 0,                //
                                      0, 0, 0, 1};
  const Partition partition = spec.kind->partition(spec, {saliency, alive, 2, 4});
  EXPECT_EQ(partition.piece_of, (std::vector<int32_t>{2, 0, 1, -1, -1, -1, -1, 0}));
  ASSERT_EQ(partition.pool.pieces.size(), 3u);
  EXPECT_NEAR(partition.pool.pieces[0].score, 0.45f, 1e-6);
  EXPECT_EQ(partition.pool.pieces[1].size, 1);
  EXPECT_EQ(partition.pool.size, 8);
}

TEST(Granularity, RoundTripsItsName) {
  for (const char* text :
       {"element", "slot_8x16", "slot_16x32", "slot_16x64x4", "nm_16x4x2", "blocked_8x4",
        "diagonal_8x4", "unit", "bank_32", "column_balanced_4", "gate_row", "row"}) {
    EXPECT_EQ(GranularityName(ValueOrDie(ParseGranularity(text))), text);
  }
}

TEST(Granularity, SaysWhatIsWrongWithAName) {
  const auto expect = [](const std::string& text, const std::vector<std::string>& parts) {
    ExpectError(ParseGranularity(text).status(), Code::kInvalidArgument, parts);
  };
  expect("slto_8x16", {"'slto_8x16'", "did you mean 'slot'"});
  expect("gate_rows", {"'gate_rows'", "did you mean 'gate_row'"});
  expect("gate_row_8x16", {"gate_row alone"});
  expect("bank", {"bank_<columns>", "bank_32"});
  expect("bank_8x16", {"bank_<columns>"});
  expect("column_balanced_", {"column_balanced_<count>"});
  expect("column_balanced_0", {"column_balanced_<count>"});
  expect("slot", {"'slot'", "slot_<rows>x<cols>", "slot_8x16"});
  expect("slot_8", {"slot_<rows>x<cols>"});
  expect("slot_8x16x2x2", {"slot_<rows>x<cols>"});
  expect("slot_8x16x0", {"slot_<rows>x<cols>"});
  expect("slot_8x16x", {"slot_<rows>x<cols>"});
  expect("blocked_8x4x4", {"blocked_<rows>x<cols>"});
  expect("slot_-8x16", {"slot_<rows>x<cols>"});
  expect("element_2x2", {"element alone"});
  expect("element_", {"element alone"});
  expect("8x16", {"bank, blocked", "slot, unit"});
  expect("", {"bank, blocked", "slot, unit"});
}

TEST(SlotGranularity, NamesTheWeightAndTheNearestTileThatFits) {
  const auto check = [](const std::string& text, int64_t rows, int64_t cols) {
    const GranularitySpec spec = ValueOrDie(ParseGranularity(text));
    return spec.kind->check(spec, "gru0.weight_hh", rows, cols);
  };
  EXPECT_OK(check("slot_8x16", 8, 3));
  ExpectError(check("slot_8x16", 6, 16), Code::kInvalidArgument,
              {"gru0.weight_hh", "slot_8x16", "slot_4x16"});
  ExpectError(check("slot_12x16", 64, 16), Code::kInvalidArgument, {"slot_12x16", "slot_16x16"});
  ExpectError(check("slot_7x3", 64, 16), Code::kInvalidArgument, {"slot_7x3", "slot_8x4"});
  ExpectError(check("slot_8x512", 64, 16), Code::kInvalidArgument, {"slot_8x512", "slot_8x256"});
  ExpectError(check("slot_8x16x3", 64, 16), Code::kInvalidArgument, {"slot_8x16x3", "slot_8x16x4"});
}

TEST(NmGranularity, KeepsTheLargestOfEachBankAtItsSparsity) {
  const GranularitySpec spec = ValueOrDie(ParseGranularity("nm_16x4x2"));
  EXPECT_EQ(spec.kind->fixed_sparsity(spec), 0.5);
  // The second bank's least is larger than all of the first.
  const std::vector<float> saliency = {0.1f, 0.4f, 0.3f, 0.2f, 0.8f, 0.7f, 0.6f, 0.5f};
  const Partition partition = spec.kind->partition(spec, {saliency, {}, 1, 8});
  const auto kept = [&](double sparsity) {
    const Keep keep = KeepBest(partition.pool.pieces, KeepBudget(sparsity, 8));
    std::vector<int> mask;
    for (const int32_t piece : partition.piece_of) mask.push_back(keep[static_cast<size_t>(piece)]);
    return mask;
  };
  EXPECT_EQ(kept(0.5), (std::vector<int>{0, 1, 1, 0, 1, 1, 0, 0}));
  EXPECT_EQ(kept(0.25), (std::vector<int>{0, 1, 1, 0, 1, 1, 1, 1}));
}

TEST(NmGranularity, NeverKeepsMoreThanNInABankOfARaggedMatrix) {
  constexpr int64_t kRows = 5, kCols = 23;
  Rng rng(4);
  std::vector<float> saliency(kRows * kCols);
  for (float& value : saliency) value = static_cast<float>(rng.Uniform());
  for (const char* text : {"nm_16x4x2", "nm_16x8x2", "nm_16x16x2", "nm_16x4x1", "nm_16x16",
                           "nm_16x8x4", "nm_16x16x4", "nm_1x5x3"}) {
    const GranularitySpec spec = ValueOrDie(ParseGranularity(text));
    const Partition partition = spec.kind->partition(spec, {saliency, {}, kRows, kCols});
    const double sparsity = spec.kind->fixed_sparsity(spec);
    const Keep keep = KeepBest(partition.pool.pieces, KeepBudget(sparsity, kRows * kCols));
    for (int64_t begin = 0; begin < kRows * kCols; begin += kCols) {
      for (int64_t col = 0; col < kCols; col += spec.cols) {
        int32_t kept = 0;
        for (int64_t c = col; c < std::min<int64_t>(kCols, col + spec.cols); ++c) {
          kept += keep[static_cast<size_t>(partition.piece_of[static_cast<size_t>(begin + c)])];
        }
        EXPECT_LE(kept, spec.depth) << text;
      }
    }
  }
}

TEST(NmGranularity, NamesTheWeightAndTheNearestTileThatFits) {
  const auto check = [](const std::string& text) {
    const GranularitySpec spec = ValueOrDie(ParseGranularity(text));
    return spec.kind->check(spec, "gru0.weight_hh", 12, 9);
  };
  EXPECT_OK(check("nm_16x4x2"));
  ExpectError(check("nm_16x4x4"), Code::kInvalidArgument,
              {"gru0.weight_hh", "nm_16x4x4", "nm_16x4x3"});
  ExpectError(check("nm_100x1"), Code::kInvalidArgument, {"nm_100x1 found", "nm_64x2"});
}

TEST(BlockedGranularity, CutsLastBlocksShort) {
  const GranularitySpec spec{&granularities::blocked, 2, 2};
  const std::vector<float> saliency = {1, 1, 2,  //
                                       1, 1, 4,  //
                                       5, 6, 7};
  const Partition partition = spec.kind->partition(spec, {saliency, {}, 3, 3});
  EXPECT_EQ(partition.piece_of, (std::vector<int32_t>{0, 0, 1, 0, 0, 1, 2, 2, 3}));
  ASSERT_EQ(partition.pool.pieces.size(), 4u);
  EXPECT_EQ(partition.pool.pieces[1].score, 3.0f);
  EXPECT_EQ(partition.pool.pieces[1].size, 2);
}

TEST(DiagonalGranularity, KeepsTheDiagonalsOfAllGatesFirst) {
  const GranularitySpec spec{&granularities::diagonal, 2, 1};
  const std::vector<float> saliency = {0, 9,   //
                                       8, 0,   //
                                       1, 5,   //
                                       2, 0};  // two gates of two units
  const Partition partition = spec.kind->partition(spec, {saliency, {}, 4, 2});
  EXPECT_EQ(partition.pool.pieces.size(), 4u + 4u);
  const auto kept = [&](int64_t budget) {
    const Keep keep = KeepBest(partition.pool.pieces, budget);
    std::vector<int> mask;
    for (const int32_t piece : partition.piece_of) mask.push_back(keep[static_cast<size_t>(piece)]);
    return mask;
  };
  EXPECT_EQ(kept(4), (std::vector<int>{1, 0, 0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(kept(5), (std::vector<int>{1, 1, 0, 1, 1, 0, 0, 1}));
}

TEST(DiagonalGranularity, CutsAMatrixThatHasNoneInBlocks) {
  const GranularitySpec spec{&granularities::diagonal, 2, 2};
  const GranularitySpec blocks{&granularities::blocked, 2, 2};
  const std::vector<float> saliency(15, 1.0f);
  const SaliencyView view{saliency, {}, 3, 5};
  EXPECT_EQ(spec.kind->partition(spec, view).piece_of,
            blocks.kind->partition(blocks, view).piece_of);
}

TEST(BlockedGranularity, NamesTheWeightAndTheNearestTileThatFits) {
  const auto check = [](const std::string& text, int64_t rows, int64_t cols) {
    const GranularitySpec spec = ValueOrDie(ParseGranularity(text));
    return spec.kind->check(spec, "gru0.weight_hh", rows, cols);
  };
  EXPECT_OK(check("blocked_5x3", 6, 4));
  ExpectError(check("blocked_8x4", 6, 16), Code::kInvalidArgument,
              {"gru0.weight_hh", "blocked_8x4", "blocked_6x4"});
  ExpectError(check("blocked_16x100", 64, 128), Code::kInvalidArgument, {"blocked_16x64"});
}

// In every bank, at every sparsity, at every step of a ramp.
TEST(BalancedGranularities, KeepEquallyManyInEveryBank) {
  constexpr int64_t kRows = 12, kCols = 20;
  Rng rng(4);
  std::vector<float> saliency(kRows * kCols);
  for (const char* text : {"bank_5", "column_balanced_3"}) {
    const GranularitySpec spec = ValueOrDie(ParseGranularity(text));
    std::vector<uint8_t> alive(saliency.size(), 1);
    for (const double sparsity : {0.1, 0.33, 0.5, 0.8}) {
      for (float& value : saliency) value = static_cast<float>(rng.Uniform());
      const Partition partition = spec.kind->partition(spec, {saliency, alive, kRows, kCols});
      const Keep keep = KeepBest(partition.pool.pieces, KeepBudget(sparsity, kRows * kCols));
      std::map<std::pair<int64_t, int64_t>, int64_t> kept;  // by bank
      int64_t total = 0;
      for (int64_t i = 0; i < kRows * kCols; ++i) {
        const int32_t piece = partition.piece_of[static_cast<size_t>(i)];
        const bool stays = piece >= 0 && keep[static_cast<size_t>(piece)] != 0;
        const int64_t row = i / kCols, col = i % kCols;
        const auto bank =
            spec.kind->tile == Tile::kCols ? std::pair{row, col / 5} : std::pair{col, row / 4};
        kept[bank] += stays;
        total += stays;
        alive[static_cast<size_t>(i)] = stays;
      }
      EXPECT_EQ(total, KeepBudget(sparsity, kRows * kCols));
      const auto [least, most] = std::minmax_element(
          kept.begin(), kept.end(), [](auto& a, auto& b) { return a.second < b.second; });
      EXPECT_LE(most->second - least->second, 1) << text << " at " << sparsity;
    }
  }
}

TEST(BankGranularity, KeepsTheLargestOfEachBankAndScoresRoundsByTheirMean) {
  const GranularitySpec spec = ValueOrDie(ParseGranularity("bank_2"));
  const std::vector<float> saliency = {0.1f, 0.2f, 0.9f, 0.8f};
  const Partition partition = spec.kind->partition(spec, {saliency, {}, 1, 4});
  EXPECT_EQ(partition.piece_of, (std::vector<int32_t>{3, 1, 0, 2}));
  EXPECT_FLOAT_EQ(partition.pool.pieces[1].score, 0.55f);
  EXPECT_FLOAT_EQ(partition.pool.pieces[2].score, 0.45f);
  const Keep keep = KeepBest(partition.pool.pieces, 2);
  std::vector<int> mask;
  for (const int32_t piece : partition.piece_of) mask.push_back(keep[static_cast<size_t>(piece)]);
  EXPECT_EQ(mask, (std::vector<int>{0, 1, 1, 0}));
}

TEST(BalancedGranularities, NameTheWeightAndTheNearestThatFits) {
  const auto check = [](const std::string& text) {
    const GranularitySpec spec = ValueOrDie(ParseGranularity(text));
    return spec.kind->check(spec, "gru0.weight_hh", 60, 20);
  };
  EXPECT_OK(check("bank_20"));
  EXPECT_OK(check("column_balanced_60"));
  ExpectError(check("bank_32"), Code::kInvalidArgument, {"gru0.weight_hh", "bank_32", "bank_20"});
  ExpectError(check("column_balanced_64"), Code::kInvalidArgument,
              {"gru0.weight_hh", "column_balanced_64", "column_balanced_60"});
}

TEST(RowAndColumnGranularity, CutWholeLines) {
  const std::vector<float> saliency = {1, 2, 3,  //
                                       4, 5, 6};
  const auto pieces = [&](const Granularity& kind) {
    return kind.partition({&kind}, {saliency, {}, 2, 3});
  };
  EXPECT_EQ(pieces(granularities::row).piece_of, (std::vector<int32_t>{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(pieces(granularities::column).piece_of, (std::vector<int32_t>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(pieces(granularities::column).pool.pieces[1].score, 3.5f);
}

TEST(KeepBudget, ForgivesBinaryFractions) {
  EXPECT_EQ(KeepBudget(0.29, 100), 71);
  EXPECT_EQ(KeepBudget(0.9, 10), 1);
  EXPECT_EQ(KeepBudget(0.99, 50), 1);
  EXPECT_EQ(KeepBudget(0.0, 7), 7);
}

}  // namespace
}  // namespace espalier
