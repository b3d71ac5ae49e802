#include "pipeline/recipe.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/file.h"
#include "base/machine.h"
#include "base/strings.h"
#include "formats/format.h"
#include "kernels/kernels.h"
#include "pipeline/calibration_file.h"
#include "pipeline/cost_file.h"
#include "pipeline/dynamic_keys.h"
#include "pipeline/prune_keys.h"
#include "pipeline/regularizer_keys.h"
#include "pipeline/threshold_keys.h"
#include "pipeline/train_keys.h"
#include "pipeline/yaml_reader.h"
#include "prune/schedule.h"
#include "tasks/task.h"

namespace espalier {
namespace {

constexpr const char* kKindNames[] = {"train",   "prune",    "compact", "thresholds",
                                      "compile", "evaluate", "bench"};

constexpr int64_t kMostRepetitions = 1'000'000;

Status CheckCount(const YamlMap& map, const char* key, int64_t most, int64_t value) {
  if (value >= 1 && value <= most) return Ok();
  return Expected(map.PathOf(key), StrCat("1 to ", most), StrCat(value));
}

Status ReadCompile(YamlMap* map, CompileSpec* compile) {
  map->Read("target", &compile->target);
  map->ReadStrings("formats", &compile->formats);
  map->ReadName("weight_type", ParseWeightType, &compile->weight_type);
  map->Read("calibrate", &compile->calibrate);
  map->Read("measure", &compile->measure);
  map->Read("costs", &compile->costs);
  map->Read("repetitions", &compile->repetitions);
  map->Read("batched_rows", &compile->batched_rows);
  ESPALIER_RETURN_IF_ERROR(map->status());
  ESPALIER_RETURN_IF_ERROR(
      FindKernels(compile->target).status().WithContext(map->PathOf("target")));
  for (const std::string& name : compile->formats) {
    ESPALIER_RETURN_IF_ERROR(FindFormat(name).status().WithContext(map->PathOf("formats")));
  }
  ESPALIER_RETURN_IF_ERROR(CheckCount(*map, "repetitions", kMostRepetitions, compile->repetitions));
  ESPALIER_RETURN_IF_ERROR(
      CheckCount(*map, "batched_rows", kMaxBatchedRows, compile->batched_rows));
  if (compile->calibrate < 0 || compile->calibrate > kMostCalibrationSequences) {
    return Expected(map->PathOf("calibrate"), StrCat("0 to ", kMostCalibrationSequences),
                    StrCat(compile->calibrate));
  }
  if (compile->calibrate > 0 && compile->weight_type != WeightType::kI8) {
    return Expected(map->PathOf("calibrate"), "0, since weight_type is not i8,",
                    StrCat(compile->calibrate));
  }
  if (!compile->costs.empty()) {
    if (!compile->measure) {
      return Expected(map->PathOf("costs"), "nothing, since measure is false,", compile->costs);
    }
    const Result<CostTable> costs = ReadCostTable(compile->costs);
    ESPALIER_RETURN_IF_ERROR(costs.status().WithContext(map->PathOf("costs")));
    if (!compile->target.empty() && compile->target != costs->target) {
      return Expected(map->PathOf("target"), StrCat(costs->target, ", that of the costs,"),
                      compile->target);
    }
  }
  return Ok();
}

Status ReadBench(YamlMap* map, BenchSpec* bench) {
  map->Read("repetitions", &bench->repetitions);
  map->Read("onnxruntime", &bench->onnxruntime);
  ESPALIER_RETURN_IF_ERROR(map->status());
  return CheckCount(*map, "repetitions", kMostRepetitions, bench->repetitions);
}

Status ReadStageBody(YamlMap* map, StageSpec* stage) {
  switch (stage->kind) {
    case StageKind::kTrain:
      map->Read("keep_zeros", &stage->keep_zeros);
      ESPALIER_RETURN_IF_ERROR(
          ReadDynamic(map->Take("dynamic"), map->PathOf("dynamic"), &stage->dynamic));
      ESPALIER_RETURN_IF_ERROR(ReadRegularizers(map->Take("regularizers"),
                                                map->PathOf("regularizers"), &stage->regularizers));
      ESPALIER_RETURN_IF_ERROR(ReadTrainOptions(map, &stage->train));
      if (stage->train.epochs == 0 && !stage->regularizers.empty()) {
        return Expected(map->PathOf("regularizers"), "nothing, since epochs = 0,", "some");
      }
      if (stage->train.epochs == 0 && !stage->keep_zeros) {
        return Expected(map->PathOf("keep_zeros"), "nothing, since epochs = 0,", "false");
      }
      for (size_t i = 0; i < stage->dynamic.size() && stage->train.epochs == 0; ++i) {
        const std::string& name = stage->dynamic[i].name;
        if (name != "skip" && name != "banks") continue;
        return Expected(StrCat(map->PathOf("dynamic"), "[", i, "]"),
                        "a method that learns nothing, since epochs = 0,", "'" + name + "'");
      }
      if (stage->regularizers.empty() || stage->train.patience == 0) return Ok();
      return Expected(map->PathOf("patience"),
                      "0, since the best epoch is of before the regularizers have worked,",
                      StrCat(stage->train.patience));
    case StageKind::kPrune: return ReadPruneKeys(map, stage);
    case StageKind::kCompact: return Ok();
    case StageKind::kThresholds: return ReadThresholdKeys(map, &stage->thresholds);
    case StageKind::kCompile: return ReadCompile(map, &stage->compile);
    case StageKind::kEvaluate:
      return ReadExit(map->Take("exit"), map->PathOf("exit"), &stage->evaluate.exit);
    case StageKind::kBench: return ReadBench(map, &stage->bench);
  }
  return Internal("unknown stage kind");
}

// `- train: {...}`, or `- evaluate` without a body.
Result<StageSpec> ReadStage(const YAML::Node& node, const std::string& path) {
  std::string word;
  YAML::Node body(YAML::NodeType::Undefined);
  if (node.IsScalar()) {
    word = node.Scalar();
  } else if (node.IsMap() && node.size() == 1 && node.begin()->first.IsScalar()) {
    word = node.begin()->first.Scalar();
    body = node.begin()->second;
  } else {
    return InvalidArgument(path + ": one stage such as '- train: {...}' expected, " +
                           DescribeYaml(node) + " found");
  }
  const std::vector<std::string> names(std::begin(kKindNames), std::end(kKindNames));
  StageSpec stage;
  bool found = false;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] != word) continue;
    stage.kind = static_cast<StageKind>(i);
    found = true;
  }
  if (!found) {
    return InvalidArgument(path + ": stage '" + word + "' is not one of " + StrJoin(names, ", ") +
                           DidYouMean(word, names));
  }
  stage.name = word;
  YamlMap map(body, path + "." + word);
  map.Read("name", &stage.name);
  ESPALIER_RETURN_IF_ERROR(ReadStageBody(&map, &stage));
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  return stage;
}

// `lstm: {hidden: 128}`
Result<LayerSpec> ReadCellLayer(const std::string& kind, const YAML::Node& body,
                                const std::string& where) {
  LayerSpec layer;
  layer.kind = kind;
  YamlMap map(body, where);
  map.Read("hidden", &layer.size);
  map.Read("recurrent_dropout", &layer.recurrent_dropout);
  if (FindCell(kind)->has_cell_state) map.Read("projection", &layer.projection);
  std::string direction = "forward";
  map.Read("direction", &direction);
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  if (direction == "bidirectional")
    layer.direction = Direction::kBidirectional;
  else if (direction == "reverse")
    layer.direction = Direction::kReverse;
  else if (direction != "forward") {
    return InvalidArgument(where + ".direction: forward, reverse or bidirectional expected, '" +
                           direction + "' found");
  }
  ESPALIER_RETURN_IF_ERROR(ValidateLayer(layer, where));
  return layer;
}

// `conv1d: {outputs: 64, kernel_size: 3}`
Result<LayerSpec> ReadConv1dLayer(const YAML::Node& body, const std::string& where) {
  LayerSpec layer;
  layer.kind = "conv1d";
  layer.kernel_size = 0;  // has no default
  YamlMap map(body, where);
  map.Read("outputs", &layer.size);
  map.Read("kernel_size", &layer.kernel_size);
  map.Read("dilation", &layer.dilation);
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  ESPALIER_RETURN_IF_ERROR(ValidateLayer(layer, where));
  return layer;
}

// `last_step`, `gemm: 10`, or a cell or conv1d with keys.
Result<LayerSpec> ReadLayer(const YAML::Node& node, const std::string& path) {
  const auto parse = [&](const std::string& word) -> Result<LayerSpec> {
    Result<LayerSpec> layer = ParseLayer(word);
    if (!layer.ok()) return layer.status().WithContext(path);
    return layer;
  };
  if (node.IsScalar()) return parse(node.Scalar());
  if (!node.IsMap() || node.size() != 1 || !node.begin()->first.IsScalar()) {
    return InvalidArgument(path + ": one layer such as '- lstm: {hidden: 128}' expected, " +
                           DescribeYaml(node) + " found");
  }
  const std::string kind = node.begin()->first.Scalar();
  const YAML::Node body = node.begin()->second;
  const std::string where = path + "." + kind;
  if (body.IsNull()) return parse(kind);
  if (body.IsScalar()) return parse(kind + ":" + body.Scalar());
  if (FindCell(kind) != nullptr) return ReadCellLayer(kind, body, where);
  if (kind == "conv1d" && body.IsMap()) return ReadConv1dLayer(body, where);
  ESPALIER_ASSIGN_OR_RETURN(const std::string form, LayerForm(kind, where));
  return Expected(where, "'" + form + "'", DescribeYaml(body));
}

Status CheckName(const std::string& where, const StageSpec& stage,
                 const std::set<std::string>& earlier) {
  constexpr size_t kMostLetters = 64;  // of a file's name, with room for what is added
  if (stage.name.empty() || stage.name.size() > kMostLetters ||
      stage.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_-") != std::string::npos) {
    return Expected(where + ".name", "1 to 64 letters, digits, _ and -", "'" + stage.name + "'");
  }
  if (earlier.contains(stage.name)) {
    return InvalidArgument(where + ".name: '" + stage.name + "' is used twice");
  }
  return Ok();
}

// The one order: train, then train, prune and compact as often as wanted, thresholds, compile,
// evaluate, bench.
Status CheckOrder(const std::string& where, StageKind kind, const std::set<StageKind>& earlier) {
  const auto has = [&](StageKind other) { return earlier.contains(other); };
  const bool changes = kind == StageKind::kPrune || kind == StageKind::kCompact ||
                       (kind == StageKind::kTrain && has(StageKind::kTrain));
  if (kind != StageKind::kTrain && !has(StageKind::kTrain)) {
    return InvalidArgument(where + ": the first stage must be train");
  }
  if ((changes || kind == StageKind::kThresholds) && has(StageKind::kCompile)) {
    return InvalidArgument(where + ": must come before the compile stage");
  }
  if (changes && has(StageKind::kThresholds)) {
    return InvalidArgument(where + ": must come before the thresholds stage");
  }
  if (!changes && has(kind)) return InvalidArgument(where + ": only one such stage is possible");
  if (kind == StageKind::kEvaluate && !has(StageKind::kCompile)) {
    return InvalidArgument(where + ": must come after a compile stage");
  }
  if (kind == StageKind::kBench && !has(StageKind::kEvaluate)) {
    return InvalidArgument(where + ": must come after an evaluate stage");
  }
  return Ok();
}

// A network that an earlier stage wrote, or none.
Status CheckEarlier(const std::string& where, const std::string& stage,
                    const std::set<std::string>& networks) {
  if (stage.empty() || networks.contains(stage)) return Ok();
  return InvalidArgument(where + ": no earlier stage is named '" + stage + "'" +
                         DidYouMean(stage, {networks.begin(), networks.end()}));
}

Status ValidateStages(const std::vector<StageSpec>& stages) {
  std::set<std::string> names;
  std::set<StageKind> kinds;
  for (size_t i = 0; i < stages.size(); ++i) {
    const StageSpec& stage = stages[i];
    const std::string where = StrCat("stages[", i, "].", StageKindName(stage.kind));
    ESPALIER_RETURN_IF_ERROR(CheckName(where, stage, names));
    ESPALIER_RETURN_IF_ERROR(
        CheckEarlier(where + ".distillation.stage", stage.teacher.stage, names));
    ESPALIER_RETURN_IF_ERROR(CheckEarlier(where + ".schedule.rewind", stage.ramp.rewind, names));
    ESPALIER_RETURN_IF_ERROR(CheckEarlier(where + ".search.against", stage.search.against, names));
    ESPALIER_RETURN_IF_ERROR(CheckOrder(where, stage.kind, kinds));
    if (i == 0 && !stage.keep_zeros) {
      return Expected(where + ".keep_zeros", "nothing in the first stage, before which none are,",
                      "'false'");
    }
    names.insert(stage.name);
    kinds.insert(stage.kind);
  }
  return Ok();
}

}  // namespace

const char* StageKindName(StageKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

const StageSpec* CompileStageAfter(const Recipe& recipe, size_t index) {
  for (size_t i = index; i < recipe.stages.size(); ++i) {
    if (recipe.stages[i].kind == StageKind::kCompile) return &recipe.stages[i];
  }
  return nullptr;
}

Result<Recipe> ParseRecipe(const std::string& yaml) {
  ESPALIER_ASSIGN_OR_RETURN(const YAML::Node root, ParseYaml(yaml));
  if (root.IsNull()) {
    return InvalidArgument("the recipe is empty; the keys task, model and stages expected");
  }
  Recipe recipe;
  YamlMap map(root, "");
  map.Read("name", &recipe.name);
  map.Read("task", &recipe.task);
  map.Read("seed", &recipe.seed);
  map.Read("threads", &recipe.threads);
  const YAML::Node model = map.Take("model");
  const YAML::Node stages = map.Take("stages");
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  for (const auto& [key, node] : {std::pair("model", model), std::pair("stages", stages)}) {
    if (!node.IsDefined() || !node.IsSequence()) {
      return InvalidArgument(std::string(key) + ": a list expected, " + DescribeYaml(node) +
                             " found");
    }
    if (node.size() == 0) {
      return InvalidArgument(std::string(key) + ": at least 1 entry expected, none found");
    }
  }
  if (recipe.task.empty()) return Expected("task", "a name", "nothing");
  ESPALIER_RETURN_IF_ERROR(FindTask(recipe.task).status());
  if (recipe.threads < 1 || recipe.threads > kMostThreads) {
    return Expected("threads", StrCat("1 to ", kMostThreads), StrCat(recipe.threads));
  }
  for (size_t i = 0; i < model.size(); ++i) {
    ESPALIER_ASSIGN_OR_RETURN(LayerSpec layer, ReadLayer(model[i], StrCat("model[", i, "]")));
    recipe.model.push_back(std::move(layer));
  }
  for (size_t i = 0; i < stages.size(); ++i) {
    ESPALIER_ASSIGN_OR_RETURN(StageSpec stage, ReadStage(stages[i], StrCat("stages[", i, "]")));
    recipe.stages.push_back(std::move(stage));
  }
  ESPALIER_RETURN_IF_ERROR(ValidateStages(recipe.stages));
  return recipe;
}

Result<Recipe> ReadRecipe(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  Result<Recipe> recipe = ParseRecipe(text);
  if (!recipe.ok()) return recipe.status().WithContext(path);
  return recipe;
}

}  // namespace espalier
