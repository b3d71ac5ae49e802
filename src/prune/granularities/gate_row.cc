// Gate row granularity: what one gate of one hidden unit computes from, row g*H + k of weight_ih
// and of weight_hh together. Where it is gone the gate is a constant of its biases, which stay.
#include <vector>

#include "prune/granularity.h"

namespace espalier::granularities {
namespace {

void AppendDirection(const Node& node, const RecurrentDirection& direction, const Graph& graph,
                     Per per, Lines* lines) {
  const CellInfo& cell = InfoOf(node.cell);
  const int64_t features = graph.weights.at(direction.weight_ih).dim(1);
  std::vector<int32_t> rows;
  for (int64_t gate = 0; gate < cell.gates; ++gate) {
    if (gate == 0 || per == Per::kGate) {
      const std::string suffix = per == Per::kGate ? GateSuffix(cell, gate) : "";
      Pool pool;
      pool.name = node.name + (direction.reverse ? "_reverse" : "") + suffix;
      pool.weights = {direction.weight_ih + suffix, direction.weight_hh + suffix};
      pool.rows = per == Per::kGate ? node.hidden_size : cell.gates * node.hidden_size;
      pool.cols = features + StateSizeOf(node);
      pool.size = pool.rows * pool.cols;
      lines->pools.push_back(std::move(pool));
    }
    for (int64_t unit = 0; unit < node.hidden_size; ++unit) {
      rows.push_back(static_cast<int32_t>(lines->pool_of.size()));
      lines->pool_of.push_back(static_cast<int32_t>(lines->pools.size()) - 1);
      if (per == Per::kTensor) lines->gate_of.push_back(static_cast<int32_t>(gate));
    }
  }
  lines->weights[direction.weight_ih] = {rows, {}};
  lines->weights[direction.weight_hh] = {std::move(rows), {}};
}

// A direction takes part if one of its two matrices is chosen.
Result<Lines> Find(const Graph& graph, const std::set<std::string>& chosen, Per per) {
  Lines lines;
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kRecurrent) continue;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      if (!chosen.contains(direction.weight_ih) && !chosen.contains(direction.weight_hh)) continue;
      AppendDirection(node, direction, graph, per, &lines);
    }
  }
  return lines;
}

}  // namespace

const Granularity gate_row = {"gate_row",
                              "one gate's row of [weight_ih weight_hh]; mean saliency",
                              "Lobacheva et al. 2018, arXiv:1812.05692",
                              Tile::kNone,
                              Extent::kLines,
                              Domain::kRecurrent,
                              nullptr,
                              nullptr,
                              Find};

}  // namespace espalier::granularities
