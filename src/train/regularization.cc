#include "train/regularization.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

namespace espalier {

Result<Regularization> Regularization::Create(const Graph& graph,
                                              std::span<const WeightSlice> slices,
                                              const TrainJob& job, const TrainOptions& options) {
  Regularization all;
  if (job.regularizers.empty()) return all;
  std::map<std::string, size_t> offsets;
  size_t size = 0;
  for (const WeightSlice& slice : slices) {
    offsets[slice.name] = slice.offset;
    size = std::max(size, slice.offset + slice.size);
  }
  std::vector<float> flat(size, 0.0f);
  for (const WeightSlice& slice : slices) {
    const std::vector<float>& values = graph.weights.at(slice.name).values;
    std::copy(values.begin(), values.end(), flat.begin() + static_cast<ptrdiff_t>(slice.offset));
  }
  all.sequences_ = static_cast<double>(job.train->size());
  for (const RegularizerSpec& spec : job.regularizers) {
    ESPALIER_RETURN_IF_ERROR(ValidateRegularizer(spec));
    ESPALIER_ASSIGN_OR_RETURN(const Regularizer* kind, FindRegularizer(spec.name));
    ESPALIER_ASSIGN_OR_RETURN(Pieces pieces, PiecesFor(graph, spec, job.regularized, offsets));
    const size_t count = kind->parameter_count == nullptr ? 0 : kind->parameter_count(pieces);
    std::vector<double> spreads = PoolSpreads(pieces, flat);
    Part part{kind,
              spec,
              std::move(pieces),
              std::move(spreads),
              Optimizer(options.optimizer, count),
              {},
              {},
              std::vector<float>(count)};
    std::vector<float>& parameters = all.state_.parameters.emplace_back(count);
    if (kind->start != nullptr) kind->start(all.ContextOf(part, 0), flat, parameters);
    all.parts_.push_back(std::move(part));
  }
  // Not a draw of the training's own sequence of seeds, whose other draws are to stay what they
  // are.
  all.state_.rng = Rng(options.seed ^ 0x7265677573656564u);
  return all;
}

RegularizerContext Regularization::ContextOf(const Part& part, int64_t step) const {
  const double warmup = part.spec.warmup_epochs * steps_per_epoch_;
  const double share = warmup > 0.0 ? std::min(1.0, static_cast<double>(step + 1) / warmup) : 1.0;
  return {part.pieces, part.spec, part.spec.strength * share, sequences_, part.spreads};
}

void Regularization::Sample(int64_t step, std::span<float> weights) {
  for (size_t i = 0; i < parts_.size(); ++i) {
    Part& part = parts_[i];
    part.before.assign(weights.begin(), weights.end());
    if (part.kind->sample == nullptr) continue;
    part.kind->sample(ContextOf(part, step), state_.parameters[i], &state_.rng, weights,
                      &part.noise);
  }
}

void Regularization::StartStep() {
  for (Part& part : parts_) std::fill(part.gradient.begin(), part.gradient.end(), 0.0f);
}

void Regularization::Pull(int64_t step, double share, std::span<float> gradient) {
  for (size_t i = parts_.size(); i-- > 0;) {
    Part& part = parts_[i];
    if (part.kind->pull == nullptr) continue;
    std::vector<float> of_draw(part.gradient.size());
    part.kind->pull(ContextOf(part, step), state_.parameters[i], {part.before, part.noise},
                    gradient, of_draw);
    for (size_t k = 0; k < of_draw.size(); ++k) {
      part.gradient[k] += static_cast<float>(share) * of_draw[k];
    }
  }
}

void Regularization::Step(int64_t step, double rate, std::span<float> weights) {
  for (size_t i = 0; i < parts_.size(); ++i) {
    Part& part = parts_[i];
    if (part.kind->parameter_count != nullptr) {
      const double speed = part.spec.speed > 0.0 ? part.spec.speed : part.kind->speed;
      part.optimizer.Step(rate * speed, 1.0, part.gradient, state_.parameters[i]);
    }
    if (part.kind->project == nullptr) continue;
    part.kind->project(ContextOf(part, step), rate, weights);
  }
}

double Regularization::ParameterNorm() const {
  double squares = 0.0;
  for (const std::vector<float>& parameters : state_.parameters) {
    squares += std::pow(Norm(parameters), 2.0);
  }
  return std::sqrt(squares);
}

void Regularization::Fold(std::span<float> weights) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (part.kind->fold == nullptr) continue;
    part.kind->fold(ContextOf(part, 0), state_.parameters[i], weights);
  }
}

Regularization::State Regularization::state() const {
  State state = state_;
  state.optimizers.clear();
  for (const Part& part : parts_) state.optimizers.push_back(part.optimizer.state());
  return state;
}

bool Regularization::Restore(State state) {
  if (state.parameters.size() != parts_.size() || state.optimizers.size() != parts_.size()) {
    return false;
  }
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Optimizer::State& expected = parts_[i].optimizer.state();
    if (state.parameters[i].size() != state_.parameters[i].size() ||
        state.optimizers[i].first.size() != expected.first.size() ||
        state.optimizers[i].second.size() != expected.second.size()) {
      return false;
    }
  }
  state_ = std::move(state);
  for (size_t i = 0; i < parts_.size(); ++i) parts_[i].optimizer.set_state(state_.optimizers[i]);
  return true;
}

}  // namespace espalier
