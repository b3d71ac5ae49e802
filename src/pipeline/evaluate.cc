#include "pipeline/evaluate.h"

#include <algorithm>

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
  const ValueType expected = {Element::kF32, Layout::kVector, dataset.classes};
  const ValueType& found = artifact.types().at(graph.outputs[0]);
  if (!(found == expected)) {
    return InvalidArgument(StrCat("compiled network's output '", graph.outputs[0],
                                  "': ", TypeString(expected), " expected, ", TypeString(found),
                                  " found"));
  }
  return Ok();
}

// Distance between the two largest of `classes` values.
double Margin(const float* row, int64_t classes) {
  std::vector<float> sorted(row, row + classes);
  std::partial_sort(sorted.begin(), sorted.begin() + 2, sorted.end(), std::greater<>());
  return static_cast<double>(sorted[0]) - static_cast<double>(sorted[1]);
}

}  // namespace

Result<Evaluation> EvaluateArtifact(const Artifact& artifact, const Dataset& dataset,
                                    const SessionOptions& session_options) {
  ESPALIER_RETURN_IF_ERROR(CheckFits(artifact, dataset));
  const int64_t classes = dataset.classes;
  const auto count = static_cast<size_t>(dataset.size());
  int64_t longest = 1;
  for (int64_t i = 0; i < dataset.size(); ++i) longest = std::max(longest, dataset.length(i));
  SessionOptions options = session_options;
  options.max_batch = kBatchSize;
  options.max_steps = longest;
  ESPALIER_ASSIGN_OR_RETURN(Session session, Session::Create(artifact, options));

  Evaluation evaluation;
  evaluation.logits.resize(count * static_cast<size_t>(classes));
  evaluation.predictions.resize(count);
  const auto class_count = static_cast<size_t>(classes);
  LabelledBatch batch;
  for (const std::vector<int64_t>& indices : MakeEpoch(dataset, {kBatchSize, 1}, nullptr)) {
    MakeBatch(dataset, indices, &batch);
    session.Reset();
    ESPALIER_RETURN_IF_ERROR(session.Run(ViewOf(batch.batch)));
    for (size_t b = 0; b < indices.size(); ++b) {
      const float* row = session.Output(0).data() + b * class_count;
      const auto index = static_cast<size_t>(indices[b]);
      std::copy_n(row, class_count, evaluation.logits.data() + index * class_count);
      evaluation.predictions[index] = static_cast<int32_t>(ArgMax(row, classes));
    }
  }
  Score score = ScoreOf(evaluation.predictions, dataset);
  evaluation.metric = score.metric;
  evaluation.class_metric = std::move(score.class_metric);
  evaluation.confusion = std::move(score.confusion);
  return evaluation;
}

Agreement Compare(const Evaluation& a, const Evaluation& b, int64_t classes) {
  Agreement agreement;
  for (size_t i = 0; i < a.predictions.size(); ++i) {
    if (a.predictions[i] == b.predictions[i]) continue;
    ++agreement.differences;
    const double gap = Margin(a.logits.data() + static_cast<int64_t>(i) * classes, classes);
    agreement.largest_gap = std::max(agreement.largest_gap, gap);
    if (!(gap <= kTieMargin)) ++agreement.unexplained;
  }
  const auto count = static_cast<double>(a.predictions.size());
  agreement.share = count == 0.0 ? 1.0 : 1.0 - static_cast<double>(agreement.differences) / count;
  return agreement;
}

}  // namespace espalier
