#include "prune/pieces.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "base/status.h"
#include "prune/units.h"

namespace espalier {
namespace {

size_t Idx(int64_t value) { return static_cast<size_t>(value); }

void AppendSlices(const Plan& plan, const std::map<std::string, size_t>& offsets, Pieces* pieces) {
  for (size_t i = 0; i < plan.cut.slices.size(); ++i) {
    const Slice& slice = plan.cut.slices[i];
    const std::vector<float> equal(Idx(slice.rows * slice.cols), 1.0f);
    const Partition partition =
        PartitionOf(plan.granularity, Grouping::kNorm, {equal, {}, slice.rows, slice.cols});
    const size_t first = offsets.at(slice.weight) + Idx(slice.first_row * slice.cols);
    const auto first_piece = static_cast<int32_t>(pieces->pool_of.size());
    for (size_t element = 0; element < equal.size(); ++element) {
      const int32_t piece = first_piece + partition.piece_of[element];
      pieces->members.push_back({static_cast<uint32_t>(first + element), piece, -1});
    }
    pieces->pool_of.insert(pieces->pool_of.end(), partition.pool.pieces.size(),
                           static_cast<int32_t>(i));
  }
}

void AppendLines(const Graph& graph, const Plan& plan, const std::map<std::string, size_t>& offsets,
                 Pieces* pieces) {
  const auto is_embedding = [&](const std::string& name) {
    return FindOwner(graph, name)->op == Op::kEmbedding;
  };
  // Pieces that an Embedding makes, if others read them within the piece.
  std::set<int32_t> made;
  for (const auto& [name, axes] : plan.cut.lines.weights) {
    if (is_embedding(name)) made.insert(axes.cols.begin(), axes.cols.end());
  }
  for (const auto& [name, axes] : plan.cut.lines.weights) {
    const size_t first = offsets.at(name);
    const size_t size = graph.weights.at(name).size();
    const size_t cols = Idx(graph.weights.at(name).dim(1));
    for (size_t i = 0; i < size; ++i) {
      const int32_t piece = axes.rows.empty() ? axes.cols[i % cols] : axes.rows[i / cols];
      if (piece < 0) continue;
      const bool is_gated = is_embedding(name) || !made.contains(piece);
      pieces->members.push_back(
          {static_cast<uint32_t>(first + i), is_gated ? piece : -1, is_gated ? -1 : piece});
    }
  }
  pieces->pool_of = plan.cut.lines.pool_of;
}

void AppendUnits(const Graph& graph, const Plan& plan, const std::map<std::string, size_t>& offsets,
                 Pieces* pieces) {
  const Coupling& coupling = plan.coupling;
  const Keep may_go = RemovableGroups(coupling, plan.unit_layers);
  std::vector<int32_t> piece_of(coupling.groups.size(), -1);
  const std::vector<std::vector<int32_t>> by_pool = GroupsOfPools(coupling, plan.unit_layers);
  for (size_t pool = 0; pool < by_pool.size(); ++pool) {
    for (const int32_t group : by_pool[pool]) {
      if (may_go[Idx(group)] == 0) continue;
      piece_of[Idx(group)] = static_cast<int32_t>(pieces->pool_of.size());
      pieces->pool_of.push_back(static_cast<int32_t>(pool));
    }
  }
  const auto piece = [&](int32_t group) { return group < 0 ? -1 : piece_of[Idx(group)]; };
  for (const auto& [name, axes] : coupling.weights) {
    if (axes.cols.empty()) continue;
    const bool makes_cols = !IsMultiplied(graph, name);
    uint32_t element = static_cast<uint32_t>(offsets.at(name));
    for (const int32_t row_group : axes.rows) {
      for (const int32_t col_group : axes.cols) {
        PieceMember member{element++, piece(col_group), piece(row_group)};
        if (makes_cols) std::swap(member.gate, member.also);
        if (member.gate == member.also) member.also = -1;
        if (member.gate >= 0 || member.also >= 0) pieces->members.push_back(member);
      }
    }
  }
}

}  // namespace

Pieces FindPieces(const Graph& graph, const Plan& plan,
                  const std::map<std::string, size_t>& offsets) {
  const Granularity& kind = *plan.granularity.kind;
  ESPALIER_ASSERT(!kind.follows_saliency);
  Pieces pieces;
  pieces.pools = static_cast<int32_t>(plan.cut.pools.size());
  switch (kind.extent) {
    case Extent::kWeight: AppendSlices(plan, offsets, &pieces); break;
    case Extent::kLines: AppendLines(graph, plan, offsets, &pieces); break;
    case Extent::kUnits: AppendUnits(graph, plan, offsets, &pieces); break;
  }
  std::sort(pieces.members.begin(), pieces.members.end(),
            [](const PieceMember& a, const PieceMember& b) { return a.element < b.element; });
  pieces.sizes.assign(pieces.pool_of.size(), 0);
  for (const PieceMember& member : pieces.members) {
    member.ForEachPiece([&](size_t piece) { ++pieces.sizes[piece]; });
  }
  // Slices are in the order of names, as offsets are.
  pieces.is_single = plan.granularity.kind == &granularities::element;
  return pieces;
}

std::vector<double> PieceNorms(const Pieces& pieces, std::span<const float> weights) {
  std::vector<double> norms(pieces.count(), 0.0);
  for (const PieceMember& member : pieces.members) {
    const auto weight = static_cast<double>(weights[member.element]);
    member.ForEachPiece([&](size_t piece) { norms[piece] += weight * weight; });
  }
  for (double& norm : norms) norm = std::sqrt(norm);
  return norms;
}

}  // namespace espalier
