#include "train/statistics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "base/strings.h"
#include "model/reference.h"
#include "prune/units.h"
#include "train/optimizer.h"
#include "train/spectrum.h"
#include "train/torch_executor.h"

namespace espalier {
namespace {

constexpr double kDamping = 0.01;     // of the mean power, on a moment's diagonal
constexpr double kProbeShare = 1e-3;  // of the weights' norm

// A part of a weight whose rows multiply the same vectors: all, or a reset-before cell's candidate.
using PartKey = std::pair<std::string, int64_t>;  // weight, first row

// Sums over the vectors that one part multiplied.
struct InputSums {
  int64_t count = 0;
  std::vector<double> sum;    // [cols]
  std::vector<double> power;  // [cols], of squares
  at::Tensor moment;          // [cols, cols] f64; undefined if not asked for
};
using InputSumsByPart = std::map<PartKey, InputSums>;

void AddTo(const at::Tensor& columns, std::vector<double>* sum) {
  sum->resize(static_cast<size_t>(columns.numel()));
  for (size_t c = 0; c < sum->size(); ++c) (*sum)[c] += columns.data_ptr<double>()[c];
}

Result<InputSumsByPart> SumInputs(const Graph& graph, const Dataset& dataset,
                                  const CalibrationOptions& options, bool with_moments) {
  InputSumsByPart sums;
  std::map<PartKey, std::vector<double>> rows;  // of the sequence that runs, [count, cols]
  const MatrixInputFn look = [&](const std::string& weight, int64_t first_row,
                                 std::span<double> x) {
    std::vector<double>& seen = rows[{weight, first_row}];
    seen.insert(seen.end(), x.begin(), x.end());
  };
  // One sequence at a time, so that no padding is counted.
  for (const std::vector<int64_t>& indices :
       SampleBatches(dataset, options.sequences, 1, options.seed)) {
    LabelledBatch batch;
    MakeBatch(dataset, indices, &batch);
    StateSet states = ZeroStates(graph, 1);
    rows.clear();
    ESPALIER_RETURN_IF_ERROR(RunReference(graph, batch.batch, &states, look).status());
    for (auto& [key, seen] : rows) {
      const int64_t cols = graph.weights.at(key.first).dim(1);
      const auto count = static_cast<int64_t>(seen.size()) / cols;
      InputSums& part = sums[key];
      part.count += count;
      const at::Tensor z = at::from_blob(seen.data(), {count, cols}, at::kDouble);
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

// The row's bias in the same layer: "lstm0.weight_ih_reverse" -> "lstm0.bias_ih_reverse".
std::string BiasOf(std::string weight) {
  const std::string word = "weight";
  return weight.replace(weight.rfind(word), word.size(), "bias");
}

bool IsKept(const MaskSet& masks, const std::string& name, int64_t element) {
  const auto it = masks.find(name);
  return it == masks.end() || it->second.keep[static_cast<size_t>(element)] != 0;
}

// Rows of one part of a weight: see Reconstruct.
void ReconstructRows(const Graph& dense, const InputSums& sums, const PartKey& key,
                     std::pair<int64_t, int64_t> rows, const MaskSet& masks, TensorStore* weights) {
  const auto count = static_cast<double>(sums.count);
  const at::Tensor mean = ColumnsOf(sums.sum) / count;
  const std::string bias = BiasOf(key.first);
  const auto found = weights->find(bias);  // a projection has none
  const bool has_bias = found != weights->end();
  // A bias takes up what the mean of the row's products changes; without one that is an error, too.
  const at::Tensor moment = sums.moment / count;
  const at::Tensor covariance = Damped(has_bias ? moment - at::outer(mean, mean) : moment);
  const int64_t cols = mean.numel();
  const std::vector<float>& exact = dense.weights.at(key.first).values;
  std::vector<float>& out = weights->at(key.first).values;
  for (int64_t row = rows.first; row < rows.second; ++row) {
    if (!IsKept(masks, bias, row)) continue;  // of a removed unit
    const int64_t begin = row * cols;
    std::vector<int64_t> kept;
    for (int64_t c = 0; c < cols; ++c) {
      if (IsKept(masks, key.first, begin + c)) kept.push_back(c);
    }
    if (static_cast<int64_t>(kept.size()) == cols) continue;
    const at::Tensor w =
        at::from_blob(const_cast<float*>(exact.data() + begin), {cols}, at::kFloat).to(at::kDouble);
    const std::vector<double> solved = SolveRow(covariance, kept, w);
    double shift = at::dot(w, mean).item<double>();
    for (size_t i = 0; i < kept.size(); ++i) {
      out[static_cast<size_t>(begin + kept[i])] = static_cast<float>(solved[i]);
      shift -= solved[i] * mean.data_ptr<double>()[kept[i]];
    }
    if (!has_bias) continue;
    float& bias_of_row = found->second.values[static_cast<size_t>(row)];
    bias_of_row = static_cast<float>(bias_of_row + shift);
  }
}

// The rows [first, end) of a part.
std::pair<int64_t, int64_t> RowsOf(const Graph& graph, const InputSumsByPart& sums,
                                   const PartKey& key) {
  const auto next = std::next(sums.find(key));
  const bool has_next = next != sums.end() && next->first.first == key.first;
  return {key.second, has_next ? next->first.second : graph.weights.at(key.first).dim(0)};
}

// Writes a vector of columns to all rows of a part.
void FillRows(std::pair<int64_t, int64_t> rows, std::span<const double> columns,
              std::vector<float>* values) {
  for (int64_t row = rows.first; row < rows.second; ++row) {
    std::transform(columns.begin(), columns.end(),
                   values->begin() + row * static_cast<int64_t>(columns.size()),
                   [](double value) { return static_cast<float>(value); });
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
  const Coupling* coupling;  // whose groups' gradients are asked for; nullptr: of none

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

  void AddUnits(std::span<const float> gradient, double share, std::vector<double>* squares) {
    const std::vector<float> sums = UnitScores(*coupling, Grouping::kSignedSum, Changes(gradient));
    squares->resize(sums.size(), 0.0);
    for (size_t i = 0; i < sums.size(); ++i) {
      (*squares)[i] += share * static_cast<double>(sums[i]) * sums[i];
    }
  }

  Status Gradients(int64_t batch_size, std::vector<double>* mean, std::vector<double>* squares) {
    mean->assign(autograd->weights().size(), 0.0);
    if (squares != nullptr) squares->assign(mean->size(), 0.0);
    std::vector<double> of_units;
    const Status status =
        EachGradient(batch_size, [&](std::span<const float> gradient, double share) {
          for (size_t i = 0; i < gradient.size(); ++i) {
            const double g = gradient[i];
            (*mean)[i] += share * g;
            if (squares != nullptr) (*squares)[i] += share * g * g;
          }
          if (squares != nullptr && coupling != nullptr) AddUnits(gradient, share, &of_units);
        });
    if (squares != nullptr) {
      out->squared_unit_gradient_.assign(of_units.begin(), of_units.end());
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
    ESPALIER_ASSIGN_OR_RETURN(const InputSumsByPart sums,
                              SumInputs(graph, dataset, options, with_moments));
    for (const auto& [key, part] : sums) {
      const auto rows = RowsOf(graph, sums, key);
      const size_t size = graph.weights.at(key.first).size();
      if ((needs & kNeedsInputPower) != 0) {
        std::vector<float>& values = out->values_[kNeedsInputPower][key.first];
        values.resize(size);
        std::vector<double> mean = part.power;
        for (double& value : mean) value /= static_cast<double>(part.count);
        FillRows(rows, mean, &values);
      }
      if (!with_moments) continue;
      std::vector<float>& values = out->values_[kNeedsInverseMoment][key.first];
      values.resize(size);
      ESPALIER_RETURN_IF_ERROR(GuardedLinearAlgebra([&] {
        const at::Tensor inverse =
            at::inverse(Damped(part.moment / static_cast<double>(part.count)));
        const at::Tensor diagonal = inverse.diagonal().reciprocal().contiguous();
        FillRows(rows, {diagonal.data_ptr<double>(), part.power.size()}, &values);
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
                                                            Autograd* autograd,
                                                            const Coupling* coupling) {
  CalibrationStatistics statistics;
  if ((needs & kNeedsUnitGradient) == 0) coupling = nullptr;
  Gatherer gatherer{dataset, options, autograd, &statistics, coupling};
  ESPALIER_RETURN_IF_ERROR(gatherer.Gather(needs));
  return statistics;
}

void CalibrationStatistics::Fill(StatisticsSet* statistics) const {
  statistics->squared_unit_gradient = squared_unit_gradient_;
  for (const StatisticsField& field : StatisticsFields()) {
    const auto found = values_.find(field.flag);
    if (found == values_.end()) continue;
    for (const auto& [name, values] : found->second) (*statistics)[name].*field.field = values;
  }
}

Status Reconstruct(const Graph& dense, const Dataset& dataset, const CalibrationOptions& options,
                   const MaskSet& masks, TensorStore* weights) {
  ESPALIER_ASSIGN_OR_RETURN(const InputSumsByPart sums,
                            SumInputs(dense, dataset, options, /*with_moments=*/true));
  for (const auto& [key, part] : sums) {
    if (!masks.contains(key.first)) continue;
    if (FindOwner(dense, key.first)->op == Op::kEmbedding) continue;  // its rows are looked up, too
    ESPALIER_RETURN_IF_ERROR(GuardedLinearAlgebra([&] {
      ReconstructRows(dense, part, key, RowsOf(dense, sums, key), masks, weights);
      return Ok();
    }));
  }
  return Ok();
}

}  // namespace espalier
