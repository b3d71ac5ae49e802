#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "artifact/artifact.h"
#include "base/strings.h"
#include "command.h"
#include "exchange/onnx.h"
#include "pipeline/activity.h"
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
  bool is_valid = false;  // the validation split in the place of the test split
  DynamicUse dynamic;
  ExitFlags exit;

  const Dataset& SplitOf(const TaskData& task_data) const {
    return is_valid ? task_data.valid : task_data.test;
  }
  bool NeedsSession() const {
    return dynamic.changes.any() || dynamic.exit || dynamic.after != 1.0 || dynamic.drop != 0.0;
  }
  const char* split() const { return is_valid ? "validation" : "test"; }
};

Json ActivityJson(const LayerActivity& activity) {
  const LayerCounters& counters = activity.counters;
  return {{"layer", activity.layer},
          {"reverse", activity.reverse},
          {"delta_x", activity.rules.delta_x},
          {"delta_h", activity.rules.delta_h},
          {"skip", activity.rules.skip},
          {"steps", counters.steps},
          {"banks", activity.rules.banks},
          {"skipped", counters.skipped},
          {"units", counters.units},
          {"units_run", counters.units_run},
          {"idle", activity.rules.idle},
          {"predicted", activity.rules.predicted},
          {"rows", counters.rows},
          {"rows_run", counters.rows_run},
          {"rows_idle", counters.rows_idle},
          {"x_columns", counters.x_columns},
          {"x_sent", counters.x_sent},
          {"h_columns", counters.h_columns},
          {"h_sent", counters.h_sent},
          {"multiply_adds", counters.multiply_adds},
          {"multiply_adds_without", counters.multiply_adds_without},
          {"multiply_adds_skipped", counters.multiply_adds_skipped}};
}

// An .onnx file by libtorch and an .esp by a Session, each in the engine that it is made for. But
// rules and ends of sequences are a Session's: with those, an .onnx file runs in one, too. Adds
// what layers with dynamic pruning did to *text and *json.
Result<Evaluation> EvaluateFile(const std::string& path, const Dataset& test, const Flags& flags,
                                std::string* text, Json* json) {
  ESPALIER_ASSIGN_OR_RETURN(const bool is_artifact, IsArtifactFile(path));
  if (!is_artifact && !flags.NeedsSession()) {
    ESPALIER_ASSIGN_OR_RETURN(const Graph graph, ImportOnnxFile(path));
    EvaluateOptions options;
    options.threads = flags.threads;
    return Evaluate(graph, test, options);
  }
  ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, OpenToRun(path, flags.target));
  SessionOptions session;
  session.target = flags.target;
  session.threads = flags.threads;
  DynamicUse dynamic = flags.dynamic;
  const Result<Evaluation> evaluation = EvaluateArtifact(artifact, test, session, &dynamic);
  if (evaluation.ok() && !dynamic.steps.empty()) {
    const StepsRun run = StepsRunOf(test, dynamic);
    *text += StepsRunText(test, run) + "\n";
    (*json)["steps"] = {
        {"share", run.share}, {"p50", run.p50}, {"p95", run.p95}, {"ended_early", run.cut}};
  }
  for (const LayerActivity& activity : dynamic.activity) {
    *text += ActivityText(RecordOf(activity)) + "\n";
    (*json)["dynamic"].push_back(ActivityJson(activity));
  }
  return evaluation;
}

// Of the flags that end sequences or leave out steps: EvaluateArtifact would name no flag.
Status CheckEnds(const DynamicUse& use) {
  if (!(use.after > 0.0 && use.after <= 1.0)) {
    return InvalidArgument(
        StrCat("--exit-after: a share in (0, 1] of the steps expected, ", use.after, " found"));
  }
  if (!(use.drop >= 0.0 && use.drop < 1.0)) {
    return InvalidArgument(
        StrCat("--drop-steps: a share in [0, 1) of the steps expected, ", use.drop, " found"));
  }
  const int ways = (use.exit ? 1 : 0) + (use.after < 1.0 ? 1 : 0) + (use.drop > 0.0 ? 1 : 0);
  if (ways <= 1) return Ok();
  return InvalidArgument(
      "--exit-confidence, --exit-after, --drop-steps: one of them expected, more found");
}

// e.g. "accuracy 98.61 %", "mse 0.4121, mae 0.4310".
std::string MetricText(const Metric& metric, const Evaluation& evaluation) {
  std::string text = StrCat(metric.name, " ", FormatMetric(metric.name, evaluation.metric));
  if (metric.is_regression) {
    text += ", mae " + FormatFixed(evaluation.mean_absolute_error, metric.decimals);
  }
  return text;
}

void AddAbsoluteError(const Metric& metric, const Evaluation& evaluation, Json* json) {
  if (metric.is_regression) (*json)["mae"] = evaluation.mean_absolute_error;
}

Status Run(Flags flags, Console* console) {
  ESPALIER_ASSIGN_OR_RETURN(flags.dynamic.exit, flags.exit.Resolve());
  ESPALIER_RETURN_IF_ERROR(CheckEnds(flags.dynamic));
  ESPALIER_ASSIGN_OR_RETURN(const TaskInfo task, FindTask(flags.data.task));
  ESPALIER_ASSIGN_OR_RETURN(const TaskData data, flags.data.Load());
  const Dataset& split = flags.SplitOf(data);
  std::string activity;
  Json found = Json::object();
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation evaluation,
                            EvaluateFile(flags.input, split, flags, &activity, &found));
  const std::string metric = task.metric.name;
  const std::string counted = task.output.layout == Layout::kSequence ? "steps" : "sequences";
  Json json = {{"file", flags.input},     {"task", task.name},
               {"split", flags.split()},  {metric, evaluation.metric},
               {"loss", evaluation.loss}, {"class_metric", evaluation.class_metric}};
  AddAbsoluteError(task.metric, evaluation, &json);
  json.update(found);
  std::string text = StrCat(flags.input, ": ", MetricText(task.metric, evaluation), " on ",
                            split.label_count(), " ", flags.split(), " ", counted, "\n", activity);
  if (!flags.against.empty()) {
    Flags own = flags;  // with its own rules
    own.dynamic = DynamicUse();
    std::string other_activity;
    Json other_found = Json::object();
    ESPALIER_ASSIGN_OR_RETURN(const Evaluation other, EvaluateFile(flags.against, split, own,
                                                                   &other_activity, &other_found));
    const Agreement agreement = Compare(evaluation, other);
    text += StrCat(flags.against, ": ", MetricText(task.metric, other), "\n", other_activity,
                   AgreementText(agreement), "\n");
    json["against"] = {{"file", flags.against},
                       {metric, other.metric},
                       {"loss", other.loss},
                       {"agreement", agreement.share},
                       {"differences", agreement.differences}};
    if (agreement.is_regression) {
      json["against"]["largest_difference"] = agreement.largest_gap;
      json["against"]["mean_difference"] = agreement.mean_gap;
    } else {
      json["against"]["not_ties"] = agreement.unexplained;
    }
    AddAbsoluteError(task.metric, other, &json["against"]);
    json["against"].update(other_found);
  }
  return console->Result(text, json);
}

}  // namespace

Action AddEval(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  app->footer(
      "An .onnx file runs in libtorch; with flags that change rules, end sequences or leave out "
      "steps\n"
      "it is compiled first, as espalier run does.\n"
      "example: espalier eval sparse.esp --task mnist-rows --against sparse.onnx");
  app->add_option("input", flags->input, "Network (.onnx or .esp)")->required();
  app->add_option("--against", flags->against,
                  "Compare predictions, or a regression's outputs, with this network");
  AddRuleOptions(app, &flags->dynamic.changes);
  AddExitOptions(app, &flags->exit);
  app->add_option("--exit-after", flags->dynamic.after,
                  "End all sequences after this share of their steps, to compare an exit with");
  app->add_option("--drop-steps", flags->dynamic.drop,
                  "Leave out this share of the steps at random, to compare skipping with");
  AddSeedOption(app, &flags->dynamic.drop_seed, "Seed of the choice of steps for --drop-steps")
      ->capture_default_str();
  app->add_flag("--validation", flags->is_valid,
                "The validation split, for choices, in the place of the test split");
  AddTargetOption(app, &flags->target);
  AddThreadsOption(app, &flags->threads, "Threads")->capture_default_str();
  AddTaskOptions(app, TaskNeed::kRequired, &flags->data);
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
