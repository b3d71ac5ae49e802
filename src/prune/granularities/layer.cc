// Layer granularity: one whole matrix. All chosen matrices are one pool, whatever the allocation,
// since of one matrix alone nothing could go. A layer whose weight_hh goes has no memory, one whose
// weight_ih goes reads nothing; at least one matrix stays.
#include "prune/granularity.h"

namespace espalier::granularities {
namespace {

Result<Lines> Find(const Graph& graph, const std::set<std::string>& chosen, Per per) {
  if (per == Per::kGate) {
    return Unsupported(
        "granularity 'layer': per tensor expected, since a piece is a whole matrix, "
        "per gate found");
  }
  Lines lines;
  Pool pool;
  pool.name = "matrices";
  for (const std::string& name : chosen) {
    const Tensor& weight = graph.weights.at(name);
    const auto piece = static_cast<int32_t>(lines.pool_of.size());
    lines.weights[name].rows.assign(static_cast<size_t>(weight.dim(0)), piece);
    lines.pool_of.push_back(0);
    pool.weights.push_back(name);
    pool.rows += weight.dim(0);
    pool.cols += weight.dim(1);
    pool.size += weight.dim(0) * weight.dim(1);
  }
  lines.pools.push_back(std::move(pool));
  return lines;
}

}  // namespace

const Granularity layer = {"layer",
                           "one whole matrix, among all that are chosen; mean saliency",
                           "Wen et al. 2016, arXiv:1608.03665",
                           Tile::kNone,
                           Extent::kLines,
                           Domain::kMatrices,
                           nullptr,
                           nullptr,
                           Find};

}  // namespace espalier::granularities
