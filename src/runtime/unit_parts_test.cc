#include "runtime/unit_parts.h"

#include <set>

#include "base/aligned_buffer.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

constexpr size_t kGates = 4;

struct Layer {
  Artifact artifact;
  EncodedView input, recurrent;
};

Layer LayerOf(const FormatSpec& spec, int64_t hidden) {
  Rng rng(5);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, 40}}, &rng);
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kLstmCell, hidden).Finish());
  ZeroRandomWeights(0.8, &rng, &graph);
  Layer layer{ArtifactOf(Fitted(graph, spec), spec), {}, {}};
  const Program program = ValueOrDie(Program::Of(layer.artifact));
  EachLayer(program, [&](const ProgramNode&, const ProgramLayer& found) {
    layer.input = found.input.matrix->view;
    layer.recurrent = found.recurrent.matrix->view;
  });
  return layer;
}

struct Cut {
  AlignedBuffer<std::byte> memory;
  UnitParts parts;
};

Cut CutOf(const Layer& layer, size_t units, size_t threads) {
  Arena counting;
  CutUnits(layer.input, layer.recurrent, units, threads, &counting);
  Cut cut{AlignedBuffer<std::byte>(counting.bytes()), {}};
  Arena arena(cut.memory.data());
  cut.parts = CutUnits(layer.input, layer.recurrent, units, threads, &arena);
  EXPECT_EQ(arena.bytes(), counting.bytes());
  return cut;
}

// Each row is in a group of the part that has its unit, and each group with rows in one part.
void ExpectWhole(const UnitParts& parts, const PartGroups* groups, const EncodedView& matrix,
                 size_t units) {
  EXPECT_EQ(parts.units[0], 0u);
  EXPECT_EQ(parts.units[parts.count], units);
  std::vector<size_t> part_of_group(RowGroups(matrix), parts.count);
  for (size_t p = 0; p < parts.count; ++p) {
    EXPECT_LE(parts.units[p], parts.units[p + 1]);
    for (size_t r = 0; r < groups[p].count; ++r) {
      for (size_t group = groups[p].ranges[r].first; group < groups[p].ranges[r].end; ++group) {
        ASSERT_EQ(part_of_group[group], parts.count) << "group " << group << " is in two parts";
        part_of_group[group] = p;
      }
    }
  }
  for (size_t row = 0; row < kGates * units; ++row) {
    const size_t part = part_of_group[GroupOfRow(matrix, static_cast<int64_t>(row))];
    ASSERT_LT(part, parts.count) << "row " << row << " is in no part";
    ASSERT_GE(row % units, parts.units[part]);
    ASSERT_LT(row % units, parts.units[part + 1]);
  }
}

void ExpectWhole(const Layer& layer, const UnitParts& parts, size_t units) {
  ASSERT_NO_FATAL_FAILURE(ExpectWhole(parts, parts.input, layer.input, units));
  ASSERT_NO_FATAL_FAILURE(ExpectWhole(parts, parts.recurrent, layer.recurrent, units));
}

TEST(UnitParts, AreWholeInEveryFormat) {
  for (const FormatSpec& spec : AllFormats()) {
    for (const size_t units : {200, 256, 317}) {
      const Layer layer = LayerOf(spec, static_cast<int64_t>(units));
      for (const size_t threads : {2, 3, 4}) {
        SCOPED_TRACE(FormatName(spec) + " " + std::to_string(units));
        const Cut cut = CutOf(layer, units, threads);
        if (cut.parts.count == 0) continue;
        ASSERT_NO_FATAL_FAILURE(ExpectWhole(layer, cut.parts, units));
      }
    }
  }
}

// Parts that have units.
size_t PartsOf(const char* format, size_t units, size_t threads) {
  const Layer layer = LayerOf(ValueOrDie(FindFormat(format)), static_cast<int64_t>(units));
  const Cut cut = CutOf(layer, units, threads);
  size_t count = 0;
  for (size_t p = 0; p < cut.parts.count; ++p) {
    count += cut.parts.units[p] < cut.parts.units[p + 1] ? 1 : 0;
  }
  return count;
}

TEST(UnitParts, AreOfEveryThreadWhereRowsAllowIt) {
  for (const char* format : {"dense", "csr", "blocked_8x4", "blocked_16x1", "slot_64x16"}) {
    EXPECT_EQ(PartsOf(format, 512, 2), 4u) << format;
    EXPECT_EQ(PartsOf(format, 512, 4), 8u) << format;
  }
  for (const char* format : {"dense_i8", "slot_64x64x4_i8"}) {
    EXPECT_EQ(PartsOf(format, 512, 2), 2u) << format;
    EXPECT_EQ(PartsOf(format, 512, 4), 4u) << format;
    EXPECT_EQ(PartsOf(format, 768, 3), 3u) << format;
  }
}

TEST(UnitParts, AreHalvesOfSortedStrips) {
  for (const char* format : {"slot_8x8", "slot_16x16"}) {
    EXPECT_EQ(PartsOf(format, 512, 2), 2u) << format;
    EXPECT_EQ(PartsOf(format, 512, 3), 0u) << format;  // who shares products has three
    EXPECT_EQ(PartsOf(format, 512, 4), 0u) << format;
    EXPECT_EQ(PartsOf(format, 128, 2), 0u) << format;  // in no sections
  }
}

TEST(UnitParts, AreNoneWhereAGroupHasRowsOfTwoGates) {
  EXPECT_EQ(PartsOf("slot_64x16", 200, 2), 0u);
  EXPECT_EQ(PartsOf("compact", 512, 2), 0u);
}

TEST(UnitParts, AreOfEqualWork) {
  const Layer layer = LayerOf(ValueOrDie(FindFormat("dense")), 256);
  const Cut cut = CutOf(layer, 256, 2);
  ASSERT_EQ(cut.parts.count, 4u);
  for (size_t p = 0; p <= 4; ++p) EXPECT_EQ(cut.parts.units[p], 64 * p);
}

}  // namespace
}  // namespace espalier
