#include "prune/exchange.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

namespace espalier {
namespace {

// Keeps further pieces, the best first, as long as they are within `budget`: past one that is too
// large, unlike KeepBest. Returns what they take.
int64_t KeepWhatFits(std::span<const Piece> pieces, int64_t budget, Keep* keep) {
  std::vector<uint32_t> order;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if ((*keep)[i] == 0 && pieces[i].size <= budget) order.push_back(static_cast<uint32_t>(i));
  }
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(pieces[a].tier, pieces[a].score) > std::pair(pieces[b].tier, pieces[b].score);
  });
  int64_t taken = 0;
  for (const uint32_t i : order) {
    if (taken + pieces[i].size > budget) continue;
    (*keep)[i] = 1;
    taken += pieces[i].size;
  }
  return taken;
}

// ExchangeMasks of one slice.
class SliceExchange {
 public:
  SliceExchange(const Plan& plan, const Slice& slice, std::span<uint8_t> keep)
      : plan_(plan), slice_(slice), keep_(keep), before_(keep.begin(), keep.end()) {
    before_count_ = KeptCount();
  }

  int64_t KeptCount() const { return std::accumulate(keep_.begin(), keep_.end(), int64_t{0}); }
  int64_t lost() const { return before_count_ - KeptCount(); }

  // All but `share` of what was kept, and something of each gate. worth: of the slice.
  void Drop(std::span<const float> worth, Grouping grouping, double share) {
    const Partition all =
        PartitionOf(plan_.granularity, grouping, {worth, before_, slice_.rows, slice_.cols});
    Keep best = KeepBest(all.pool.pieces, KeepBudget(share, before_count_));
    const size_t gate_size = keep_.size() / static_cast<size_t>(slice_.gates);
    for (size_t gate = 0; gate < static_cast<size_t>(slice_.gates); ++gate) {
      int32_t first = -1;
      bool is_alive = false;
      for (size_t i = gate * gate_size; i < (gate + 1) * gate_size && !is_alive; ++i) {
        const int32_t piece = all.piece_of[i];
        if (piece < 0) continue;
        const auto at = static_cast<size_t>(piece);
        is_alive = best[at] != 0;
        const auto score = [&](int32_t p) { return all.pool.pieces[static_cast<size_t>(p)].score; };
        if (first < 0 || score(piece) > score(first)) first = piece;
      }
      if (!is_alive && first >= 0) best[static_cast<size_t>(first)] = 1;
    }
    for (size_t i = 0; i < best.size(); ++i) {
      if (best[i] == 0) ++dropped_[all.pool.pieces[i].size];
    }
    std::fill(keep_.begin(), keep_.end(), uint8_t{0});
    Take(all, best);
  }

  // may_come: of the slice's elements. What was dropped may come back.
  void Regrow(std::span<const float> promise, Grouping grouping,
              std::span<const uint8_t> may_come) {
    promise_ =
        PartitionOf(plan_.granularity, grouping, {promise, may_come, slice_.rows, slice_.cols});
    const std::vector<Piece>& pieces = promise_.pool.pieces;
    come_.assign(pieces.size(), 0);
    // As many of each size as went, so that nothing is left over; then, of slots, what fits.
    for (const auto& [size, count] : dropped_) {
      std::vector<Piece> alike;
      std::vector<size_t> places;
      for (size_t i = 0; i < pieces.size(); ++i) {
        if (pieces[i].size != size) continue;
        alike.push_back(pieces[i]);
        places.push_back(i);
      }
      const Keep best = KeepBest(alike, size * count);
      for (size_t i = 0; i < best.size(); ++i) come_[places[i]] = best[i];
    }
    Take(promise_, come_);
    RegrowMore(lost());
  }

  // Of what may come, as much as fits. Returns it.
  int64_t RegrowMore(int64_t budget) {
    const int64_t taken = KeepWhatFits(promise_.pool.pieces, budget, &come_);
    Take(promise_, come_);
    return taken;
  }

 private:
  void Take(const Partition& from, const Keep& best) {
    for (size_t i = 0; i < keep_.size(); ++i) {
      const int32_t piece = from.piece_of[i];
      if (piece >= 0 && best[static_cast<size_t>(piece)] != 0) keep_[i] = 1;
    }
  }

  const Plan& plan_;
  const Slice& slice_;
  std::span<uint8_t> keep_;
  std::vector<uint8_t> before_;
  int64_t before_count_ = 0;
  std::map<int32_t, int64_t> dropped_;  // how many pieces of a size
  Partition promise_;
  Keep come_;
};

}  // namespace

Result<MaskSet> ExchangeMasks(const Plan& plan, double amount, const Criterion& regrow,
                              double share, uint64_t seed, const StatisticsSet& statistics,
                              const MaskSet& fixed, const MaskSet& masks) {
  ESPALIER_ASSIGN_OR_RETURN(const SaliencySet worth, SaliencyOfPlan(plan, statistics, masks));
  ESPALIER_ASSIGN_OR_RETURN(const SaliencySet promise,
                            SaliencyOfAll(plan, regrow, seed, statistics));
  MaskSet exchanged = masks;
  std::vector<SliceExchange> exchanges;
  int64_t missing = 0;  // from what the sparsity leaves
  for (const Pool& pool : plan.cut.pools) missing += pool.size;
  missing = KeepBudget(amount, missing);
  for (const Slice& slice : plan.cut.slices) {
    const auto first = static_cast<size_t>(slice.first_row * slice.cols);
    const auto size = static_cast<size_t>(slice.rows * slice.cols);
    const auto part_of = [&](const SaliencySet& saliency) {
      return std::span(saliency.at(slice.weight)).subspan(first, size);
    };
    const std::span<uint8_t> keep = std::span(exchanged.at(slice.weight).keep).subspan(first, size);
    SliceExchange& exchange = exchanges.emplace_back(plan, slice, keep);
    exchange.Drop(part_of(worth), plan.criterion->grouping, share);
    const auto allowed = fixed.find(slice.weight);
    std::vector<uint8_t> may_come(size);
    for (size_t i = 0; i < size; ++i) {
      const bool is_allowed = allowed == fixed.end() || allowed->second.keep[first + i] != 0;
      may_come[i] = keep[i] == 0 && is_allowed;
    }
    exchange.Regrow(part_of(promise), regrow.grouping, may_come);
    missing -= exchange.KeptCount();
  }
  // Slots are made anew, of other sizes, and may leave a rest. It goes to slices that have less
  // than their own sparsity leaves, where that is known, and else than they had.
  for (size_t i = 0; i < exchanges.size() && missing > 0; ++i) {
    SliceExchange& exchange = exchanges[i];
    const Pool& pool = plan.cut.pools[i];
    int64_t room = exchange.lost();
    if (plan.allocation == &allocations::uniform) {
      room = KeepBudget(amount, pool.size) - exchange.KeptCount();
    } else if (plan.allocation == &allocations::given) {
      room = KeepBudget(pool.sparsity * amount / plan.sparsity, pool.size) - exchange.KeptCount();
    }
    if (room > 0) missing -= exchange.RegrowMore(std::min(room, missing));
  }
  return exchanged;
}

}  // namespace espalier
