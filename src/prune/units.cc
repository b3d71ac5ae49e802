#include "prune/units.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace espalier {
namespace {

size_t Idx(int64_t value) { return static_cast<size_t>(value); }

// Calls visit(element, row group, column group) for each element of a weight.
template <typename Visit>
void VisitElements(const WeightAxes& axes, const Visit& visit) {
  size_t element = 0;
  for (const int32_t row : axes.rows) {
    if (axes.cols.empty()) {
      visit(element++, row, -1);
      continue;
    }
    for (const int32_t col : axes.cols) visit(element++, row, col);
  }
}

// Groups that touch the same layers equally often: they compete with each other.
struct Candidates {
  std::vector<int32_t> layers;  // ascending; one that is touched twice is there twice
  std::vector<size_t> groups;
};

// Without Add between layers that is one entry a layer.
std::vector<Candidates> CandidatesOf(const Coupling& coupling, const std::vector<uint8_t>& may_go) {
  std::map<std::vector<int32_t>, std::vector<size_t>> by_layers;
  for (size_t i = 0; i < coupling.groups.size(); ++i) {
    std::vector<int32_t> layers;
    for (const Unit& unit : coupling.groups[i].units) layers.push_back(unit.layer);
    const bool is_candidate =
        !layers.empty() && std::all_of(layers.begin(), layers.end(), [&](int32_t layer) {
          return may_go.empty() || may_go[Idx(layer)] != 0;
        });
    if (!is_candidate) continue;
    std::sort(layers.begin(), layers.end());
    by_layers[layers].push_back(i);
  }
  std::vector<Candidates> candidates;
  for (auto& [layers, groups] : by_layers) candidates.push_back({layers, std::move(groups)});
  return candidates;
}

double SpreadOf(const std::vector<Piece>& pieces) {
  double squares = 0.0;
  for (const Piece& piece : pieces) squares += static_cast<double>(piece.score) * piece.score;
  return pieces.empty() ? 0.0 : std::sqrt(squares / static_cast<double>(pieces.size()));
}

// Both directions of a node must keep equally many units. So that a ranking over all layers gives
// them that, the r-th best of either gets the mean of the two scores.
void PairDirections(const Coupling& coupling, const std::vector<Candidates>& candidates,
                    std::vector<Pool>* pools) {
  const auto ranking = [](const Pool& pool) {
    std::vector<size_t> order(pool.pieces.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      const Piece& x = pool.pieces[a];
      const Piece& y = pool.pieces[b];
      return x.tier != y.tier ? x.tier > y.tier : x.score > y.score;
    });
    return order;
  };
  const auto single_layer = [&](size_t i) -> const UnitLayer* {
    const bool is_single = candidates[i].layers.size() == 1;
    return is_single ? &coupling.layers[Idx(candidates[i].layers[0])] : nullptr;
  };
  for (size_t i = 0; i + 1 < candidates.size(); ++i) {
    for (size_t j = i + 1; j < candidates.size(); ++j) {
      const UnitLayer* forward = single_layer(i);
      const UnitLayer* reverse = single_layer(j);
      if (!forward || !reverse || !forward->IsAsWideAs(*reverse)) continue;
      const std::vector<size_t> a = ranking((*pools)[i]);
      const std::vector<size_t> b = ranking((*pools)[j]);
      for (size_t rank = 0; rank < std::min(a.size(), b.size()); ++rank) {
        float& x = (*pools)[i].pieces[a[rank]].score;
        float& y = (*pools)[j].pieces[b[rank]].score;
        x = y = 0.5f * (x + y);
      }
    }
  }
}

// The smallest count that layer `i` may keep, given what `keep` keeps.
int64_t WantedCount(const Coupling& coupling, size_t i, int64_t multiple, const Keep& keep) {
  int64_t wanted = 1;
  for (const UnitLayer& layer : coupling.layers) {
    if (layer.IsAsWideAs(coupling.layers[i])) wanted = std::max(wanted, KeptCount(layer, keep));
  }
  return std::min((wanted + multiple - 1) / multiple * multiple, coupling.layers[i].units);
}

}  // namespace

std::vector<float> UnitScores(const Coupling& coupling, Grouping grouping,
                              const std::map<std::string, std::vector<float>>& saliency) {
  ESPALIER_ASSERT(grouping != Grouping::kSquaredSum);
  std::vector<double> sum(coupling.groups.size(), 0.0);
  for (const auto& [name, axes] : coupling.weights) {
    const auto it = saliency.find(name);
    if (it == saliency.end() || axes.cols.empty()) continue;
    VisitElements(axes, [&](size_t element, int32_t row, int32_t col) {
      const auto saliency_of = static_cast<double>(it->second[element]);
      const double part = grouping == Grouping::kNorm ? saliency_of * saliency_of : saliency_of;
      const auto join = [&](int32_t group) {
        double& total = sum[Idx(group)];
        total = grouping == Grouping::kLargest ? std::max(total, part) : total + part;
      };
      if (row >= 0) join(row);
      if (col >= 0 && col != row) join(col);
    });
  }
  std::vector<float> scores;
  for (const double total : sum) {
    const double score = grouping == Grouping::kNorm        ? std::sqrt(total)
                         : grouping == Grouping::kSignedSum ? std::abs(total)
                                                            : total;
    scores.push_back(static_cast<float>(score));
  }
  return scores;
}

Keep RemovableGroups(const Coupling& coupling, const std::vector<uint8_t>& layers) {
  Keep may_go;
  for (const UnitGroup& group : coupling.groups) {
    const bool is_chosen =
        std::all_of(group.units.begin(), group.units.end(),
                    [&](const Unit& unit) { return layers[Idx(unit.layer)] != 0; });
    may_go.push_back(is_chosen && !group.units.empty() && group.pinned.empty());
  }
  return may_go;
}

std::vector<Pool> UnitPools(const Coupling& coupling, const std::vector<uint8_t>& layers) {
  std::vector<Pool> pools;
  for (const Candidates& candidates : CandidatesOf(coupling, layers)) {
    Pool& pool = pools.emplace_back();
    for (const size_t group : candidates.groups) {
      pool.size += static_cast<int64_t>(coupling.groups[group].units.size());
    }
    for (const int32_t index : candidates.layers) {
      const UnitLayer& layer = coupling.layers[Idx(index)];
      if (!pool.name.empty()) pool.name += '+';
      pool.name += layer.name();
      const std::string suffix = layer.reverse ? "_reverse" : "";
      int64_t cols = 0;  // of the layer's matrices side by side
      int64_t rows = 0;
      const std::vector<const char*> weights =
          layer.part == UnitLayer::Part::kProjection
              ? std::vector<const char*>{".weight_hr"}
              : std::vector<const char*>{".weight_ih", ".weight_hh", ".weight"};
      for (const char* weight : weights) {
        const auto it = coupling.weights.find(layer.node + weight + suffix);
        if (it == coupling.weights.end()) continue;
        pool.weights.push_back(it->first);
        rows = static_cast<int64_t>(it->second.rows.size());
        cols += static_cast<int64_t>(it->second.cols.size());
      }
      pool.rows += rows;
      pool.cols = std::max(pool.cols, cols);
    }
  }
  return pools;
}

std::vector<std::vector<int32_t>> GroupsOfPools(const Coupling& coupling,
                                                const std::vector<uint8_t>& layers) {
  std::vector<std::vector<int32_t>> groups;
  for (const Candidates& candidates : CandidatesOf(coupling, layers)) {
    groups.emplace_back(candidates.groups.begin(), candidates.groups.end());
  }
  return groups;
}

Keep SelectUnits(const Coupling& coupling, const std::vector<float>& scores,
                 const UnitSelection& selection) {
  Keep keep(coupling.groups.size(), 1);
  std::vector<float> balance_scores = scores;
  std::vector<Candidates> candidates = CandidatesOf(coupling, selection.layers);
  std::vector<Pool> pools =
      selection.pools.empty() ? UnitPools(coupling, selection.layers) : selection.pools;
  for (size_t i = 0; i < candidates.size(); ++i) {
    std::vector<size_t> alive;
    for (const size_t group : candidates[i].groups) {
      const auto size = static_cast<int32_t>(coupling.groups[group].units.size());
      const bool pinned = !coupling.groups[group].pinned.empty();
      if (!pinned && !selection.alive.empty() && selection.alive[group] == 0) {
        keep[group] = 0;
        balance_scores[group] =
            std::numeric_limits<float>::lowest();  // back only when nothing else is left
        continue;
      }
      alive.push_back(group);
      pools[i].pieces.push_back({scores[group], size, pinned ? 1 : 0});
    }
    candidates[i].groups = std::move(alive);
    pools[i].spread = SpreadOf(pools[i].pieces);
  }
  PairDirections(coupling, candidates, &pools);
  const std::vector<Keep> kept = selection.allocation->allocate(pools, selection.budget);
  for (size_t i = 0; i < candidates.size(); ++i) {
    for (size_t j = 0; j < kept[i].size(); ++j) {
      const size_t group = candidates[i].groups[j];
      keep[group] = kept[i][j] != 0 || !coupling.groups[group].pinned.empty();
    }
  }
  BalanceUnits(coupling, balance_scores, selection.multiple, &keep);
  return keep;
}

void BalanceUnits(const Coupling& coupling, const std::vector<float>& scores, int64_t multiple,
                  Keep* keep) {
  const auto add_best = [&](const std::vector<int32_t>& groups) {
    int32_t best = -1;
    for (const int32_t group : groups) {
      if ((*keep)[Idx(group)] != 0) continue;
      if (best < 0 || scores[Idx(group)] > scores[Idx(best)]) best = group;
    }
    (*keep)[Idx(best)] = 1;
  };
  for (const NodeFeatures& value : coupling.values) {
    if (KeptCount(value.groups, *keep) == 0) add_best(value.groups);
  }
  // Ends: each turn adds a group, and with all of them every layer keeps all.
  for (size_t i = 0; i < coupling.layers.size();) {
    const UnitLayer& layer = coupling.layers[i];
    if (KeptCount(layer, *keep) >= WantedCount(coupling, i, multiple, *keep)) {
      ++i;
      continue;
    }
    add_best(layer.groups);
    i = 0;  // the group may be part of layers that were in balance
  }
}

MaskSet UnitMasks(const Coupling& coupling, const Keep& keep) {
  const auto stays = [&](int32_t group) { return group < 0 || keep[Idx(group)] != 0; };
  MaskSet masks;
  for (const auto& [name, axes] : coupling.weights) {
    if (std::all_of(axes.rows.begin(), axes.rows.end(), stays) &&
        std::all_of(axes.cols.begin(), axes.cols.end(), stays)) {
      continue;
    }
    Mask& mask = masks[name] = Mask(ShapeOf(axes));
    VisitElements(axes, [&](size_t element, int32_t row, int32_t col) {
      mask.keep[element] = stays(row) && stays(col);
    });
  }
  return masks;
}

Keep AliveGroups(const Coupling& coupling, const MaskSet& masks) {
  // Gone: it has masked elements and no kept one.
  Keep has_kept(coupling.groups.size(), 0);
  for (const auto& [name, axes] : coupling.weights) {
    const auto it = masks.find(name);
    VisitElements(axes, [&](size_t element, int32_t row, int32_t col) {
      if (it != masks.end() && it->second.keep[element] == 0) return;
      if (row >= 0) has_kept[Idx(row)] = 1;
      if (col >= 0) has_kept[Idx(col)] = 1;
    });
  }
  for (size_t i = 0; i < has_kept.size(); ++i) {
    if (coupling.groups[i].units.empty() || !coupling.groups[i].pinned.empty()) has_kept[i] = 1;
  }
  return has_kept;
}

}  // namespace espalier
