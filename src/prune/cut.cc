#include "prune/cut.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "base/strings.h"

namespace espalier {
namespace {

size_t Idx(int64_t value) { return static_cast<size_t>(value); }

bool IsIn(const Graph& graph, const std::string& name, Domain domain) {
  const Node& owner = *FindOwner(graph, name);
  switch (domain) {
    case Domain::kMatrices: return true;
    case Domain::kRecurrent: return owner.op == Op::kRecurrent;
    case Domain::kInput:
      return owner.op == Op::kRecurrent && name.find(".weight_ih") != std::string::npos;
    case Domain::kEmbeddings: return owner.op == Op::kEmbedding;
  }
  return false;
}

// A strip of rows that straddles two gates would be cut in two by the pools, and in one by the
// format that stores it.
Status CheckStrips(const GranularitySpec& spec, const std::string& name, int64_t rows,
                   int64_t cols) {
  const bool has_strips = spec.kind->tile >= Tile::kRowsByCols;
  if (!has_strips || rows % spec.rows == 0) return Ok();
  GranularitySpec nearest = spec;
  int64_t gap = -1;
  for (int64_t divisor = 1; divisor <= rows; ++divisor) {
    GranularitySpec fitting = spec;
    fitting.rows = static_cast<int32_t>(divisor);
    if (rows % divisor != 0 || !spec.kind->check(fitting, name, rows, cols).ok()) continue;
    if (gap >= 0 && std::abs(divisor - spec.rows) > gap) continue;
    gap = std::abs(divisor - spec.rows);
    nearest = fitting;
  }
  return InvalidArgument(StrCat(name, " (", rows, "x", cols, "): a tile whose rows divide the ",
                                rows, " of a gate expected, ", GranularityName(spec), " found",
                                gap < 0 ? "" : "; the nearest that fits is ",
                                gap < 0 ? "" : GranularityName(nearest)));
}

Status AppendSlices(const Graph& graph, const std::string& weight, Per per, Cut* cut) {
  const Tensor& tensor = graph.weights.at(weight);
  const Node& owner = *FindOwner(graph, weight);
  const bool by_gate = per == Per::kGate && GatesOfWeight(owner, weight) > 0;
  const int64_t gates = by_gate ? GatesOfWeight(owner, weight) : 1;
  const int64_t rows = tensor.dim(0) / gates;
  const int64_t cols = tensor.dim(1);
  for (int64_t gate = 0; gate < gates; ++gate) {
    Pool pool;
    pool.name = by_gate ? weight + GateSuffix(InfoOf(owner.cell), gate) : weight;
    pool.weights = {pool.name};
    pool.rows = rows;
    pool.cols = cols;
    pool.size = rows * cols;
    const GranularitySpec& spec = cut->granularity;
    if (by_gate) ESPALIER_RETURN_IF_ERROR(CheckStrips(spec, pool.name, rows, cols));
    if (spec.kind->check != nullptr) {
      ESPALIER_RETURN_IF_ERROR(spec.kind->check(spec, pool.name, rows, cols));
    }
    cut->pools.push_back(std::move(pool));
    const int64_t spanned = by_gate ? 1 : std::max<int64_t>(1, GatesOfWeight(owner, weight));
    cut->slices.push_back({weight, gate * rows, rows, cols, spanned});
  }
  return Ok();
}

// Do its pieces keep a balance of their own, by tiers or by ranks?
bool IsBalanced(const Granularity& kind) {
  return kind.is_balanced || kind.fixed_sparsity != nullptr;
}

double RootMeanSquare(double sum_of_squares, int64_t count) {
  return count == 0 ? 0.0 : std::sqrt(sum_of_squares / static_cast<double>(count));
}

// The pieces of all pools, and which of them each element is part of.
struct Pieces {
  std::vector<Pool> pools;
  // By weight, [rows, cols]: the pool and the piece in it; pool -1 for none.
  struct Place {
    int32_t pool = -1;
    int32_t piece = -1;
  };
  std::map<std::string, std::vector<Place>> places;
  // [pools, gates]: the pieces with weights of each gate, in the order of these; empty where a pool
  // is of one gate, or every piece of all.
  std::vector<std::vector<std::vector<int32_t>>> gates;
};

std::span<const uint8_t> AliveIn(const MaskSet& masks, const std::string& name) {
  const auto it = masks.find(name);
  return it == masks.end() ? std::span<const uint8_t>() : std::span(it->second.keep);
}

Pieces PiecesOfSlices(const Cut& cut, Grouping grouping, const SaliencySet& saliency,
                      const MaskSet& previous) {
  Pieces pieces;
  pieces.pools = cut.pools;
  pieces.gates.resize(cut.pools.size());
  for (size_t i = 0; i < cut.slices.size(); ++i) {
    const Slice& slice = cut.slices[i];
    const std::vector<float>& all = saliency.at(slice.weight);
    const size_t first = Idx(slice.first_row * slice.cols);
    const size_t size = Idx(slice.rows * slice.cols);
    SaliencyView view{std::span(all).subspan(first, size), {}, slice.rows, slice.cols};
    const std::span<const uint8_t> alive = AliveIn(previous, slice.weight);
    if (!alive.empty()) view.alive = alive.subspan(first, size);
    Partition partition = PartitionOf(cut.granularity, grouping, view);
    auto& places = pieces.places[slice.weight];
    places.resize(all.size());
    double squares = 0.0;
    int64_t count = 0;
    if (slice.gates > 1) pieces.gates[i].resize(Idx(slice.gates));
    for (size_t element = 0; element < size; ++element) {
      const int32_t piece = partition.piece_of[element];
      if (piece < 0) continue;
      places[first + element] = {static_cast<int32_t>(i), piece};
      if (slice.gates > 1) pieces.gates[i][element * Idx(slice.gates) / size].push_back(piece);
      squares += static_cast<double>(view.saliency[element]) * view.saliency[element];
      ++count;
    }
    pieces.pools[i].pieces = std::move(partition.pool.pieces);
    pieces.pools[i].spread = RootMeanSquare(squares, count);
  }
  return pieces;
}

// The piece of each gate that is to stay, -1 for a gate that has none.
std::vector<int32_t> BestOfGates(const std::vector<std::vector<int32_t>>& gates, const Pool& pool) {
  std::vector<int32_t> best(gates.size(), -1);
  for (size_t gate = 0; gate < gates.size(); ++gate) {
    for (const int32_t piece : gates[gate]) {
      const auto score = [&](int32_t i) { return pool.pieces[Idx(i)].score; };
      if (best[gate] < 0 || score(piece) > score(best[gate])) best[gate] = piece;
    }
  }
  return best;
}

// Of those pieces together.
int64_t WeightsOfGates(const std::vector<std::vector<int32_t>>& gates, const Pool& pool) {
  const std::vector<int32_t> best = BestOfGates(gates, pool);
  int64_t weights = 0;
  for (const int32_t piece : std::set<int32_t>(best.begin(), best.end())) {
    if (piece >= 0) weights += pool.pieces[Idx(piece)].size;
  }
  return weights;
}

// Tells each pool what its gates keep whatever happens. Not of pieces with a balance of their own,
// nor under thresholds, by which gates go for good.
void ReserveForGates(const Cut& cut, const Allocation& allocation, Pieces* pieces) {
  const bool by_scores = allocation.needs == AllocationNeeds::kThresholds;
  if (IsBalanced(*cut.granularity.kind) || by_scores) return;
  for (size_t i = 0; i < pieces->pools.size(); ++i) {
    pieces->pools[i].of_gates = WeightsOfGates(pieces->gates[i], pieces->pools[i]);
  }
}

// Sees to it that no gate of a pool dies: a gate without a kept piece gets its best, in the place
// of the worst of the others. gates: as Pieces::gates of the pool.
void KeepEachGate(const std::vector<std::vector<int32_t>>& gates, const Pool& pool, Keep* keep) {
  const std::vector<int32_t> best = BestOfGates(gates, pool);
  const auto is_kept = [&](int32_t piece) { return (*keep)[Idx(piece)] != 0; };
  int64_t added = 0;
  for (size_t gate = 0; gate < best.size(); ++gate) {
    if (best[gate] < 0 || std::any_of(gates[gate].begin(), gates[gate].end(), is_kept)) continue;
    (*keep)[Idx(best[gate])] = 1;
    added += pool.pieces[Idx(best[gate])].size;
  }
  while (added > 0) {
    int32_t worst = -1;
    for (size_t i = 0; i < keep->size(); ++i) {
      const auto piece = static_cast<int32_t>(i);
      const bool may_go = is_kept(piece) && pool.pieces[i].tier == 0 &&
                          std::find(best.begin(), best.end(), piece) == best.end();
      if (may_go && (worst < 0 || pool.pieces[i].score < pool.pieces[Idx(worst)].score)) {
        worst = piece;
      }
    }
    if (worst < 0) return;
    (*keep)[Idx(worst)] = 0;
    added -= pool.pieces[Idx(worst)].size;
  }
}

// What `grouping` makes of a piece's saliencies, one after the other, from 0 on.
double Joined(Grouping grouping, double before, double saliency) {
  return grouping == Grouping::kLargest ? std::max(before, saliency) : before + saliency;
}

// The score of a piece of `size` weights.
float ScoreOf(Grouping grouping, double joined, int32_t size) {
  const double score = grouping == Grouping::kLargest     ? joined
                       : grouping == Grouping::kSignedSum ? std::abs(joined) / size
                                                          : joined / size;
  return static_cast<float>(score);
}

// The piece of an element of a weight with `cols` columns, -1 for none.
int32_t LineOf(const WeightAxes& axes, size_t element, size_t cols) {
  return axes.rows.empty() ? axes.cols[element % cols] : axes.rows[element / cols];
}

size_t ColsOf(const WeightAxes& axes, size_t size) {
  return axes.rows.empty() ? axes.cols.size() : size / axes.rows.size();
}

Pieces PiecesOfLines(const Cut& cut, Grouping grouping, const SaliencySet& saliency,
                     const MaskSet& previous) {
  const std::vector<int32_t>& pool_of = cut.lines.pool_of;
  Pieces pieces;
  pieces.pools = cut.pools;
  const auto for_each_alive = [&](const auto& visit) {
    for (const auto& [name, axes] : cut.lines.weights) {
      const std::vector<float>& values = saliency.at(name);
      const std::span<const uint8_t> alive = AliveIn(previous, name);
      std::vector<Pieces::Place>& places = pieces.places[name];
      places.resize(values.size());
      const size_t cols = ColsOf(axes, values.size());
      for (size_t i = 0; i < values.size(); ++i) {
        const int32_t line = LineOf(axes, i, cols);
        if (line >= 0 && (alive.empty() || alive[i] != 0)) visit(Idx(line), values[i], &places[i]);
      }
    }
  };
  std::vector<double> joined(pool_of.size(), 0.0);
  std::vector<int32_t> sizes(pool_of.size(), 0);
  std::vector<double> squares(cut.pools.size(), 0.0);
  for_each_alive([&](size_t line, double value, Pieces::Place*) {
    joined[line] = Joined(grouping, joined[line], value);
    ++sizes[line];
    squares[Idx(pool_of[line])] += value * value;
  });
  std::vector<int32_t> piece_of(pool_of.size(), -1);
  for (size_t line = 0; line < pool_of.size(); ++line) {
    if (sizes[line] == 0) continue;
    std::vector<Piece>& pool = pieces.pools[Idx(pool_of[line])].pieces;
    piece_of[line] = static_cast<int32_t>(pool.size());
    pool.push_back({ScoreOf(grouping, joined[line], sizes[line]), sizes[line]});
  }
  for (size_t i = 0; i < squares.size(); ++i) {
    pieces.pools[i].spread = RootMeanSquare(squares[i], AliveCount(pieces.pools[i]));
  }
  for_each_alive([&](size_t line, double, Pieces::Place* place) {
    *place = {pool_of[line], piece_of[line]};
  });
  pieces.gates.resize(cut.pools.size());
  for (size_t line = 0; line < cut.lines.gate_of.size(); ++line) {
    if (piece_of[line] < 0) continue;
    auto& gates = pieces.gates[Idx(pool_of[line])];
    gates.resize(std::max(gates.size(), Idx(cut.lines.gate_of[line]) + 1));
    gates[Idx(cut.lines.gate_of[line])].push_back(piece_of[line]);
  }
  return pieces;
}

Pieces MakePieces(const Cut& cut, Grouping grouping, const SaliencySet& saliency,
                  const MaskSet& previous) {
  return cut.granularity.kind->extent == Extent::kLines
             ? PiecesOfLines(cut, grouping, saliency, previous)
             : PiecesOfSlices(cut, grouping, saliency, previous);
}

}  // namespace

std::vector<std::string> WeightsOf(const Graph& graph, Domain domain) {
  std::vector<std::string> names = PrunableWeights(graph);
  std::erase_if(names, [&](const std::string& name) { return !IsIn(graph, name, domain); });
  return names;
}

std::vector<std::string> DefaultWeightsOf(const Graph& graph, Domain domain) {
  return WeightsOf(graph, domain == Domain::kMatrices ? Domain::kRecurrent : domain);
}

Result<Cut> MakeCut(const Graph& graph, const std::set<std::string>& chosen,
                    const GranularitySpec& granularity, Per per) {
  Cut cut;
  cut.granularity = granularity;
  if (granularity.kind->extent == Extent::kLines) {
    ESPALIER_ASSIGN_OR_RETURN(cut.lines, granularity.kind->lines(graph, chosen, per));
    cut.pools = std::move(cut.lines.pools);
    return cut;
  }
  for (const std::string& weight : chosen) {
    ESPALIER_RETURN_IF_ERROR(AppendSlices(graph, weight, per, &cut));
  }
  return cut;
}

void KeepPools(const Keep& keep, Cut* cut) {
  const auto take = [&](auto* of_pools) {
    size_t i = 0;
    std::erase_if(*of_pools, [&](const auto&) { return keep[i++] == 0; });
  };
  std::vector<int32_t> new_pool(keep.size(), -1);
  for (size_t i = 0, next = 0; i < keep.size(); ++i) {
    if (keep[i] != 0) new_pool[i] = static_cast<int32_t>(next++);
  }
  take(&cut->pools);
  if (!cut->slices.empty()) take(&cut->slices);
  const Lines before = std::move(cut->lines);
  cut->lines = Lines();
  std::vector<int32_t> new_line(before.pool_of.size(), -1);
  for (size_t line = 0; line < new_line.size(); ++line) {
    const int32_t pool = new_pool[Idx(before.pool_of[line])];
    if (pool < 0) continue;
    new_line[line] = static_cast<int32_t>(cut->lines.pool_of.size());
    cut->lines.pool_of.push_back(pool);
    if (!before.gate_of.empty()) cut->lines.gate_of.push_back(before.gate_of[line]);
  }
  for (auto [name, axes] : before.weights) {
    bool is_cut = false;
    for (std::vector<int32_t>* axis : {&axes.rows, &axes.cols}) {
      for (int32_t& line : *axis) {
        if (line >= 0) line = new_line[Idx(line)];
        is_cut = is_cut || line >= 0;
      }
    }
    if (is_cut) cut->lines.weights[name] = std::move(axes);
  }
}

std::set<std::string> TargetsOf(const Cut& cut) {
  std::set<std::string> names;
  for (const Slice& slice : cut.slices) names.insert(slice.weight);
  for (const auto& [name, axes] : cut.lines.weights) names.insert(name);
  return names;
}

Partition PartitionOf(const GranularitySpec& granularity, Grouping grouping,
                      const SaliencyView& view) {
  if (grouping != Grouping::kSignedSum && grouping != Grouping::kLargest) {
    return granularity.kind->partition(granularity, view);
  }
  std::vector<float> sizes(view.saliency.begin(), view.saliency.end());
  for (float& value : sizes) value = std::abs(value);
  SaliencyView unsigned_view = view;
  unsigned_view.saliency = sizes;
  Partition partition = granularity.kind->partition(granularity, unsigned_view);
  std::vector<double> joined(partition.pool.pieces.size(), 0.0);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int32_t piece = partition.piece_of[i];
    if (piece >= 0) joined[Idx(piece)] = Joined(grouping, joined[Idx(piece)], view.saliency[i]);
  }
  for (size_t i = 0; i < joined.size(); ++i) {
    Piece& piece = partition.pool.pieces[i];
    // One weight alone has its size already, or (balanced) the mean of its round.
    if (piece.size > 1) piece.score = ScoreOf(grouping, joined[i], piece.size);
  }
  return partition;
}

std::vector<Pool> PoolsOf(const Cut& cut, Grouping grouping, const SaliencySet& saliency,
                          const MaskSet& previous) {
  return MakePieces(cut, grouping, saliency, previous).pools;
}

MaskSet MasksOf(const Cut& cut, const MaskChoice& choice, const SaliencySet& saliency,
                const MaskSet& previous) {
  Pieces pieces = MakePieces(cut, choice.grouping, saliency, previous);
  ReserveForGates(cut, *choice.allocation, &pieces);
  std::vector<Keep> kept = choice.allocation->allocate(pieces.pools, choice.budget);
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i].empty() || std::find(kept[i].begin(), kept[i].end(), 1) != kept[i].end()) continue;
    kept[i][BestPiece(pieces.pools[i].pieces)] = 1;
  }
  if (!IsBalanced(*cut.granularity.kind) &&
      choice.allocation->needs != AllocationNeeds::kThresholds) {
    for (size_t i = 0; i < kept.size(); ++i) {
      KeepEachGate(pieces.gates[i], pieces.pools[i], &kept[i]);
    }
  }
  MaskSet masks = previous;
  for (const auto& [name, places] : pieces.places) {
    const auto slice = std::find_if(cut.slices.begin(), cut.slices.end(),
                                    [&](const Slice& s) { return s.weight == name; });
    const int64_t cols =
        slice != cut.slices.end()
            ? slice->cols
            : static_cast<int64_t>(ColsOf(cut.lines.weights.at(name), places.size()));
    const std::vector<int64_t> shape = {static_cast<int64_t>(places.size()) / cols, cols};
    Mask& mask = masks.emplace(name, Mask(shape)).first->second;
    for (size_t i = 0; i < places.size(); ++i) {
      const auto [pool, piece] = places[i];
      if (pool >= 0) mask.keep[i] &= kept[Idx(pool)][Idx(piece)];
    }
  }
  return masks;
}

Status CheckNoneDies(const Graph& graph, const Allocation& allocation, const Budget& budget,
                     Cut* cut_to_check) {
  const Cut& cut = *cut_to_check;
  SaliencySet equal;
  for (const std::string& name : TargetsOf(cut)) {
    equal[name].assign(graph.weights.at(name).size(), 1.0f);
  }
  Pieces pieces = MakePieces(cut, Grouping::kNorm, equal, {});
  ReserveForGates(cut, allocation, &pieces);
  const std::vector<Pool>& pools = pieces.pools;
  const std::vector<Keep> kept = allocation.allocate(pools, budget);
  int64_t weights = 0;
  int64_t of_gates = 0;
  std::string first;  // pool that keeps more than its share
  for (size_t i = 0; i < pools.size(); ++i) {
    int64_t in_pool = 0;
    int64_t in_tier = 0;  // of pieces that are to stay before all others, as a diagonal's
    bool loses_tier = false;
    for (size_t j = 0; j < kept[i].size(); ++j) {
      const Piece& piece = pools[i].pieces[j];
      in_pool += kept[i][j] * piece.size;
      in_tier += piece.tier > 0 ? piece.size : 0;
      loses_tier = loses_tier || (piece.tier > 0 && kept[i][j] == 0);
    }
    const bool is_known = allocation.kind == AllocationKind::kShares;
    const bool has_own = allocation.needs == AllocationNeeds::kSparsities;
    const double asked = has_own ? pools[i].sparsity : budget.sparsity;
    if (loses_tier && is_known && !IsBalanced(*cut.granularity.kind)) {
      return InvalidArgument(StrCat(pools[i].name, ": the ", in_tier, " weights that granularity ",
                                    GranularityName(cut.granularity),
                                    " keeps first expected to stay, ", in_pool, " of ",
                                    pools[i].size, " found at sparsity ", asked));
    }
    const int64_t at_least = std::max(in_pool, pools[i].of_gates);
    cut_to_check->pools[i].of_gates = pools[i].of_gates;
    weights += in_pool;
    of_gates += pools[i].of_gates;
    const double share = (1.0 - asked) * static_cast<double>(pools[i].size);
    if (first.empty() && static_cast<double>(at_least) > share) {
      first = StrCat(pools[i].name, " ", at_least, " of ", pools[i].size);
    }
    if (in_pool == 0) {
      return InvalidArgument(StrCat(pools[i].name, ": at least 1 piece of granularity ",
                                    GranularityName(cut.granularity), " (", pools[i].pieces[0].size,
                                    " of ", pools[i].size,
                                    " weights) expected to stay, none found at sparsity ", asked,
                                    " under allocation ", allocation.name));
    }
  }
  const int64_t most = TotalBudget(pools, budget);
  const int64_t in_all = std::max(weights, of_gates);
  if (allocation.kind != AllocationKind::kShares && in_all > most) {
    return InvalidArgument(StrCat(
        "floor: at most ", most, " weights in all expected at sparsity ", budget.sparsity, ", ",
        in_all, " found, since every tensor keeps its floor and a piece of each gate: ", first));
  }
  return Ok();
}

}  // namespace espalier
