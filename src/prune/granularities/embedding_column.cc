// Embedding column granularity: one feature of an Embedding, its column there and the column that
// reads it in every consumer, found by coupling (coupling.h), also through Dropout and Concat. A
// feature that Add or a tied Gemm joins with what another layer makes stays, since that layer's
// rows would have to go with it, and so does one that reaches an output.
#include <algorithm>
#include <vector>

#include "prune/granularity.h"

namespace espalier::granularities {
namespace {

// Why a feature stays, or "".
std::string ReasonToStay(const Coupling& coupling, int32_t feature) {
  const UnitGroup& group = coupling.groups[static_cast<size_t>(feature)];
  if (!group.pinned.empty()) return group.pinned;
  for (const auto& [name, axes] : coupling.weights) {
    if (std::find(axes.rows.begin(), axes.rows.end(), feature) != axes.rows.end()) {
      return "is one with what " + name + " makes";
    }
  }
  return "";
}

// The columns of all weights that read the features, by piece.
void AppendReaders(const Coupling& coupling, const std::map<int32_t, int32_t>& piece_of,
                   Lines* lines) {
  for (const auto& [name, axes] : coupling.weights) {
    std::vector<int32_t> cols(axes.cols.size(), -1);
    bool reads = false;
    for (size_t col = 0; col < cols.size(); ++col) {
      const auto piece = piece_of.find(axes.cols[col]);
      if (piece == piece_of.end()) continue;
      reads = true;
      cols[col] = piece->second;
      Pool& pool =
          lines->pools[static_cast<size_t>(lines->pool_of[static_cast<size_t>(piece->second)])];
      pool.size += static_cast<int64_t>(axes.rows.size());
    }
    if (reads) lines->weights[name].cols = std::move(cols);
  }
}

Result<Lines> Find(const Graph& graph, const std::set<std::string>& chosen, Per per) {
  if (per == Per::kGate) {
    return Unsupported(
        "granularity 'embedding_column': per tensor expected, since a feature is "
        "read by all gates, per gate found");
  }
  ESPALIER_ASSIGN_OR_RETURN(const Coupling coupling, FindCoupling(graph));
  Lines lines;
  std::map<int32_t, int32_t> piece_of;  // by feature
  std::string reason;
  for (const std::string& name : chosen) {
    const Tensor& weight = graph.weights.at(name);
    Pool pool;
    pool.name = name;
    pool.weights = {name};
    pool.rows = weight.dim(0);
    for (const int32_t feature : coupling.weights.at(name).cols) {
      const std::string why = ReasonToStay(coupling, feature);
      if (!why.empty()) reason = "a feature of " + name + " " + why;
      if (!why.empty() || piece_of.contains(feature)) continue;
      piece_of[feature] = static_cast<int32_t>(lines.pool_of.size());
      lines.pool_of.push_back(static_cast<int32_t>(lines.pools.size()));
      ++pool.cols;
    }
    if (pool.cols > 0) lines.pools.push_back(std::move(pool));
  }
  if (lines.pools.empty()) {
    return Unsupported("granularity 'embedding_column': no feature can be removed, " + reason);
  }
  AppendReaders(coupling, piece_of, &lines);
  return lines;
}

}  // namespace

const Granularity embedding_column = {
    "embedding_column",
    "one column (feature) of an Embedding and the columns that read it; mean saliency",
    "Scardapane et al. 2017, arXiv:1607.00485",
    Tile::kNone,
    Extent::kLines,
    Domain::kEmbeddings,
    nullptr,
    nullptr,
    Find};

}  // namespace espalier::granularities
