#include <memory>
#include <nlohmann/json.hpp>

#include "artifact/artifact.h"
#include "base/strings.h"
#include "command.h"
#include "exchange/onnx.h"
#include "pipeline/evaluate.h"
#include "report/text.h"
#include "tasks/task.h"

namespace espalier {
namespace {

struct Flags {
  std::string input;
  std::string against;
  std::string target;
  DataOptions data;
  int threads = 1;
};

// .onnx by libtorch, .esp by a Session: each file in the engine that it is made for.
Result<Evaluation> EvaluateFile(const std::string& path, const Dataset& test, const Flags& flags) {
  ESPALIER_ASSIGN_OR_RETURN(const bool is_artifact, IsArtifactFile(path));
  if (is_artifact) {
    ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, Artifact::Open(path));
    SessionOptions session;
    session.target = flags.target;
    session.threads = flags.threads;
    return EvaluateArtifact(artifact, test, session);
  }
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, ImportOnnxFile(path));
  EvaluateOptions options;
  options.threads = flags.threads;
  return Evaluate(graph, test, options);
}

Status Run(const Flags& flags, Console* console) {
  ESPALIER_ASSIGN_OR_RETURN(const TaskInfo task, FindTask(flags.data.task));
  ESPALIER_ASSIGN_OR_RETURN(const TaskData data, flags.data.Load());
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation evaluation,
                            EvaluateFile(flags.input, data.test, flags));
  const std::string metric = task.metric.name;
  const std::string counted = task.output.layout == Layout::kSequence ? "steps" : "sequences";
  Json json = {{"file", flags.input},
               {"task", task.name},
               {metric, evaluation.metric},
               {"loss", evaluation.loss},
               {"class_metric", evaluation.class_metric}};
  std::string text = StrCat(flags.input, ": ", metric, " ", FormatMetric(metric, evaluation.metric),
                            " on ", data.test.labels.size(), " test ", counted, "\n");
  if (!flags.against.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(const Evaluation other,
                              EvaluateFile(flags.against, data.test, flags));
    const Agreement agreement = Compare(evaluation, other);
    text += StrCat(flags.against, ": ", metric, " ", FormatMetric(metric, other.metric), "\n",
                   FormatPercent(agreement.share, 2), " of the predictions agree; of ",
                   agreement.differences, " that differ, ", agreement.unexplained,
                   " are not ties within ", kTieMargin, "\n");
    json["against"] = {{"file", flags.against},
                       {metric, other.metric},
                       {"loss", other.loss},
                       {"agreement", agreement.share},
                       {"differences", agreement.differences},
                       {"not_ties", agreement.unexplained}};
  }
  return console->Result(text, json);
}

}  // namespace

Action AddEval(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  app->footer("example: espalier eval sparse.esp --task mnist-rows --against sparse.onnx");
  app->add_option("input", flags->input, "Network (.onnx or .esp)")->required();
  app->add_option("--against", flags->against, "Compare predictions with this network");
  AddTargetOption(app, &flags->target);
  AddThreadsOption(app, &flags->threads, "Threads")->capture_default_str();
  AddTaskOptions(app, TaskNeed::kRequired, &flags->data);
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
