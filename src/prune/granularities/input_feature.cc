// Input feature granularity: one feature of what recurrent layers read, its columns in every
// weight_ih that reads it: both directions of a layer, and other layers on the same value. Found by
// coupling (coupling.h), so also through Dropout and Concat. Features that the same matrices read
// compete with each other.
#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "prune/granularity.h"

namespace espalier::granularities {
namespace {

// The axes of every weight_ih that reads a feature which a chosen one reads too.
std::map<std::string, std::vector<int32_t>> Readers(const Graph& graph, const Coupling& coupling,
                                                    const std::set<std::string>& chosen) {
  std::set<int32_t> features;
  for (const std::string& name : chosen) {
    const std::vector<int32_t>& cols = coupling.weights.at(name).cols;
    features.insert(cols.begin(), cols.end());
  }
  std::map<std::string, std::vector<int32_t>> readers;
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kRecurrent) continue;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      std::vector<int32_t> cols = coupling.weights.at(direction.weight_ih).cols;
      bool reads = false;
      for (int32_t& feature : cols) {
        if (!features.contains(feature)) feature = -1;
        reads |= feature >= 0;
      }
      if (reads) readers[direction.weight_ih] = std::move(cols);
    }
  }
  return readers;
}

Result<Lines> Find(const Graph& graph, const std::set<std::string>& chosen, Per per) {
  if (per == Per::kGate) {
    return Unsupported(
        "granularity 'input_feature': per tensor expected, since a feature is read by "
        "all gates, per gate found");
  }
  ESPALIER_ASSIGN_OR_RETURN(const Coupling coupling, FindCoupling(graph));
  const auto readers = Readers(graph, coupling, chosen);
  std::map<int32_t, std::vector<std::string>> readers_of;  // by feature
  for (const auto& [name, cols] : readers) {
    for (const int32_t feature : cols) {
      if (feature < 0) continue;
      std::vector<std::string>& names = readers_of[feature];
      if (names.empty() || names.back() != name) names.push_back(name);
    }
  }
  Lines lines;
  std::map<int32_t, int32_t> piece_of;
  std::map<std::string, int32_t> pool_of;
  for (const auto& [feature, names] : readers_of) {
    const std::string name = StrJoin(names, "+");
    const auto [pool, is_new] = pool_of.emplace(name, static_cast<int32_t>(lines.pools.size()));
    if (is_new) {
      lines.pools.emplace_back().name = name;
      lines.pools.back().weights = names;
      for (const std::string& reader : names) {
        lines.pools.back().rows += graph.weights.at(reader).dim(0);
      }
    }
    piece_of[feature] = static_cast<int32_t>(lines.pool_of.size());
    lines.pool_of.push_back(pool->second);
    ++lines.pools[static_cast<size_t>(pool->second)].cols;
  }
  for (const auto& [name, features] : readers) {
    std::vector<int32_t>& cols = lines.weights[name].cols;
    for (const int32_t feature : features) cols.push_back(feature < 0 ? -1 : piece_of.at(feature));
    for (const int32_t piece : cols) {
      if (piece < 0) continue;
      lines.pools[static_cast<size_t>(lines.pool_of[static_cast<size_t>(piece)])].size +=
          graph.weights.at(name).dim(0);
    }
  }
  return lines;
}

}  // namespace

const Granularity input_feature = {
    "input_feature",
    "one feature's columns in every weight_ih that reads it; mean saliency",
    "Scardapane et al. 2017, arXiv:1607.00485",
    Tile::kNone,
    Extent::kLines,
    Domain::kInput,
    nullptr,
    nullptr,
    Find};

}  // namespace espalier::granularities
