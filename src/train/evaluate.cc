#include "train/evaluate.h"

#include <cmath>

#include "base/strings.h"
#include "train/train_options.h"

namespace espalier {

Result<Evaluation> EvaluateWith(Autograd* autograd, const Dataset& dataset,
                                const EvaluateOptions& options) {
  const auto width = static_cast<size_t>(dataset.output_size());
  Scorer scorer(dataset, Scorer::Form::kLogits,
                options.keep_outputs ? Scorer::Keep::kOutputs : Scorer::Keep::kPredictions);
  LabelledBatch batch;
  std::vector<float> outputs;
  const int64_t batch_size = EvaluationBatch(dataset, options.batch_size);
  for (const auto& indices : MakeEpoch(dataset, {.batch_size = batch_size}, nullptr)) {
    MakeBatch(dataset, indices, &batch);
    ESPALIER_RETURN_IF_ERROR(autograd->Logits(batch.batch, &outputs));
    Status status;
    ForEachLabel(dataset, batch, [&](size_t row_index, size_t label_index) {
      const auto row = std::span<const float>(outputs).subspan(row_index * width, width);
      for (size_t k = 0; k < width && status.ok(); ++k) {
        if (std::isfinite(row[k])) continue;
        status = InvalidArgument(StrCat("label ", label_index, ": finite ",
                                        dataset.is_regression() ? "outputs" : "logits",
                                        " expected, ", row[k], " found"));
      }
      if (status.ok()) scorer.Add(label_index, row);
    });
    ESPALIER_RETURN_IF_ERROR(status);
  }
  return scorer.Finish();
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
