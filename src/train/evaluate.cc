#include "train/evaluate.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "tasks/task.h"
#include "train/train_options.h"

namespace espalier {
namespace {

// -log softmax(logits)[label], in double.
double CrossEntropy(std::span<const float> logits, int32_t label) {
  const double peak = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - peak);
  return std::log(sum) + peak - static_cast<double>(logits[static_cast<size_t>(label)]);
}

}  // namespace

Result<Evaluation> EvaluateWith(Autograd* autograd, const Dataset& dataset,
                                const EvaluateOptions& options) {
  const auto classes = static_cast<size_t>(autograd->classes());
  const auto count = static_cast<size_t>(dataset.size());
  Evaluation evaluation;
  evaluation.predictions.assign(count, 0);
  if (options.keep_logits) evaluation.logits.assign(count * classes, 0.0f);
  LabelledBatch batch;
  std::vector<float> logits;
  for (const auto& indices : MakeEpoch(dataset, {.batch_size = options.batch_size}, nullptr)) {
    MakeBatch(dataset, indices, &batch);
    ESPALIER_RETURN_IF_ERROR(autograd->Logits(batch.batch, &logits));
    for (size_t b = 0; b < indices.size(); ++b) {
      const std::span<const float> row(logits.data() + b * classes, classes);
      const auto sequence = static_cast<size_t>(indices[b]);
      const int32_t label = batch.labels[b];
      for (const float logit : row) {
        if (std::isfinite(logit)) continue;
        return InvalidArgument(
            StrCat("sequence ", sequence, ": finite logits expected, ", logit, " found"));
      }
      const auto predicted = std::max_element(row.begin(), row.end()) - row.begin();
      evaluation.loss += CrossEntropy(row, label);
      evaluation.predictions[sequence] = static_cast<int32_t>(predicted);
      if (options.keep_logits) {
        std::copy(row.begin(), row.end(),
                  evaluation.logits.begin() + static_cast<ptrdiff_t>(sequence * classes));
      }
    }
  }
  Score score = ScoreOf(evaluation.predictions, dataset);
  evaluation.metric = score.metric;
  evaluation.class_metric = std::move(score.class_metric);
  evaluation.confusion = std::move(score.confusion);
  evaluation.loss /= static_cast<double>(count);
  return evaluation;
}

Result<Evaluation> Evaluate(const Graph& graph, const Dataset& dataset,
                            const EvaluateOptions& options) {
  if (options.batch_size < 1 || options.threads < 1) {
    return InvalidArgument(StrCat("evaluation: batch_size and threads of at least 1 expected, ",
                                  options.batch_size, " and ", options.threads, " found"));
  }
  ESPALIER_ASSIGN_OR_RETURN(const std::unique_ptr<Autograd> autograd, Autograd::Create(graph));
  ESPALIER_RETURN_IF_ERROR(ValidateData(graph, dataset, autograd->classes(), "data set"));
  SetTorchThreads(options.threads);
  return EvaluateWith(autograd.get(), dataset, options);
}

}  // namespace espalier
