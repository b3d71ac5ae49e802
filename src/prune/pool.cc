#include "prune/pool.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace espalier {

int64_t KeepBudget(double sparsity, int64_t size) {
  return size - static_cast<int64_t>(std::floor(sparsity * static_cast<double>(size) + 1e-6));
}

Keep KeepBest(std::span<const Piece> pieces, int64_t budget) {
  std::vector<uint32_t> order(pieces.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto is_better = [&](uint32_t a, uint32_t b) {
    if (pieces[a].tier != pieces[b].tier) return pieces[a].tier > pieces[b].tier;
    if (pieces[a].score != pieces[b].score) return pieces[a].score > pieces[b].score;
    return a < b;
  };
  // Kept: [0, low), all better than the rest; dropped: [high, n). Each turn halves what is open.
  Keep keep(pieces.size(), 0);
  size_t low = 0;
  size_t high = pieces.size();
  while (low < high) {
    const size_t middle = low + (high - low - 1) / 2;
    const auto begin = order.begin();
    std::nth_element(begin + static_cast<ptrdiff_t>(low), begin + static_cast<ptrdiff_t>(middle),
                     begin + static_cast<ptrdiff_t>(high), is_better);
    int64_t cost = 0;
    for (size_t i = low; i <= middle; ++i) cost += pieces[order[i]].size;
    if (cost > budget) {
      high = middle;
      continue;
    }
    budget -= cost;
    for (size_t i = low; i <= middle; ++i) keep[order[i]] = 1;
    low = middle + 1;
  }
  return keep;
}

size_t BestPiece(std::span<const Piece> pieces) {
  const auto best =
      std::max_element(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
        return a.tier != b.tier ? a.tier < b.tier : a.score < b.score;
      });
  return static_cast<size_t>(best - pieces.begin());
}

}  // namespace espalier
