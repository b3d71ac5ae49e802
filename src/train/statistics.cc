#include "train/statistics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <utility>

#include "base/strings.h"
#include "model/reference.h"
#include "train/optimizer.h"
#include "train/spectrum.h"
#include "train/torch_executor.h"

namespace espalier {
namespace {

constexpr double kDamping = 0.01;     // of the mean power, on a moment's diagonal
constexpr double kProbeShare = 1e-3;  // of the weights' norm

// Where one weight's rows from `first_row` on multiply the same vectors: all, or those of a
// reset-before cell's candidate.
using InputKey = std::pair<std::string, int64_t>;             // weight, first row
using InputsByKey = std::map<InputKey, std::vector<double>>;  // [count, cols]

// Rows [first, end) of one weight, or of two whose products are added to each other before anything
// else is done with them: weight_ih and weight_hh. Their inputs lie side by side.
struct RowPart {
  std::vector<InputKey> inputs;
  int64_t first = 0, end = 0;
};

// Sums over the vectors that one part multiplied.
struct InputSums {
  RowPart part;
  int64_t count = 0;
  std::vector<double> sum;    // [cols]
  std::vector<double> power;  // [cols], of squares
  at::Tensor moment;          // [cols, cols] f64; undefined if not asked for
};

// The recurrent matrix of each direction, its input matrix, and the rows before which their
// products are added to each other: all, but those of a candidate whose second product r scales
// first.
struct AddedMatrices {
  std::string weight_ih;
  int64_t end = 0;
};
std::map<std::string, AddedMatrices> FindAdded(const Graph& graph,
                                               const std::function<bool(const std::string&)>& has) {
  std::map<std::string, AddedMatrices> added;
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kRecurrent) continue;
    const bool scales_product = node.cell == CellKind::kGruCell || node.cell == CellKind::kEgruCell;
    const int64_t gates = InfoOf(node.cell).gates - (scales_product ? 1 : 0);
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      if (!has(direction.weight_ih) || !has(direction.weight_hh)) continue;
      added[direction.weight_hh] = {direction.weight_ih, gates * node.hidden_size};
    }
  }
  return added;
}

// What to sum over, of the weights that `has` names.
std::vector<RowPart> FindParts(const Graph& graph, const InputsByKey& seen,
                               const std::function<bool(const std::string&)>& has) {
  const std::map<std::string, AddedMatrices> added = FindAdded(graph, has);
  std::set<std::string> with_another;
  for (const auto& [weight_hh, matrices] : added) with_another.insert(matrices.weight_ih);
  std::vector<RowPart> parts;
  for (auto it = seen.begin(); it != seen.end(); ++it) {
    const auto& [weight, first] = it->first;
    if (!has(weight) || with_another.contains(weight)) continue;
    const auto next = std::next(it);
    const bool has_next = next != seen.end() && next->first.first == weight;
    const int64_t end = has_next ? next->first.second : graph.weights.at(weight).dim(0);
    const auto found = added.find(weight);
    if (found == added.end()) {
      parts.push_back({{it->first}, first, end});
      continue;
    }
    const InputKey input = {found->second.weight_ih, 0};
    const int64_t split = std::clamp(found->second.end, first, end);
    if (split > first) parts.push_back({{input, it->first}, first, split});
    if (split == end) continue;
    parts.push_back({{input}, split, end});
    parts.push_back({{it->first}, split, end});
  }
  return parts;
}

void AddTo(const at::Tensor& columns, std::vector<double>* sum) {
  sum->resize(static_cast<size_t>(columns.numel()));
  for (size_t c = 0; c < sum->size(); ++c) (*sum)[c] += columns.data_ptr<double>()[c];
}

// The inputs of a part, [count, cols of all its weights].
at::Tensor InputsOf(const Graph& graph, const RowPart& part, InputsByKey* seen) {
  std::vector<at::Tensor> side_by_side;
  for (const InputKey& key : part.inputs) {
    const int64_t cols = graph.weights.at(key.first).dim(1);
    std::vector<double>& values = seen->at(key);
    side_by_side.push_back(at::from_blob(
        values.data(), {static_cast<int64_t>(values.size()) / cols, cols}, at::kDouble));
  }
  return at::cat(side_by_side, 1);
}

Result<std::vector<InputSums>> SumInputs(const Graph& graph, const Dataset& dataset,
                                         const CalibrationOptions& options, bool with_moments,
                                         const std::function<bool(const std::string&)>& has) {
  std::vector<InputSums> sums;
  InputsByKey seen;  // of the sequence that runs
  const MatrixInputFn look = [&](const std::string& weight, int64_t first_row,
                                 std::span<double> x) {
    std::vector<double>& rows = seen[{weight, first_row}];
    rows.insert(rows.end(), x.begin(), x.end());
  };
  // One sequence at a time, so that no padding is counted.
  for (const std::vector<int64_t>& indices :
       SampleBatches(dataset, options.sequences, 1, options.seed)) {
    LabelledBatch batch;
    MakeBatch(dataset, indices, &batch);
    StateSet states = ZeroStates(graph, 1);
    for (auto& [key, rows] : seen) rows.clear();
    ESPALIER_RETURN_IF_ERROR(RunReference(graph, batch.batch, &states, look).status());
    if (sums.empty()) {
      for (RowPart& part : FindParts(graph, seen, has)) sums.emplace_back().part = std::move(part);
    }
    for (InputSums& part : sums) {
      const at::Tensor z = InputsOf(graph, part.part, &seen);
      part.count += z.size(0);
      AddTo(z.sum(0), &part.sum);
      AddTo(z.square().sum(0), &part.power);
      if (!with_moments) continue;
      const at::Tensor moment = at::matmul(z.t(), z);
      part.moment = part.moment.defined() ? part.moment.add_(moment) : moment;
    }
  }
  return sums;
}

// With something on its diagonal, so that it has an inverse.
at::Tensor Damped(const at::Tensor& moment) {
  // Where nothing was ever multiplied, any number: no output depends on it.
  const double mean = std::max(moment.diagonal().mean().item<double>(), 1e-30);
  return moment + kDamping * mean * at::eye(moment.size(0), at::kDouble);
}

at::Tensor ColumnsOf(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

// The least-squares weights of one row for its kept columns. covariance: [cols, cols];
// w: [cols].
std::vector<double> SolveRow(const at::Tensor& covariance, const std::vector<int64_t>& kept,
                             const at::Tensor& w) {
  if (kept.empty()) return {};
  const at::Tensor index = at::tensor(kept, at::kLong);
  const at::Tensor chosen = covariance.index_select(0, index);
  // C_kk w'_k = C_k: w
  const at::Tensor factor = at::linalg_cholesky(chosen.index_select(1, index));
  const at::Tensor solved =
      at::cholesky_solve(at::matmul(chosen, w).unsqueeze(1), factor).contiguous();
  const double* begin = solved.data_ptr<double>();
  return {begin, begin + solved.numel()};
}

// The Gemms that are tied to the Embedding that owns the weight, by name.
std::vector<std::string> TiedTo(const Graph& graph, const std::string& weight) {
  std::vector<std::string> gemms;
  for (const Node& node : graph.nodes) {
    if (!node.tied.empty() && node.tied == FindOwner(graph, weight)->name) {
      gemms.push_back(node.name);
    }
  }
  return gemms;
}

// The row's bias in the same layer: "lstm0.weight_ih_reverse" -> "lstm0.bias_ih_reverse"; of a tied
// embedding that of the Gemm.
std::string BiasOf(const Graph& graph, std::string weight) {
  const std::vector<std::string> tied = TiedTo(graph, weight);
  if (!tied.empty()) return tied.front() + ".bias";
  const std::string word = "weight";
  return weight.replace(weight.rfind(word), word.size(), "bias");
}

bool IsKept(const MaskSet& masks, const std::string& name, int64_t element) {
  const auto it = masks.find(name);
  return it == masks.end() || it->second.keep[static_cast<size_t>(element)] != 0;
}

// See Reconstruct; without moments CorrectBiases.
void ReconstructRows(const Graph& dense, const InputSums& sums, const MaskSet& masks,
                     TensorStore* weights) {
  const auto count = static_cast<double>(sums.count);
  const at::Tensor mean = ColumnsOf(sums.sum) / count;
  const std::string& first = sums.part.inputs[0].first;
  const auto bias = weights->find(BiasOf(dense, first));  // a projection has none
  const bool has_bias = bias != weights->end();
  // The rows of a tied embedding stay: only what the mean changes is made up for.
  const bool is_looked_up = FindOwner(dense, first)->op == Op::kEmbedding;
  const bool stays = is_looked_up || !sums.moment.defined();
  at::Tensor covariance;
  if (!stays) {
    // A bias takes up what the mean of the row's products changes; without one that is an error,
    // too.
    const at::Tensor moment = sums.moment / count;
    covariance = Damped(has_bias ? moment - at::outer(mean, mean) : moment);
  }
  for (int64_t row = sums.part.first; row < sums.part.end; ++row) {
    if (has_bias && !IsKept(masks, bias->first, row)) continue;  // of a removed unit
    std::vector<double> exact;
    std::vector<float*> places;
    std::vector<int64_t> kept;
    for (const InputKey& key : sums.part.inputs) {
      const Tensor& weight = dense.weights.at(key.first);
      float* values = weights->at(key.first).values.data();
      for (int64_t i = row * weight.dim(1); i < (row + 1) * weight.dim(1); ++i) {
        if (IsKept(masks, key.first, i)) kept.push_back(static_cast<int64_t>(exact.size()));
        exact.push_back(double{weight.values[static_cast<size_t>(i)]});
        places.push_back(values + i);
      }
    }
    if (kept.size() == exact.size()) continue;
    const at::Tensor w = ColumnsOf(exact);
    std::vector<double> solved;
    if (stays) {
      for (const int64_t column : kept) solved.push_back(*places[static_cast<size_t>(column)]);
    } else {
      solved = SolveRow(covariance, kept, w);
    }
    double shift = at::dot(w, mean).item<double>();
    for (size_t i = 0; i < kept.size(); ++i) {
      *places[static_cast<size_t>(kept[i])] = static_cast<float>(solved[i]);
      shift -= solved[i] * mean.data_ptr<double>()[kept[i]];
    }
    if (!has_bias) continue;
    float& value = bias->second.values[static_cast<size_t>(row)];
    value = static_cast<float>(value + shift);
  }
}

// Writes the columns of each weight of a part to all of its rows.
void FillRows(const RowPart& part, std::span<const double> columns, const Graph& graph,
              std::map<std::string, std::vector<float>>* by_weight) {
  for (const InputKey& key : part.inputs) {
    const Tensor& weight = graph.weights.at(key.first);
    std::vector<float>& values = (*by_weight)[key.first];
    values.resize(weight.size());
    const auto cols = static_cast<size_t>(weight.dim(1));
    for (int64_t row = part.first; row < part.end; ++row) {
      std::transform(columns.begin(), columns.begin() + weight.dim(1),
                     values.begin() + row * weight.dim(1),
                     [](double value) { return static_cast<float>(value); });
    }
    columns = columns.subspan(cols);
  }
}

template <typename Body>
Status GuardedLinearAlgebra(const Body& body) {
  try {
    return body();
  } catch (const c10::Error& error) {
    return Internal(StrCat("libtorch: ", error.what_without_backtrace()));
  }
}

}  // namespace

Status ValidateCalibration(const CalibrationOptions& options) {
  if (options.sequences < 1) {
    return InvalidArgument(
        StrCat("calibration.sequences: at least 1 expected, ", options.sequences, " found"));
  }
  if (options.batch_size < 1) {
    return InvalidArgument(
        StrCat("calibration.batch_size: at least 1 expected, ", options.batch_size, " found"));
  }
  return Ok();
}

struct CalibrationStatistics::Gatherer {
  const Dataset& dataset;
  const CalibrationOptions& options;
  Autograd* autograd;
  CalibrationStatistics* out;
  const Plan* plan;  // whose groups' gradients are asked for; nullptr: of none

  // The flat vectors of `sum` become the field of every matrix.
  void Keep(Needs flag, const std::vector<double>& sum) {
    for (const WeightSlice& slice : autograd->slices()) {
      if (slice.shape.size() != 2) continue;
      const auto begin = sum.begin() + static_cast<ptrdiff_t>(slice.offset);
      out->values_[flag][slice.name].assign(begin, begin + static_cast<ptrdiff_t>(slice.size));
    }
  }

  // Calls visit(gradient, share of all sequences) for each batch.
  Status EachGradient(int64_t batch_size,
                      const std::function<void(std::span<const float>, double)>& visit) {
    const auto batches = SampleBatches(dataset, options.sequences, batch_size, options.seed);
    int64_t count = 0;
    for (const auto& indices : batches) count += static_cast<int64_t>(indices.size());
    LabelledBatch batch;
    for (const std::vector<int64_t>& indices : batches) {
      MakeBatch(dataset, indices, &batch);
      ESPALIER_RETURN_IF_ERROR(autograd->LossAndGradient(batch, LossOptions(), nullptr).status());
      visit(autograd->gradient(), static_cast<double>(indices.size()) / static_cast<double>(count));
    }
    return Ok();
  }

  // By weight: the change of the loss if it goes, to first order.
  SaliencySet Changes(std::span<const float> gradient) {
    SaliencySet changes;
    for (const WeightSlice& slice : autograd->slices()) {
      if (slice.shape.size() != 2) continue;
      std::vector<float>& values = changes[slice.name];
      values.resize(slice.size);
      std::transform(gradient.begin() + static_cast<ptrdiff_t>(slice.offset),
                     gradient.begin() + static_cast<ptrdiff_t>(slice.offset + slice.size),
                     autograd->weights().begin() + static_cast<ptrdiff_t>(slice.offset),
                     values.begin(), std::multiplies<float>());
    }
    return changes;
  }

  void AddGroups(std::span<const float> gradient, double share, std::vector<double>* squares) {
    const std::vector<float> sums = SumsOfGroups(*plan, Changes(gradient));
    squares->resize(sums.size(), 0.0);
    for (size_t i = 0; i < sums.size(); ++i) {
      (*squares)[i] += share * static_cast<double>(sums[i]) * sums[i];
    }
  }

  Status Gradients(int64_t batch_size, std::vector<double>* mean, std::vector<double>* squares) {
    mean->assign(autograd->weights().size(), 0.0);
    if (squares != nullptr) squares->assign(mean->size(), 0.0);
    std::vector<double> of_groups;
    const Status status =
        EachGradient(batch_size, [&](std::span<const float> gradient, double share) {
          for (size_t i = 0; i < gradient.size(); ++i) {
            const double g = gradient[i];
            (*mean)[i] += share * g;
            if (squares != nullptr) (*squares)[i] += share * g * g;
          }
          if (squares != nullptr && plan != nullptr) AddGroups(gradient, share, &of_groups);
        });
    if (squares != nullptr) {
      out->squared_group_gradient_.assign(of_groups.begin(), of_groups.end());
    }
    return status;
  }

  // (g(w + e g) - g(w)) / e, with e g a small share of w long: one more pass. What is 0 stays:
  // masked.
  Status HessianGradient(const std::vector<double>& gradient) {
    const std::span<float> weights = autograd->weights();
    const std::vector<float> exact(weights.begin(), weights.end());
    double square = 0.0;
    for (size_t i = 0; i < exact.size(); ++i) {
      if (exact[i] != 0.0f) square += gradient[i] * gradient[i];
    }
    std::vector<double> result(gradient.size(), 0.0);
    if (square > 0.0) {
      const double e = kProbeShare * Norm(exact) / std::sqrt(square);
      for (size_t i = 0; i < exact.size(); ++i) {
        if (exact[i] != 0.0f) weights[i] = static_cast<float>(exact[i] + e * gradient[i]);
      }
      std::vector<double> probe;
      const Status status = Gradients(options.batch_size, &probe, nullptr);
      std::copy(exact.begin(), exact.end(), weights.begin());
      ESPALIER_RETURN_IF_ERROR(status);
      for (size_t i = 0; i < probe.size(); ++i) result[i] = (probe[i] - gradient[i]) / e;
    }
    Keep(kNeedsHessianGradient, result);
    return Ok();
  }

  Status Inputs(Needs needs) {
    const Graph graph = autograd->ToGraph();
    const bool with_moments = (needs & kNeedsInverseMoment) != 0;
    const auto all = [](const std::string&) { return true; };
    ESPALIER_ASSIGN_OR_RETURN(const std::vector<InputSums> sums,
                              SumInputs(graph, dataset, options, with_moments, all));
    for (const InputSums& part : sums) {
      if ((needs & kNeedsInputPower) != 0) {
        std::vector<double> mean = part.power;
        for (double& value : mean) value /= static_cast<double>(part.count);
        FillRows(part.part, mean, graph, &out->values_[kNeedsInputPower]);
      }
      if (!with_moments) continue;
      ESPALIER_RETURN_IF_ERROR(GuardedLinearAlgebra([&] {
        const at::Tensor inverse =
            at::inverse(Damped(part.moment / static_cast<double>(part.count)));
        const at::Tensor diagonal = inverse.diagonal().reciprocal().contiguous();
        FillRows(part.part, {diagonal.data_ptr<double>(), part.power.size()}, graph,
                 &out->values_[kNeedsInverseMoment]);
        return Ok();
      }));
    }
    return Ok();
  }

  Status Gather(Needs needs) {
    constexpr Needs kGradients = kNeedsGradient | kNeedsSquaredGradient | kNeedsHessianGradient;
    if ((needs & kGradients) != 0) {
      const bool single = (needs & kNeedsSquaredGradient) != 0;
      std::vector<double> mean, squares;
      ESPALIER_RETURN_IF_ERROR(
          Gradients(single ? 1 : options.batch_size, &mean, single ? &squares : nullptr));
      Keep(kNeedsGradient, mean);
      if (single) Keep(kNeedsSquaredGradient, squares);
      if ((needs & kNeedsHessianGradient) != 0) ESPALIER_RETURN_IF_ERROR(HessianGradient(mean));
    }
    if ((needs & (kNeedsInputPower | kNeedsInverseMoment)) != 0) {
      ESPALIER_RETURN_IF_ERROR(Inputs(needs));
    }
    if ((needs & kNeedsSpectrumGradient) == 0) return Ok();
    ESPALIER_ASSIGN_OR_RETURN(Spectrum spectrum,
                              FindSpectrum(autograd->ToGraph(), dataset, options));
    for (auto& [name, gradient] : spectrum.gradient) {
      out->values_[kNeedsSpectrumGradient][name] = std::move(gradient.values);
    }
    return Ok();
  }
};

Result<CalibrationStatistics> CalibrationStatistics::Gather(Needs needs, const Dataset& dataset,
                                                            const CalibrationOptions& options,
                                                            Autograd* autograd, const Plan* plan) {
  CalibrationStatistics statistics;
  if ((needs & kNeedsGroupGradient) == 0) plan = nullptr;
  Gatherer gatherer{dataset, options, autograd, &statistics, plan};
  ESPALIER_RETURN_IF_ERROR(gatherer.Gather(needs));
  return statistics;
}

void CalibrationStatistics::Fill(StatisticsSet* statistics) const {
  statistics->squared_group_gradient = squared_group_gradient_;
  for (const StatisticsField& field : StatisticsFields()) {
    const auto found = values_.find(field.flag);
    if (found == values_.end()) continue;
    for (const auto& [name, values] : found->second) (*statistics)[name].*field.field = values;
  }
}

namespace {

// With moments by least squares, without them by means.
Status MakeUpFor(const Graph& dense, const Dataset& dataset, const CalibrationOptions& options,
                 const MaskSet& masks, bool with_moments, TensorStore* weights) {
  const auto is_masked = [&](const std::string& name) {
    // Of several Gemms that are tied to one Embedding the inputs are not told apart.
    const bool is_embedding = FindOwner(dense, name)->op == Op::kEmbedding;
    return masks.contains(name) && (!is_embedding || TiedTo(dense, name).size() == 1);
  };
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<InputSums> sums,
                            SumInputs(dense, dataset, options, with_moments, is_masked));
  for (const InputSums& part : sums) {
    ESPALIER_RETURN_IF_ERROR(GuardedLinearAlgebra([&] {
      ReconstructRows(dense, part, masks, weights);
      return Ok();
    }));
  }
  return Ok();
}

}  // namespace

Status Reconstruct(const Graph& dense, const Dataset& dataset, const CalibrationOptions& options,
                   const MaskSet& masks, TensorStore* weights) {
  return MakeUpFor(dense, dataset, options, masks, /*with_moments=*/true, weights);
}

Status CorrectBiases(const Graph& dense, const Dataset& dataset, const CalibrationOptions& options,
                     const MaskSet& masks, TensorStore* weights) {
  return MakeUpFor(dense, dataset, options, masks, /*with_moments=*/false, weights);
}

Status CheckReconstruction(const Graph& graph, const Plan& plan, Reconstruction reconstruction) {
  const auto has_bias = [&](const Plan::Target& target) {
    return graph.weights.contains(BiasOf(graph, target.name));
  };
  if (reconstruction != Reconstruction::kBias ||
      std::any_of(plan.targets.begin(), plan.targets.end(), has_bias)) {
    return Ok();
  }
  return InvalidArgument("reconstruct: true or false expected, since " + plan.targets[0].name +
                         " has no bias, bias found");
}

}  // namespace espalier
