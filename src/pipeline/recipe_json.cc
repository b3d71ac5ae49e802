#include <cmath>
#include <nlohmann/json.hpp>

#include "pipeline/recipe.h"

namespace espalier {
namespace {

using Json = nlohmann::ordered_json;

Json TrainJson(const TrainOptions& options) {
  Json json = {{"epochs", options.epochs}};
  if (options.epochs == 0) return json;
  json["batch_size"] = options.batch_size;
  json["optimizer"] = OptimizerName(options.optimizer.kind);
  if (options.optimizer.kind == OptimizerKind::kAdam) {
    json["beta1"] = options.optimizer.beta1;
    json["beta2"] = options.optimizer.beta2;
    json["epsilon"] = options.optimizer.epsilon;
  } else if (options.optimizer.kind == OptimizerKind::kSgd) {
    json["momentum"] = options.optimizer.momentum;
    json["nesterov"] = options.optimizer.nesterov;
  } else {
    json["average_after"] = options.optimizer.average_after;
  }
  json["weight_decay"] = options.optimizer.weight_decay;
  const LearningRate& rate = options.learning_rate;
  json["learning_rate"] = {{"schedule", LrScheduleName(rate.schedule)}, {"peak", rate.peak}};
  if (rate.schedule == LrSchedule::kStep) {
    json["learning_rate"]["factor"] = rate.factor;
    json["learning_rate"]["every_epochs"] = rate.every_epochs;
  }
  if (rate.schedule == LrSchedule::kOneCycle) {
    json["learning_rate"]["warmup"] = rate.warmup;
    json["learning_rate"]["initial_div"] = rate.initial_div;
  }
  if (rate.schedule == LrSchedule::kOneCycle || rate.schedule == LrSchedule::kCosine) {
    json["learning_rate"]["final_div"] = rate.final_div;
  }
  json["clip_norm"] = options.clip_norm;
  json["label_smoothing"] = options.label_smoothing;
  json["random_prefix"] = options.random_prefix;
  json["update_penalty"] = options.update_penalty;
  json["delta_penalty"] = options.delta_penalty;
  json["send_penalty"] = options.send_penalty;
  if (options.dropout) json["dropout"] = *options.dropout;
  json["noise_draws"] = options.noise_draws;
  json["weight_type"] = WeightTypeName(options.weight_type);
  json["patience"] = options.patience;
  return json;
}

// Nothing where there are none.
Json DynamicJson(const std::vector<DynamicSpec>& specs) {
  Json list = Json::array();
  for (const DynamicSpec& spec : specs) {
    list.push_back({{"name", spec.name},
                    {"layers", spec.layers},
                    {"x", spec.x},
                    {"h", spec.h},
                    {"bank", spec.bank},
                    {"size", spec.banks.size},
                    {"top", spec.banks.top},
                    {"epsilon", spec.epsilon},
                    {"predictor", spec.predictor}});
  }
  return list.empty() ? Json::object() : Json{{"dynamic", list}};
}

// Nothing where there are none.
Json RegularizersJson(const std::vector<RegularizerSpec>& regularizers) {
  Json list = Json::array();
  for (const RegularizerSpec& spec : regularizers) {
    list.push_back({{"name", spec.name},
                    {"strength", spec.strength},
                    {"granularity", spec.granularity},
                    {"weights", spec.weights},
                    {"warmup_epochs", spec.warmup_epochs},
                    {"speed", spec.speed},
                    {"share", spec.share}});
  }
  return list.empty() ? Json::object() : Json{{"regularizers", list}};
}

Json PruneJson(const StageSpec& stage) {
  const PruneSpec& spec = stage.prune;
  Json json = {{"criterion", spec.criterion},   {"granularity", spec.granularity},
               {"allocation", spec.allocation}, {"per", spec.per},
               {"sparsity", spec.sparsity},     {"weights", spec.weights},
               {"floor", spec.floor},           {"multiple", spec.multiple}};
  if (spec.threshold) {
    json.erase("sparsity");  // plays no part
    json["threshold"] = *spec.threshold;
  }
  if (!stage.search.sparsities.empty()) {
    json.erase("sparsity");
    json["search"] = {{"sparsities", stage.search.sparsities}, {"within", stage.search.within}};
    if (stage.search.bytes) json["search"]["bytes"] = *stage.search.bytes;
    if (stage.search.time) json["search"]["time"] = *stage.search.time;
    if (!stage.search.against.empty()) json["search"]["against"] = stage.search.against;
  }
  if (!spec.sparsities.empty()) {
    json["sparsity"] = Json::object();
    for (const SparsityOfPattern& each : spec.sparsities) {
      json["sparsity"][each.pattern] = each.sparsity;
    }
  }
  for (const auto& [pool, losses] : spec.losses) {  // not the file's name: what was in it counts
    for (const LossPoint& point : losses) {
      json["sensitivity"][pool].push_back({point.sparsity, point.loss});
    }
  }
  if (ReadsCalibration(stage)) {
    json["calibration"] = {{"sequences", stage.calibration.sequences},
                           {"batch_size", stage.calibration.batch_size}};
  }
  if (stage.reconstruct == Reconstruction::kBias) {
    json["reconstruct"] = ReconstructionName(stage.reconstruct);
  } else {
    json["reconstruct"] = stage.reconstruct == Reconstruction::kWeights;
  }
  json.update(TrainJson(stage.train));
  json.update(RegularizersJson(stage.regularizers));
  if (stage.train.epochs > 0) {
    json["schedule"] = {{"name", stage.ramp.schedule},
                        {"begin_epoch", stage.ramp.begin_epoch},
                        {"end_epoch", stage.ramp.end_epoch},
                        {"every_steps", stage.ramp.every_steps},
                        {"initial_sparsity", stage.ramp.initial_sparsity},
                        {"masks", MaskModeName(stage.ramp.masks)}};
    const RegrowSpec& regrow = stage.ramp.regrow;
    if (!regrow.criterion.empty()) {
      json["schedule"]["regrow"] = {{"criterion", regrow.criterion}, {"fraction", regrow.fraction}};
    }
    if (!stage.ramp.rewind.empty()) json["schedule"]["rewind"] = stage.ramp.rewind;
  }
  if (!stage.teacher.stage.empty()) {
    json["distillation"] = {{"stage", stage.teacher.stage},
                            {"weight", stage.teacher.weight},
                            {"temperature", stage.teacher.temperature},
                            {"hidden", stage.teacher.hidden}};
  }
  return json;
}

Json ThresholdSpecJson(const ThresholdSpec& spec) {
  Json json = Json::object();
  if (spec.loss) json["loss"] = *spec.loss;
  if (spec.sent) json["sent"] = *spec.sent;
  if (spec.rows) json["rows"] = *spec.rows;
  if (spec.multiply_adds) json["multiply_adds"] = *spec.multiply_adds;
  json["layers"] = spec.layers;
  json["scale"] = spec.scale;
  json["method"] = spec.method;
  if (spec.predictor) json["predictor"] = *spec.predictor;
  return json;
}

Json BodyJson(const StageSpec& stage) {
  switch (stage.kind) {
    case StageKind::kTrain: {
      Json json = TrainJson(stage.train);
      json["keep_zeros"] = stage.keep_zeros;
      json.update(DynamicJson(stage.dynamic));
      json.update(RegularizersJson(stage.regularizers));
      return json;
    }
    case StageKind::kPrune: return PruneJson(stage);
    case StageKind::kCompact: return Json::object();
    case StageKind::kThresholds: return ThresholdSpecJson(stage.thresholds);
    case StageKind::kCompile:
      return {{"target", stage.compile.target},
              {"formats", stage.compile.formats},
              {"weight_type", WeightTypeName(stage.compile.weight_type)},
              {"calibrate", stage.compile.calibrate},
              {"measure", stage.compile.measure},
              {"costs", stage.compile.costs},
              {"repetitions", stage.compile.repetitions},
              {"batched_rows", stage.compile.batched_rows}};
    case StageKind::kEvaluate: {
      if (!stage.evaluate.exit) return Json::object();
      const ExitRule& rule = *stage.evaluate.exit;
      const double confidence = std::round(1e6 * double{rule.confidence}) / 1e6;  // as written
      return {{"exit", {{"confidence", confidence}, {"hold", rule.hold}, {"every", rule.every}}}};
    }
    case StageKind::kBench:
      return {{"repetitions", stage.bench.repetitions}, {"onnxruntime", stage.bench.onnxruntime}};
  }
  return Json::object();
}

Json LayerJson(const LayerSpec& layer) {
  if (const CellInfo* cell = FindCell(layer.kind); cell != nullptr) {
    Json body = {{"hidden", layer.size},
                 {"direction", DirectionName(layer.direction)},
                 {"recurrent_dropout", layer.recurrent_dropout}};
    if (cell->has_cell_state) body["projection"] = layer.projection;
    return {{layer.kind, body}};
  }
  if (layer.kind == "conv1d") {
    return {{layer.kind,
             {{"outputs", layer.size},
              {"kernel_size", layer.kernel_size},
              {"dilation", layer.dilation}}}};
  }
  if (layer.size > 0) return {{layer.kind, layer.size}};
  if (layer.kind == "dropout") return {{layer.kind, layer.rate}};
  return layer.kind;
}

Json NamedStageJson(const StageSpec& stage) {
  Json body = {{"name", stage.name}};
  body.update(BodyJson(stage));
  return body;
}

}  // namespace

std::string StageJson(const StageSpec& stage) { return NamedStageJson(stage).dump(); }

std::string RecipeJson(const Recipe& recipe) {
  Json json = {{"name", recipe.name},
               {"task", recipe.task},
               {"seed", recipe.seed},
               {"threads", recipe.threads}};
  for (const LayerSpec& layer : recipe.model) json["model"].push_back(LayerJson(layer));
  for (const StageSpec& stage : recipe.stages) {
    json["stages"].push_back({{StageKindName(stage.kind), NamedStageJson(stage)}});
  }
  return json.dump(2);
}

}  // namespace espalier
