#include "prune/partition.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace espalier {
namespace {

Partition EmptyPartition(const SaliencyView& view) {
  Partition partition;
  partition.piece_of.assign(view.saliency.size(), -1);
  partition.pool.size = static_cast<int64_t>(view.saliency.size());
  return partition;
}

}  // namespace

Partition PartitionByLabel(const SaliencyView& view, std::span<const int32_t> label_of,
                           int32_t labels) {
  Partition partition = EmptyPartition(view);
  std::vector<Piece>& pieces = partition.pool.pieces;
  std::vector<int32_t> piece_of_label(static_cast<size_t>(labels), -1);
  std::vector<double> sums;
  for (size_t i = 0; i < view.saliency.size(); ++i) {
    if (!view.IsAlive(i)) continue;
    int32_t& piece = piece_of_label[static_cast<size_t>(label_of[i])];
    if (piece < 0) {
      piece = static_cast<int32_t>(pieces.size());
      pieces.push_back({.score = 0.0f, .size = 0});
      sums.push_back(0.0);
    }
    sums[static_cast<size_t>(piece)] += view.saliency[i];
    ++pieces[static_cast<size_t>(piece)].size;
    partition.piece_of[i] = piece;
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    pieces[i].score = static_cast<float>(sums[i] / pieces[i].size);
  }
  return partition;
}

Partition PartitionBalanced(const SaliencyView& view, std::span<const int32_t> bank_of,
                            int32_t banks) {
  Partition partition = EmptyPartition(view);
  const auto is_larger = [&](uint32_t a, uint32_t b) {
    return view.saliency[a] != view.saliency[b] ? view.saliency[a] > view.saliency[b] : a < b;
  };
  std::vector<uint32_t> order(view.saliency.size());  // elements, the largest first
  std::iota(order.begin(), order.end(), 0u);
  std::erase_if(order, [&](uint32_t i) { return !view.IsAlive(i); });
  std::sort(order.begin(), order.end(), is_larger);
  std::vector<uint32_t> seen(static_cast<size_t>(banks), 0);  // elements of each bank so far
  std::vector<std::vector<uint32_t>> rounds;
  for (const uint32_t i : order) {
    const uint32_t round = seen[static_cast<size_t>(bank_of[i])]++;
    if (round == rounds.size()) rounds.emplace_back();
    rounds[round].push_back(i);
  }
  // A round of fewer banks (short ones have run out) may have the larger mean.
  float score = std::numeric_limits<float>::max();
  for (const std::vector<uint32_t>& round : rounds) {
    double sum = 0.0;
    for (const uint32_t i : round) sum += view.saliency[i];
    score = std::min(score, static_cast<float>(sum / static_cast<double>(round.size())));
    for (const uint32_t i : round) {
      partition.piece_of[i] = static_cast<int32_t>(partition.pool.pieces.size());
      partition.pool.pieces.push_back({.score = score});
    }
  }
  return partition;
}

}  // namespace espalier
