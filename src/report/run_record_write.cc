#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/strings.h"
#include "report/base64.h"
#include "report/json.h"
#include "report/run_record.h"
#include "report/summary.h"

namespace espalier {
namespace {

Json NumberOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(); }

template <typename T>
Json ValueOrNull(const std::optional<T>& value) {
  return value.has_value() ? Json(*value) : Json();
}

// `text` is one that this program made, so what is wrong with it is the caller's mistake.
Result<Json> ParseObject(const std::string& path, const std::string& text) {
  Result<Json> json = ParseJson(text);
  if (!json.ok()) return InvalidArgument(path + ": " + json.status().message());
  if (!json->is_object()) {
    return InvalidArgument(StrCat(path, ": an object expected, ", DescribeJson(*json), " found"));
  }
  return json;
}

Json EpochJson(const EpochRecord& epoch) {
  return {{"epoch", epoch.epoch},
          {"step", epoch.step},
          {"train_loss", NumberOrNull(epoch.train_loss)},
          {"valid_loss", NumberOrNull(epoch.valid_loss)},
          {"valid_metric", NumberOrNull(epoch.valid_metric)},
          {"learning_rate", NumberOrNull(epoch.learning_rate)},
          {"sparsity", epoch.sparsity},
          {"seconds", epoch.seconds}};
}

Result<Json> StageJson(const std::string& path, const StageRecord& stage) {
  ESPALIER_ASSIGN_OR_RETURN(Json parameters,
                            ParseObject(path + ".parameters", stage.parameters_json));
  Json epochs = Json::array();
  for (const EpochRecord& epoch : stage.epochs) epochs.push_back(EpochJson(epoch));
  Json json = {{"name", stage.name},
               {"kind", stage.kind},
               {"seconds", stage.seconds},
               {"seed", stage.seed},
               {"key", stage.key},
               {"parameters", std::move(parameters)},
               {"epochs", std::move(epochs)},
               {"output", stage.output},
               {"crc32c", stage.crc32c}};
  if (!stage.search) return json;
  Json tried = Json::array();
  for (const TriedRecord& each : stage.search->tried) {
    tried.push_back({{"sparsity", each.sparsity}, {"metric", each.metric}});
    if (each.bytes) tried.back()["bytes"] = *each.bytes;
    if (each.time) tried.back()["time"] = *each.time;
  }
  json["search"] = {{"metric_before", stage.search->metric_before},
                    {"within", stage.search->within},
                    {"kept", stage.search->kept ? Json(*stage.search->kept) : Json()},
                    {"tried", std::move(tried)}};
  if (stage.search->bytes) json["search"]["bytes"] = *stage.search->bytes;
  if (stage.search->time) json["search"]["time"] = *stage.search->time;
  if (stage.search->bytes || stage.search->time) json["search"]["is_met"] = stage.search->is_met;
  return json;
}

Json WeightJson(const WeightRecord& weight) {
  Json json = {{"name", weight.name},
               {"rows", weight.rows},
               {"cols", weight.cols},
               {"nonzeros", weight.nonzeros},
               {"sparsity", weight.sparsity},
               {"gates", Json::array()},
               {"mask", Base64Encode(weight.mask)}};
  for (const GateRecord& gate : weight.gates) {
    json["gates"].push_back({{"name", gate.name}, {"sparsity", gate.sparsity}});
  }
  if (weight.format.empty()) return json;
  json["format"] = weight.format;
  json["kernel"] = weight.kernel;
  json["encoded_bytes"] = weight.encoded_bytes;
  json["candidates"] = Json::array();
  for (const CandidateRecord& candidate : weight.candidates) {
    json["candidates"].push_back(
        {{"format", candidate.format}, {"ns", candidate.ns}, {"bytes", candidate.bytes}});
  }
  return json;
}

Json ActivityJson(const ActivityRecord& activity) {
  Json json = {{"layer", activity.layer},
               {"reverse", activity.reverse},
               {"delta_x", activity.delta_x},
               {"delta_h", activity.delta_h},
               {"skip", activity.skip},
               {"banks", activity.banks},
               {"steps", activity.steps},
               {"skipped", activity.skipped},
               {"units", activity.units},
               {"units_run", activity.units_run},
               {"idle", activity.idle},
               {"predicted", activity.predicted},
               {"rows", activity.rows},
               {"rows_run", activity.rows_run},
               {"rows_idle", activity.rows_idle},
               {"x_columns", activity.x_columns},
               {"x_sent", activity.x_sent},
               {"h_columns", activity.h_columns},
               {"h_sent", activity.h_sent},
               {"multiply_adds", activity.multiply_adds},
               {"multiply_adds_without", activity.multiply_adds_without},
               {"multiply_adds_skipped", activity.multiply_adds_skipped}};
  if (!activity.map) return json;
  json["map"] = {{"sequence", activity.map->sequence},
                 {"steps", activity.map->steps},
                 {"inputs", activity.map->inputs},
                 {"units", activity.map->units},
                 {"updates", Base64Encode(activity.map->updates)},
                 {"x_sent", Base64Encode(activity.map->x_sent)},
                 {"h_sent", Base64Encode(activity.map->h_sent)}};
  if (!activity.map->rows_run.empty()) json["map"]["rows_run"] = activity.map->rows_run;
  return json;
}

Json ModelJson(const ModelRecord& model) {
  Json json = {{"file", model.file},
               {"onnx", model.onnx},
               {"bytes", model.bytes},
               {"params", model.params},
               {"nonzeros", model.nonzeros},
               {"multiply_adds_per_step", model.multiply_adds_per_step},
               {"metric", ValueOrNull(model.metric)},
               {"class_metric", Json::array()},
               {"confusion", model.confusion},
               {"hidden_sizes", Json::object()},
               {"weights", Json::array()}};
  for (const double metric : model.class_metric) {
    json["class_metric"].push_back(NumberOrNull(metric));
  }
  for (const auto& [layer, size] : model.hidden_sizes) json["hidden_sizes"][layer] = size;
  for (const WeightRecord& weight : model.weights) json["weights"].push_back(WeightJson(weight));
  if (!model.costs.empty()) json["costs"] = model.costs;
  for (const ActivityRecord& activity : model.activity) {
    json["activity"].push_back(ActivityJson(activity));
  }
  return json;
}

Json TimingJson(const TimingRecord& timing) {
  return {{"median", timing.median}, {"p25", timing.p25}, {"p75", timing.p75}};
}

Json StepTimesJson(const std::optional<StepTimes>& times) {
  if (!times) return Json();
  return {{"mean", times->mean}, {"p50", times->p50}, {"p95", times->p95}, {"p99", times->p99}};
}

Json BenchJson(const BenchRecord& bench) {
  Json json = {{"sequence_steps", bench.sequence_steps},
               {"repetitions", bench.repetitions},
               {"threads", bench.threads},
               {"systems", Json::array()}};
  for (const SystemRecord& system : bench.systems) {
    json["systems"].push_back(
        {{"system", system.system},
         {"us_per_sequence", TimingJson(system.us_per_sequence)},
         {"us_per_step", system.us_per_step ? TimingJson(*system.us_per_step) : Json()},
         {"step_times", StepTimesJson(system.step_times)}});
  }
  return json;
}

Json ThresholdPointJson(const ThresholdPoint& point) {
  Json layers = Json::array();
  for (const LayerPoint& layer : point.layers) {
    layers.push_back({{"layer", layer.layer},
                      {"x", layer.x},
                      {"h", layer.h},
                      {"x_sent", layer.x_sent},
                      {"h_sent", layer.h_sent},
                      {"skipped", layer.skipped},
                      {"epsilon", layer.epsilon},
                      {"rows_run", layer.rows_run}});
  }
  return {{"factor", point.factor},
          {"skips", point.skips},
          {"layers", std::move(layers)},
          {"metric", NumberOrNull(point.metric)},
          {"loss", NumberOrNull(point.loss)},
          {"sent", point.sent},
          {"rows", point.rows},
          {"multiply_adds", point.multiply_adds},
          {"us_per_step", StepTimesJson(point.us_per_step)}};
}

Json ThresholdsObject(const ThresholdCurve& curve) {
  Json points = Json::array();
  for (const ThresholdPoint& point : curve.points) points.push_back(ThresholdPointJson(point));
  return {{"target", curve.target},
          {"of_rows", curve.of_rows},
          {"most", curve.most},
          {"metric", curve.metric},
          {"chosen", curve.chosen},
          {"is_faster", ValueOrNull(IsFaster(curve))},
          {"us_per_step_without", StepTimesJson(curve.us_per_step_without)},
          {"points", std::move(points)}};
}

Json SummaryModelJson(const SummaryModel& model) {
  return {{"metric", model.metric},
          {"bytes", model.bytes},
          {"params", model.params},
          {"us_per_sequence", model.us_per_sequence}};
}

Json SummaryObject(const SummaryRecord& summary) {
  Json json = {{"task", summary.task},
               {"dense", SummaryModelJson(summary.dense)},
               {"pruned", SummaryModelJson(summary.pruned)},
               {"weights_removed", summary.weights_removed},
               {"speedup_vs_own_dense", summary.speedup_vs_own_dense},
               {"speedup_vs_onnxruntime", ValueOrNull(summary.speedup_vs_onnxruntime)},
               {"agreement", ValueOrNull(summary.agreement)},
               {"seeds", summary.seeds}};
  if (summary.multiply_adds_done) json["multiply_adds_done"] = *summary.multiply_adds_done;
  if (summary.exit_metric) json["exit_metric"] = *summary.exit_metric;
  if (summary.exit_steps) json["exit_steps"] = *summary.exit_steps;
  return json;
}

}  // namespace

std::vector<uint8_t> PackMask(std::span<const uint8_t> keep) {
  std::vector<uint8_t> mask((keep.size() + 7) / 8, 0);
  for (size_t i = 0; i < keep.size(); ++i) {
    if (keep[i] != 0) mask[i / 8] = static_cast<uint8_t>(mask[i / 8] | 1u << (i % 8));
  }
  return mask;
}

Result<std::string> RunRecordJson(const RunRecord& record) {
  ESPALIER_ASSIGN_OR_RETURN(Json recipe, ParseObject("recipe", record.recipe_json));
  Json json = {{"schema", kRunRecordSchema},
               {"name", record.name},
               {"espalier", {{"version", record.version}}},
               {"command", record.command},
               {"machine",
                {{"cpu", record.machine.cpu},
                 {"target", record.machine.target},
                 {"threads", record.machine.threads}}},
               {"seed", record.seed},
               {"recipe", std::move(recipe)},
               {"task",
                {{"name", record.task.name},
                 {"metric", record.task.metric},
                 {"classes", record.task.classes},
                 {"train", record.task.train},
                 {"valid", record.task.valid},
                 {"test", record.task.test}}},
               {"stages", Json::array()},
               {"models", Json::object()}};
  for (size_t i = 0; i < record.stages.size(); ++i) {
    ESPALIER_ASSIGN_OR_RETURN(Json stage, StageJson(StrCat("stages[", i, "]"), record.stages[i]));
    json["stages"].push_back(std::move(stage));
  }
  for (const auto& [role, model] : record.models) json["models"][role] = ModelJson(model);
  if (record.thresholds) json["thresholds"] = ThresholdsObject(*record.thresholds);
  if (record.agreement) json["agreement"] = *record.agreement;
  if (record.exit) {
    const ExitRecord& exit = *record.exit;
    json["exit"] = {{"confidence", exit.confidence},
                    {"hold", exit.hold},
                    {"every", exit.every},
                    {"metric", NumberOrNull(exit.metric)},
                    {"steps", exit.steps},
                    {"ended_early", exit.ended_early},
                    {"metric_after", NumberOrNull(exit.metric_after)}};
  }
  if (record.bench) json["bench"] = BenchJson(*record.bench);
  if (record.summary) json["summary"] = SummaryObject(*record.summary);
  return PrintJson(json, 1) + "\n";
}

std::string SummaryJson(const SummaryRecord& summary) {
  return PrintJson(SummaryObject(summary), -1) + "\n";
}

std::string ThresholdsJson(const ThresholdCurve& curve) {
  return PrintJson(ThresholdsObject(curve), -1) + "\n";
}

Status WriteRunRecord(const std::string& path, const RunRecord& record) {
  const Result<std::string> json = RunRecordJson(record);
  if (!json.ok()) return json.status().WithContext(path);
  return WriteTextFileAtomic(path, *json);
}

const ModelRecord* FindModel(const RunRecord& record, std::string_view role) {
  const auto it = record.models.find(std::string(role));
  return it == record.models.end() ? nullptr : &it->second;
}

const SystemRecord* FindSystem(const RunRecord& record, std::string_view system) {
  if (!record.bench) return nullptr;
  const auto& systems = record.bench->systems;
  const auto it = std::find_if(systems.begin(), systems.end(),
                               [&](const SystemRecord& s) { return s.system == system; });
  return it == systems.end() ? nullptr : &*it;
}

}  // namespace espalier
