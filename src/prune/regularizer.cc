#include "prune/regularizer.h"

#include <cmath>

#include "base/strings.h"
#include "prune/find.h"
#include "prune/patterns.h"

namespace espalier {

std::span<const Regularizer* const> AllRegularizers() {
  static constexpr const Regularizer* kAll[] = {
#define ESPALIER_REGULARIZER(name) &regularizers::name,
#include "prune/regularizers/regularizers.inc"
#undef ESPALIER_REGULARIZER
  };
  return kAll;
}

Result<const Regularizer*> FindRegularizer(const std::string& name) {
  return FindByName("regularizer", name, AllRegularizers());
}

Status ValidateRegularizer(const RegularizerSpec& spec) {
  ESPALIER_ASSIGN_OR_RETURN(const Regularizer* kind, FindRegularizer(spec.name));
  const auto expected = [&](const char* field, const std::string& what, double found) {
    return InvalidArgument(
        StrCat("regularizer ", spec.name, ": ", field, ": ", what, " expected, ", found, " found"));
  };
  const bool is_rate = kind->strength == StrengthKind::kRate;
  if (!(spec.strength > 0.0 && std::isfinite(spec.strength)) || (is_rate && spec.strength >= 1.0)) {
    return expected("strength", is_rate ? "a rate in (0, 1)" : "a number above 0", spec.strength);
  }
  if (!(spec.warmup_epochs >= 0.0 && std::isfinite(spec.warmup_epochs))) {
    return expected("warmup_epochs", "a number of at least 0", spec.warmup_epochs);
  }
  if (!(spec.speed >= 0.0 && std::isfinite(spec.speed))) {
    return expected("speed", "a number of at least 0", spec.speed);
  }
  if (!(spec.share > 0.0 && spec.share < 1.0)) {
    return expected("share", "a share in (0, 1)", spec.share);
  }
  if (spec.speed > 0.0 && kind->speed == 0.0) {
    return expected("speed", "0, since it learns nothing beside the weights,", spec.speed);
  }
  if (spec.share != RegularizerSpec().share && !kind->has_share) {
    return expected("share", "nothing, since it reads none,", spec.share);
  }
  if (spec.granularity.empty()) return Ok();
  return ParseGranularity(spec.granularity).status().WithContext("regularizer " + spec.name);
}

Result<Pieces> PiecesFor(const Graph& graph, const RegularizerSpec& spec, const PruneSpec& stage,
                         const std::map<std::string, size_t>& offsets) {
  PruneSpec cut;
  cut.granularity = spec.granularity.empty() ? stage.granularity : spec.granularity;
  cut.weights = spec.weights.empty() ? stage.weights : spec.weights;
  if (cut.weights.empty()) {
    for (const SparsityOfPattern& each : stage.sparsities) {
      cut.weights.push_back(WithoutGate(each.pattern));
    }
  }
  cut.sparsity = 0.0;
  const std::string context = "regularizer " + spec.name;
  ESPALIER_ASSIGN_OR_RETURN(const GranularitySpec granularity, ParseGranularity(cut.granularity));
  if (granularity.kind->follows_saliency) {
    return InvalidArgument(
        StrCat(context,
               ": a granularity whose pieces stay the same while weights change expected, "
               "e.g. element, blocked_8x8, gate_row or unit, ",
               cut.granularity, " found"));
  }
  Result<Plan> plan = MakePlan(graph, cut);
  if (!plan.ok()) return plan.status().WithContext(context);
  return FindPieces(graph, *plan, offsets);
}

std::vector<double> PieceSizes(const Pieces& pieces, std::span<const float> weights) {
  std::vector<double> sizes = PieceNorms(pieces, weights);
  for (size_t i = 0; i < sizes.size(); ++i) sizes[i] /= std::sqrt(pieces.sizes[i]);
  return sizes;
}

std::vector<double> PoolSpreads(const Pieces& pieces, std::span<const float> weights) {
  std::vector<double> squares(static_cast<size_t>(pieces.pools), 0.0);
  std::vector<double> counts(squares.size(), 0.0);
  const std::vector<double> sizes = PieceSizes(pieces, weights);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto pool = static_cast<size_t>(pieces.pool_of[i]);
    squares[pool] += sizes[i] * sizes[i];
    counts[pool] += 1.0;
  }
  for (size_t i = 0; i < squares.size(); ++i) {
    squares[i] = squares[i] > 0.0 ? std::sqrt(squares[i] / counts[i]) : 1.0;
  }
  return squares;
}

void MultiplyGates(const Pieces& pieces, std::span<const float> gates, std::span<float> values) {
  for (const PieceMember& member : pieces.members) {
    if (member.gate >= 0) values[member.element] *= gates[static_cast<size_t>(member.gate)];
  }
}

void ClosePieces(const Pieces& pieces, std::span<const float> gates, std::span<float> weights) {
  for (const PieceMember& member : pieces.members) {
    member.ForEachPiece([&](size_t piece) {
      if (gates[piece] == 0.0f) weights[member.element] = 0.0f;
    });
  }
}

std::vector<double> GateGradients(const Pieces& pieces, std::span<const float> weights,
                                  std::span<const float> gradient) {
  std::vector<double> sums(pieces.count(), 0.0);
  for (const PieceMember& member : pieces.members) {
    if (member.gate < 0) continue;
    sums[static_cast<size_t>(member.gate)] +=
        static_cast<double>(gradient[member.element]) * weights[member.element];
  }
  return sums;
}

}  // namespace espalier
