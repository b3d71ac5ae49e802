#include "pipeline/evaluate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "base/strings.h"
#include "model/reference.h"
#include "pipeline/bench.h"
#include "report/text.h"
#include "runtime/session.h"

namespace espalier {
namespace {

constexpr int64_t kBatchSize = 32;

// What the first output holds: logits, or their softmax.
Scorer::Form FormOf(const Graph& graph) {
  const bool is_softmax = std::any_of(
      graph.nodes.begin(), graph.nodes.end(),
      [&](const Node& node) { return node.output == graph.outputs[0] && node.op == Op::kSoftmax; });
  return is_softmax ? Scorer::Form::kProbabilities : Scorer::Form::kLogits;
}

Status CheckFits(const Artifact& artifact, const Dataset& dataset) {
  const Graph& graph = artifact.graph();
  if (graph.inputs.size() != 1 || !(graph.inputs[0].type == dataset.input)) {
    return InvalidArgument(
        StrCat("compiled network: an input ", TypeString(dataset.input), " expected, ",
               graph.inputs.empty() ? "none" : TypeString(graph.inputs[0].type), " found"));
  }
  const ValueType expected = dataset.output();
  const ValueType& found = artifact.types().at(graph.outputs[0]);
  if (!(found == expected)) {
    return InvalidArgument(StrCat("compiled network's output '", graph.outputs[0],
                                  "': ", TypeString(expected), " expected, ", TypeString(found),
                                  " found"));
  }
  if (dataset.is_regression() && FormOf(graph) == Scorer::Form::kProbabilities) {
    return InvalidArgument(StrCat("compiled network's output '", graph.outputs[0],
                                  "': no softmax expected for a regression, one found"));
  }
  return Ok();
}

// In a batch rows are multiplied that one of its sequences needs, so that it tells little of what a
// stream leaves out.
bool LeavesOutRows(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
    return node.idle.has_value() || node.predicted.has_value();
  });
}

Status CheckEnd(const DynamicUse& use, const Dataset& dataset) {
  if (!(use.after > 0.0 && use.after <= 1.0)) {
    return InvalidArgument(
        StrCat("exit after: a share in (0, 1] of the steps expected, ", use.after, " found"));
  }
  if (!(use.drop >= 0.0 && use.drop < 1.0)) {
    return InvalidArgument(
        StrCat("drop: a share in [0, 1) of the steps expected, ", use.drop, " found"));
  }
  const int ways = (use.exit ? 1 : 0) + (use.after < 1.0 ? 1 : 0) + (use.drop > 0.0 ? 1 : 0);
  if (ways == 0) return Ok();
  if (ways > 1) {
    return InvalidArgument(
        "early exit: one of a confidence, a share of the steps and dropped steps expected, more "
        "found");
  }
  if (use.exit && dataset.is_regression()) {
    return InvalidArgument("early exit: a data set of classes expected, a regression found");
  }
  if (dataset.labelled == Layout::kVector) return Ok();
  return InvalidArgument(
      "early exit: a data set with a label a sequence expected, one with a label at each step "
      "found");
}

// Leaves out a share of the steps, but never the last one of a sequence.
void DropSteps(double share, Rng* rng, Batch* batch) {
  const auto size = static_cast<size_t>(batch->size);
  const auto move = [&](auto* values, size_t from, size_t to, size_t b) {
    const size_t width = values->size() / (static_cast<size_t>(batch->steps) * size);
    std::copy_n(values->begin() + static_cast<ptrdiff_t>((from * size + b) * width), width,
                values->begin() + static_cast<ptrdiff_t>((to * size + b) * width));
  };
  for (size_t b = 0; b < size; ++b) {
    const auto length = static_cast<size_t>(batch->lengths[b]);
    const double rate =
        share * static_cast<double>(length) / static_cast<double>(std::max<size_t>(2, length) - 1);
    size_t kept = 0;
    for (size_t t = 0; t < length; ++t) {
      if (t + 1 < length && rng->Uniform() < rate) continue;
      move(&batch->features, t, kept, b);
      move(&batch->ids, t, kept, b);
      ++kept;
    }
    batch->lengths[b] = static_cast<int32_t>(kept);
  }
}

// CheckAgainstReference of a session whose rules do not rest.
Status CheckByRules(const Graph& graph, std::span<const BatchView> calls, Session* session) {
  StateSet states = ZeroStates(graph, 1);
  std::map<std::string, Value> values;
  session->Reset();
  for (const BatchView& view : calls) {
    Batch batch;
    batch.steps = view.steps;
    batch.size = 1;
    batch.features.assign(view.features.begin(), view.features.end());
    batch.ids.assign(view.ids.begin(), view.ids.end());
    batch.lengths = {static_cast<int32_t>(view.steps)};
    ESPALIER_ASSIGN_OR_RETURN(values, RunReference(graph, batch, &states));
    ESPALIER_RETURN_IF_ERROR(session->Run(view));
  }
  const Value& value = values.at(graph.outputs[0]);
  const auto count = static_cast<size_t>(value.type.features);
  const std::span<const float> found = session->Output(0).last(count);
  const std::span<const float> expected = std::span(value.values).last(count);
  double gap = 0.0, size = 0.0;
  for (size_t i = 0; i < count; ++i) {
    gap += std::pow(static_cast<double>(expected[i]) - static_cast<double>(found[i]), 2.0);
    size += std::pow(static_cast<double>(expected[i]), 2.0);
  }
  const double most = IsDynamic(graph) ? kDynamicRmsTolerance : 1e-4;
  if (std::sqrt(gap) <= most * std::sqrt(size) + 1e-6) return Ok();
  return Internal(StrCat("an rms error of at most ", most, " of the reference's rms expected, ",
                         std::sqrt(gap / size), " found"));
}

}  // namespace

BatchView StepsOf(const Dataset& dataset, int64_t first, int64_t count) {
  BatchView view;
  view.steps = count;
  view.size = 1;
  const auto begin = static_cast<size_t>(first);
  const auto steps = static_cast<size_t>(count);
  if (dataset.input.element == Element::kI32) {
    view.ids = std::span(dataset.ids).subspan(begin, steps);
  } else {
    const auto width = static_cast<size_t>(dataset.input.features);
    view.features = std::span(dataset.features).subspan(begin * width, steps * width);
  }
  return view;
}

BatchView SequenceOf(const Dataset& dataset, int64_t i) {
  return StepsOf(dataset, dataset.offsets[static_cast<size_t>(i)], dataset.length(i));
}

Status CheckAgainstReference(const Graph& graph, std::span<const BatchView> calls,
                             Session* session) {
  const bool rests = session->rests();
  session->SetRests(false);
  const Status status = CheckByRules(graph, calls, session);
  session->SetRests(rests);
  return status;
}

Result<Evaluation> EvaluateArtifact(const Artifact& artifact, const Dataset& dataset,
                                    const SessionOptions& session_options, DynamicUse* dynamic) {
  ESPALIER_RETURN_IF_ERROR(CheckFits(artifact, dataset));
  DynamicUse unused;
  if (dynamic == nullptr) dynamic = &unused;
  ESPALIER_RETURN_IF_ERROR(CheckEnd(*dynamic, dataset));
  const int64_t batch_size =
      LeavesOutRows(artifact.graph()) ? 1 : EvaluationBatch(dataset, kBatchSize);
  int64_t longest = 1;
  for (int64_t i = 0; i < dataset.size(); ++i) longest = std::max(longest, dataset.length(i));
  SessionOptions options = session_options;
  options.max_batch = batch_size;
  options.max_steps = longest;
  if (dynamic->exit) {
    options.max_batch = 1;
    options.max_steps = std::clamp<int64_t>(dynamic->exit->every, 1, longest);
  }
  ESPALIER_ASSIGN_OR_RETURN(Session session, Session::Create(artifact, options));
  ESPALIER_RETURN_IF_ERROR(ChangeRules(artifact.graph(), dynamic->changes, &session));
  session.SetRests(false);  // by the rules, as in training

  Scorer scorer(dataset, FormOf(artifact.graph()));
  const auto width = static_cast<size_t>(dataset.output_size());
  const bool ends_early = dynamic->exit || dynamic->after < 1.0 || dynamic->drop > 0.0;
  if (ends_early) dynamic->steps.assign(static_cast<size_t>(dataset.size()), 0);
  for (int64_t i = 0; dynamic->exit && i < dataset.size(); ++i) {
    ExitRule rule = *dynamic->exit;
    rule.every = std::min(rule.every, longest);
    ExitResult result;
    session.Reset();
    ESPALIER_RETURN_IF_ERROR(session.RunUntil(SequenceOf(dataset, i), rule, &result));
    scorer.Add(static_cast<size_t>(i), session.Output(0));
    dynamic->steps[static_cast<size_t>(i)] = result.steps;
  }
  std::vector<std::vector<int64_t>> epoch;
  if (!dynamic->exit) epoch = MakeEpoch(dataset, {batch_size, 1}, nullptr);
  LabelledBatch batch;
  Rng rng(dynamic->drop_seed);
  for (const std::vector<int64_t>& indices : epoch) {
    MakeBatch(dataset, indices, &batch);
    if (dynamic->drop > 0.0) DropSteps(dynamic->drop, &rng, &batch.batch);
    for (size_t b = 0; ends_early && b < indices.size(); ++b) {
      int32_t& length = batch.batch.lengths[b];
      length = std::max<int32_t>(1, static_cast<int32_t>(std::lround(dynamic->after * length)));
      dynamic->steps[static_cast<size_t>(indices[b])] = length;
    }
    session.Reset();
    ESPALIER_RETURN_IF_ERROR(session.Run(ViewOf(batch.batch)));
    ForEachLabel(dataset, batch, [&](size_t row_index, size_t label_index) {
      scorer.Add(label_index, session.Output(0).subspan(row_index * width, width));
    });
  }
  for (size_t i = 0; i < session.dynamic_layers(); ++i) {
    dynamic->activity.push_back(session.Activity(i));
  }
  return scorer.Finish();
}

StepsRun StepsRunOf(const Dataset& dataset, const DynamicUse& use) {
  const std::vector<int64_t>& steps = use.steps;
  StepsRun run;
  int64_t total = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    total += steps[i];
    const bool is_cut = use.drop == 0.0 && steps[i] < dataset.length(static_cast<int64_t>(i));
    if (is_cut) ++run.cut;
  }
  run.share = static_cast<double>(total) /
              static_cast<double>(std::max<int64_t>(1, dataset.offsets.back()));
  std::vector<int64_t> sorted(steps.begin(), steps.end());
  std::sort(sorted.begin(), sorted.end());
  const auto rank = [&](size_t percent) {
    return sorted[(sorted.size() * percent + 99) / 100 - 1];
  };
  run.p50 = rank(50);
  run.p95 = rank(95);
  return run;
}

std::string StepsRunText(const Dataset& dataset, const StepsRun& run) {
  return StrCat(std::round(run.share * 1000.0) / 10.0, " % of the steps; a sequence ", run.p50,
                " (p50), ", run.p95, " (p95); ", run.cut, " of ", dataset.size(),
                " ended before their last");
}

namespace {

void ComparePredictions(const Evaluation& a, const Evaluation& b, Agreement* agreement) {
  agreement->count = static_cast<int64_t>(a.predictions.size());
  for (size_t i = 0; i < a.predictions.size(); ++i) {
    if (a.predictions[i] == b.predictions[i]) continue;
    ++agreement->differences;
    const auto gap = static_cast<double>(a.margins[i]);
    agreement->largest_gap = std::max(agreement->largest_gap, gap);
    if (!(gap <= kTieMargin)) ++agreement->unexplained;
  }
}

// The standard deviation, or a hundredth of the root mean square where that is more: rounding goes
// with the size of outputs that hardly differ. Not 0, so that it can divide.
double SpreadOf(const std::vector<float>& values) {
  const auto count = static_cast<double>(values.size());
  double sum = 0.0, squares = 0.0, variance = 0.0;
  for (const float value : values) sum += value;
  for (const float value : values) squares += static_cast<double>(value) * value;
  const double mean = sum / count;
  for (const float value : values) variance += (value - mean) * (value - mean) / count;
  const double least = std::numeric_limits<float>::min();
  return std::max({std::sqrt(variance), 0.01 * std::sqrt(squares / count), least});
}

void CompareOutputs(const Evaluation& a, const Evaluation& b, Agreement* agreement) {
  agreement->is_regression = true;
  agreement->count = static_cast<int64_t>(a.outputs.size());
  const double spread = SpreadOf(a.outputs);
  for (size_t i = 0; i < a.outputs.size(); ++i) {
    const double gap =
        std::abs(static_cast<double>(a.outputs[i]) - static_cast<double>(b.outputs[i])) / spread;
    if (!(gap <= kOutputTolerance)) ++agreement->differences;  // NaN, too
    if (!(gap <= agreement->largest_gap)) agreement->largest_gap = gap;
    agreement->mean_gap += gap / static_cast<double>(a.outputs.size());
  }
  agreement->unexplained = agreement->differences;
}

}  // namespace

Agreement Compare(const Evaluation& a, const Evaluation& b) {
  Agreement agreement;
  if (a.predictions.empty() && !a.outputs.empty()) {
    CompareOutputs(a, b, &agreement);
  } else {
    ComparePredictions(a, b, &agreement);
  }
  const auto count = static_cast<double>(agreement.count);
  agreement.share = count == 0.0 ? 1.0 : 1.0 - static_cast<double>(agreement.differences) / count;
  return agreement;
}

std::string AgreementText(const Agreement& agreement) {
  const std::string share = FormatPercent(agreement.share, 2);
  if (agreement.is_regression) {
    return StrCat(share, " of the outputs agree within ", kOutputTolerance,
                  " of their standard deviation; they are up to ", agreement.largest_gap,
                  " of it apart, ", agreement.mean_gap, " in the mean");
  }
  return StrCat(share, " of the predictions agree; of ", agreement.differences, " that differ, ",
                agreement.unexplained, " are not ties within ", kTieMargin);
}

}  // namespace espalier
