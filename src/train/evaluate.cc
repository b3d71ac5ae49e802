#include "train/evaluate.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "tasks/task.h"
#include "train/train_options.h"

namespace espalier {
Result<Evaluation> EvaluateWith(Autograd* autograd, const Dataset& dataset,
                                const EvaluateOptions& options) {
  const auto classes = static_cast<size_t>(dataset.classes);
  const size_t count = dataset.labels.size();
  Evaluation evaluation;
  evaluation.predictions.assign(count, 0);
  evaluation.margins.assign(count, 0.0f);
  if (options.keep_logits) evaluation.logits.assign(count * classes, 0.0f);
  LabelledBatch batch;
  std::vector<float> logits;
  const int64_t batch_size = EvaluationBatch(dataset, options.batch_size);
  for (const auto& indices : MakeEpoch(dataset, {.batch_size = batch_size}, nullptr)) {
    MakeBatch(dataset, indices, &batch);
    ESPALIER_RETURN_IF_ERROR(autograd->Logits(batch.batch, &logits));
    Status status;
    ForEachLabel(dataset, batch, [&](size_t row_index, size_t label_index) {
      const float* row = logits.data() + row_index * classes;
      for (size_t k = 0; k < classes && status.ok(); ++k) {
        if (std::isfinite(row[k])) continue;
        status = InvalidArgument(
            StrCat("label ", label_index, ": finite logits expected, ", row[k], " found"));
      }
      if (!status.ok()) return;
      const auto width = static_cast<int64_t>(classes);
      evaluation.loss += CrossEntropy(row, width, dataset.labels[label_index]);
      evaluation.predictions[label_index] = static_cast<int32_t>(ArgMax(row, width));
      evaluation.margins[label_index] = Margin(row, width);
      if (options.keep_logits) {
        std::copy_n(row, classes,
                    evaluation.logits.begin() + static_cast<ptrdiff_t>(label_index * classes));
      }
    });
    ESPALIER_RETURN_IF_ERROR(status);
  }
  evaluation.loss /= static_cast<double>(count);
  Score score = ScoreOf(evaluation.predictions, evaluation.loss, dataset);
  evaluation.metric = score.metric;
  evaluation.class_metric = std::move(score.class_metric);
  evaluation.confusion = std::move(score.confusion);
  return evaluation;
}

Result<Evaluation> Evaluate(const Graph& graph, const Dataset& dataset,
                            const EvaluateOptions& options) {
  if (options.batch_size < 1 || options.threads < 1) {
    return InvalidArgument(StrCat("evaluation: batch_size and threads of at least 1 expected, ",
                                  options.batch_size, " and ", options.threads, " found"));
  }
  ESPALIER_ASSIGN_OR_RETURN(const std::unique_ptr<Autograd> autograd, Autograd::Create(graph));
  ESPALIER_RETURN_IF_ERROR(ValidateData(graph, dataset, autograd->output(), "data set"));
  SetTorchThreads(options.threads);
  return EvaluateWith(autograd.get(), dataset, options);
}

}  // namespace espalier
