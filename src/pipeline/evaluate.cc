#include "pipeline/evaluate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/strings.h"
#include "runtime/session.h"
#include "tasks/task.h"

namespace espalier {
namespace {

constexpr int64_t kBatchSize = 32;

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
  return Ok();
}

// The cross-entropy of what the first output holds: logits, or their softmax.
double LossOf(const Graph& graph, std::span<const float> row, int32_t label) {
  const bool is_softmax = std::any_of(
      graph.nodes.begin(), graph.nodes.end(),
      [&](const Node& node) { return node.output == graph.outputs[0] && node.op == Op::kSoftmax; });
  if (!is_softmax) return CrossEntropy(row.data(), static_cast<int64_t>(row.size()), label);
  const float least = std::numeric_limits<float>::min();
  return -std::log(static_cast<double>(std::max(row[static_cast<size_t>(label)], least)));
}

// Each in the layers that can follow it.
Status ChangeRules(const Graph& graph, const DynamicUse& use, Session* session) {
  bool sends = false, skips = false;
  for (size_t i = 0; i < session->dynamic_layers(); ++i) {
    const LayerActivity layer = session->Activity(i);
    const Node& node = *FindNode(graph, std::string(layer.layer));
    const auto own = use.rules.find(node.name);
    LayerRules rules = own == use.rules.end() ? layer.rules : own->second;
    if (node.delta.has_value()) {
      rules.delta_x = use.delta_x.value_or(rules.delta_x);
      rules.delta_h = use.delta_h.value_or(rules.delta_h);
    }
    if (use.no_skip) rules.skip = false;
    sends |= node.delta.has_value();
    skips |= node.skip;
    ESPALIER_RETURN_IF_ERROR(session->SetRules(layer.layer, rules));
  }
  if ((use.delta_x || use.delta_h) && !sends) {
    return InvalidArgument(
        "thresholds: a network with a layer that has delta expected, none found; "
        "give it delta, with thresholds of 0 if need be, before it is compiled");
  }
  if (use.no_skip && !skips) {
    return InvalidArgument("no skipping: a network with a layer that skips expected, none found");
  }
  return Ok();
}

}  // namespace

Result<Evaluation> EvaluateArtifact(const Artifact& artifact, const Dataset& dataset,
                                    const SessionOptions& session_options, DynamicUse* dynamic) {
  ESPALIER_RETURN_IF_ERROR(CheckFits(artifact, dataset));
  const int64_t classes = dataset.classes;
  const int64_t batch_size = EvaluationBatch(dataset, kBatchSize);
  int64_t longest = 1;
  for (int64_t i = 0; i < dataset.size(); ++i) longest = std::max(longest, dataset.length(i));
  SessionOptions options = session_options;
  options.max_batch = batch_size;
  options.max_steps = longest;
  ESPALIER_ASSIGN_OR_RETURN(Session session, Session::Create(artifact, options));

  if (dynamic != nullptr && dynamic->changes_rules()) {
    ESPALIER_RETURN_IF_ERROR(ChangeRules(artifact.graph(), *dynamic, &session));
  }

  Evaluation evaluation;
  evaluation.predictions.resize(dataset.labels.size());
  evaluation.margins.resize(dataset.labels.size());
  const auto class_count = static_cast<size_t>(classes);
  LabelledBatch batch;
  for (const std::vector<int64_t>& indices : MakeEpoch(dataset, {batch_size, 1}, nullptr)) {
    MakeBatch(dataset, indices, &batch);
    session.Reset();
    ESPALIER_RETURN_IF_ERROR(session.Run(ViewOf(batch.batch)));
    ForEachLabel(dataset, batch, [&](size_t row_index, size_t label_index) {
      const std::span<const float> row =
          session.Output(0).subspan(row_index * class_count, class_count);
      evaluation.loss += LossOf(artifact.graph(), row, dataset.labels[label_index]);
      evaluation.predictions[label_index] = static_cast<int32_t>(ArgMax(row.data(), classes));
      evaluation.margins[label_index] = Margin(row.data(), classes);
    });
  }
  for (size_t i = 0; dynamic != nullptr && i < session.dynamic_layers(); ++i) {
    dynamic->activity.push_back(session.Activity(i));
  }
  evaluation.loss /= static_cast<double>(std::max<size_t>(1, dataset.labels.size()));
  Score score = ScoreOf(evaluation.predictions, evaluation.loss, dataset);
  evaluation.metric = score.metric;
  evaluation.class_metric = std::move(score.class_metric);
  evaluation.confusion = std::move(score.confusion);
  return evaluation;
}

Agreement Compare(const Evaluation& a, const Evaluation& b) {
  Agreement agreement;
  for (size_t i = 0; i < a.predictions.size(); ++i) {
    if (a.predictions[i] == b.predictions[i]) continue;
    ++agreement.differences;
    const auto gap = static_cast<double>(a.margins[i]);
    agreement.largest_gap = std::max(agreement.largest_gap, gap);
    if (!(gap <= kTieMargin)) ++agreement.unexplained;
  }
  const auto count = static_cast<double>(a.predictions.size());
  agreement.share = count == 0.0 ? 1.0 : 1.0 - static_cast<double>(agreement.differences) / count;
  return agreement;
}

}  // namespace espalier
