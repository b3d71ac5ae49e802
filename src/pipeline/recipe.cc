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
#include "pipeline/regularizer_keys.h"
#include "pipeline/sensitivity.h"
#include "pipeline/threshold_keys.h"
#include "pipeline/train_keys.h"
#include "pipeline/yaml_reader.h"
#include "prune/schedule.h"
#include "tasks/task.h"

namespace espalier {
namespace {

constexpr const char* kKindNames[] = {"train",   "prune",    "compact", "thresholds",
                                      "compile", "evaluate", "bench"};

Status Expected(const std::string& path, const std::string& expected, const std::string& found) {
  return InvalidArgument(path + ": " + expected + " expected, " + found + " found");
}

Status CheckAtLeast(const YamlMap& map, const char* key, int64_t least, int64_t value) {
  if (value >= least) return Ok();
  return Expected(map.PathOf(key), StrCat("at least ", least), StrCat(value));
}

Status CheckShare(const YamlMap& map, const char* key, double value) {
  if (value >= 0.0 && value <= 1.0) return Ok();
  return Expected(map.PathOf(key), "a share in [0, 1]", StrCat(value));
}

Status ReadTeacher(const YAML::Node& node, const std::string& path, const TrainOptions& train,
                   TeacherSpec* teacher) {
  YamlMap map(node, path);
  map.Read("stage", &teacher->stage);
  map.Read("weight", &teacher->weight);
  map.Read("temperature", &teacher->temperature);
  map.Read("hidden", &teacher->hidden);
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  if (node.IsDefined() && teacher->stage.empty()) {
    return Expected(path + ".stage", "the name of an earlier stage", "nothing");
  }
  if (node.IsDefined() && train.epochs == 0) {
    return Expected(path, "a stage that fine-tunes", "epochs = 0");
  }
  if (!(teacher->temperature > 0.0 && teacher->temperature <= kMostTemperature)) {
    return Expected(path + ".temperature", StrCat("a number in (0, ", kMostTemperature, "]"),
                    StrCat(teacher->temperature));
  }
  if (!(teacher->hidden >= 0.0 && std::isfinite(teacher->hidden))) {
    return Expected(path + ".hidden", "a number of at least 0", StrCat(teacher->hidden));
  }
  return CheckShare(map, "weight", teacher->weight);
}

Status ReadRegrow(const YAML::Node& node, const std::string& path, RegrowSpec* regrow) {
  YamlMap map(node, path);
  map.Read("criterion", &regrow->criterion);
  map.Read("fraction", &regrow->fraction);
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  if (!node.IsDefined()) return Ok();
  ESPALIER_RETURN_IF_ERROR(
      FindCriterion(regrow->criterion).status().WithContext(path + ".criterion"));
  if (regrow->fraction > 0.0 && regrow->fraction < 1.0) return Ok();
  return Expected(path + ".fraction", "a share in (0, 1)", StrCat(regrow->fraction));
}

Status ReadCalibration(const YAML::Node& node, const std::string& path,
                       CalibrationOptions* calibration) {
  YamlMap map(node, path);
  map.Read("sequences", &calibration->sequences);
  map.Read("batch_size", &calibration->batch_size);
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  ESPALIER_RETURN_IF_ERROR(CheckAtLeast(map, "sequences", 1, calibration->sequences));
  return CheckAtLeast(map, "batch_size", 1, calibration->batch_size);
}

// The one place that says which keys exclude each other and what needs fine-tuning.
Status CheckRecovery(const YamlMap& map, const StageSpec& stage) {
  const RampSpec& ramp = stage.ramp;
  const std::string schedule = map.PathOf("schedule");
  const bool is_soft = ramp.masks == MaskMode::kSoft;
  if (is_soft && stage.reconstruct) {
    return Expected(map.PathOf("reconstruct"), "false, since masks are soft,", "true");
  }
  if (is_soft && !ramp.rewind.empty()) {
    return Expected(schedule + ".rewind", "nothing, since masks are soft,",
                    "'" + ramp.rewind + "'");
  }
  if (stage.reconstruct && !ramp.rewind.empty()) {
    return Expected(map.PathOf("reconstruct"), "false, since rewind would undo it,", "true");
  }
  if (is_soft && !ramp.regrow.criterion.empty()) {
    return Expected(schedule + ".masks", "hard, since there is regrow,", "soft");
  }
  if (!stage.regularizers.empty() && stage.train.epochs == 0) {
    return Expected(map.PathOf("regularizers"), "a stage that fine-tunes", "epochs = 0");
  }
  if (!stage.regularizers.empty() && stage.reconstruct && ramp.begin_epoch != ramp.end_epoch) {
    return Expected(
        map.PathOf("reconstruct"),
        "false, since regularizers act while masks are made (begin_epoch to end_epoch),", "true");
  }
  if (!stage.regularizers.empty() && ramp.end_epoch == 0.0) {
    return Expected(schedule + ".end_epoch",
                    "a number above 0, since the regularizers act until then,", "0");
  }
  ESPALIER_ASSIGN_OR_RETURN(const Criterion* criterion, FindCriterion(stage.prune.criterion));
  if ((criterion->needs & kNeedsTraining) == 0 || stage.train.epochs > 0) return Ok();
  return Expected(map.PathOf("criterion"),
                  "one that looks at no steps of a fine-tuning, since epochs = 0,",
                  stage.prune.criterion);
}

Status ReadRamp(const YAML::Node& node, const std::string& path, const StageSpec& stage,
                RampSpec* ramp) {
  const auto epochs = static_cast<double>(stage.train.epochs);
  if (stage.train.epochs == 0 && node.IsDefined() && !node.IsNull()) {
    return Expected(path, "nothing, since epochs = 0,", "one");
  }
  ramp->end_epoch = epochs * 2.0 / 3.0;  // a third of the epochs to recover, unless said otherwise
  YamlMap map(node, path);
  map.Read("name", &ramp->schedule);
  map.Read("begin_epoch", &ramp->begin_epoch);
  map.Read("end_epoch", &ramp->end_epoch);
  map.Read("every_steps", &ramp->every_steps);
  map.Read("initial_sparsity", &ramp->initial_sparsity);
  map.ReadName("masks", ParseMaskMode, &ramp->masks);
  map.Read("rewind", &ramp->rewind);
  ESPALIER_RETURN_IF_ERROR(ReadRegrow(map.Take("regrow"), map.PathOf("regrow"), &ramp->regrow));
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  ESPALIER_RETURN_IF_ERROR(FindSchedule(ramp->schedule).status().WithContext(path + ".name"));
  ESPALIER_RETURN_IF_ERROR(CheckAtLeast(map, "every_steps", 1, ramp->every_steps));
  double most = stage.prune.sparsities.empty() ? stage.prune.sparsity : 0.0;
  for (const SparsityOfPattern& each : stage.prune.sparsities) most = std::max(most, each.sparsity);
  if (!(ramp->initial_sparsity >= 0.0 && ramp->initial_sparsity <= most)) {
    return Expected(path + ".initial_sparsity",
                    StrCat("0 to ", most, ", the sparsity of the stage,"),
                    StrCat(ramp->initial_sparsity));
  }
  if (!(ramp->begin_epoch >= 0.0 && ramp->begin_epoch <= ramp->end_epoch &&
        ramp->end_epoch <= epochs)) {
    return InvalidArgument(StrCat(path, ": 0 <= begin_epoch <= end_epoch <= epochs = ", epochs,
                                  " expected, ", ramp->begin_epoch, " and ", ramp->end_epoch,
                                  " found"));
  }
  return Ok();
}

// What does not need the graph is checked before anything is trained.
Status CheckPrune(const YamlMap& map, const PruneSpec& spec) {
  const auto in = [&](const char* key, const Status& status) {
    return status.WithContext(map.PathOf(key));
  };
  ESPALIER_RETURN_IF_ERROR(in("criterion", FindCriterion(spec.criterion).status()));
  ESPALIER_RETURN_IF_ERROR(in("granularity", ParseGranularity(spec.granularity).status()));
  ESPALIER_RETURN_IF_ERROR(in("allocation", FindAllocation(spec.allocation).status()));
  ESPALIER_RETURN_IF_ERROR(in("per", ParsePer(spec.per).status()));
  if (!(spec.sparsity >= 0.0 && spec.sparsity < 1.0)) {
    return Expected(map.PathOf("sparsity"), "a share in [0, 1)", StrCat(spec.sparsity));
  }
  ESPALIER_RETURN_IF_ERROR(CheckShare(map, "floor", spec.floor));
  const bool has_shares = (*FindAllocation(spec.allocation))->kind == AllocationKind::kShares;
  const bool holds_floor = spec.sparsities.empty() && spec.allocation != "threshold" &&
                           (!has_shares || spec.floor != PruneSpec().floor);
  if (holds_floor && spec.floor > 1.0 - spec.sparsity + 1e-9) {
    return Expected(map.PathOf("floor"), StrCat("at most 1 - sparsity = ", 1.0 - spec.sparsity),
                    StrCat(spec.floor));
  }
  if (spec.multiple > 1 && spec.granularity != "unit") {
    return Expected(map.PathOf("multiple"), "1, since granularity is not unit,",
                    StrCat(spec.multiple));
  }
  return CheckAtLeast(map, "multiple", 1, spec.multiple);
}

// A share for all, or `{"*.weight_ih": 0.8, lstm0.weight_hh: {i: 0.9, f: 0.5}}`.
Status ReadSparsity(const YAML::Node& node, const std::string& path, PruneSpec* spec) {
  const auto read = [](const YAML::Node& value, const std::string& where, double* share) {
    if (value.IsScalar() && YAML::convert<double>::decode(value, *share)) return Ok();
    return Expected(where, "a number", DescribeYaml(value));
  };
  if (!node.IsDefined() || node.IsNull()) return Ok();
  if (!node.IsMap()) return read(node, path, &spec->sparsity);
  if (node.size() == 0) return Expected(path, "a share, or one for each pattern", "nothing");
  for (const auto& entry : node) {
    const std::string pattern = entry.first.Scalar();
    const std::string where = path + "." + pattern;
    if (!entry.second.IsMap()) {
      ESPALIER_RETURN_IF_ERROR(
          read(entry.second, where, &spec->sparsities.emplace_back(pattern, 0.0).sparsity));
      continue;
    }
    if (entry.second.size() == 0)
      return Expected(where, "a share, or one for each gate", "nothing");
    for (const auto& gate : entry.second) {
      const std::string letter = gate.first.Scalar();
      const std::string name = pattern + "[" + letter + "]";
      ESPALIER_RETURN_IF_ERROR(read(gate.second, where + "." + letter,
                                    &spec->sparsities.emplace_back(name, 0.0).sparsity));
    }
  }
  return Ok();
}

// False for anything but a list of pairs of numbers.
bool ReadPairs(const YAML::Node& node, std::vector<std::pair<double, double>>* pairs) {
  if (!node.IsSequence()) return false;
  for (const auto& pair : node) {
    if (!pair.IsSequence() || pair.size() != 2) return false;
    auto& [first, second] = pairs->emplace_back();
    if (!pair[0].IsScalar() || !YAML::convert<double>::decode(pair[0], first)) return false;
    if (!pair[1].IsScalar() || !YAML::convert<double>::decode(pair[1], second)) return false;
  }
  return true;
}

// `{lstm0.weight_hh: [[0, 0.1], [0.5, 0.2]]}`, sparsities and losses, as RecipeJson writes them.
Status ReadLossPoints(const YAML::Node& pools, const std::string& path, PruneSpec* spec) {
  for (const auto& pool : pools) {
    const std::string name = pool.first.Scalar();
    std::vector<std::pair<double, double>> points;
    const bool is_list = ReadPairs(pool.second, &points);
    if (!is_list || points.size() < 2 || points[0].first != 0.0) {
      return Expected(path + "." + name,
                      "a list of at least two [sparsity, loss], from sparsity 0 on",
                      DescribeYaml(pool.second));
    }
    for (const auto& [sparsity, loss] : points) {
      std::vector<LossPoint>& losses = spec->losses[name];
      if (!(losses.empty() || (sparsity > losses.back().sparsity && sparsity < 1.0))) {
        return Expected(path + "." + name, "sparsities that rise and are below 1",
                        StrCat(sparsity));
      }
      if (!std::isfinite(loss)) {
        return Expected(path + "." + name, "finite losses", StrCat(loss));
      }
      losses.push_back({sparsity, loss});
    }
  }
  return Ok();
}

// The name of a file, or what was in it.
Status ReadLosses(const YAML::Node& node, const std::string& path, PruneSpec* spec) {
  if (!node.IsDefined() || node.IsNull()) return Ok();
  if (spec->allocation != "sensitivity") {
    return Expected(path, "nothing, unless under allocation sensitivity,", spec->allocation);
  }
  if (node.IsMap()) return ReadLossPoints(node, path, spec);
  if (!node.IsScalar()) return Expected(path, "a file's name", DescribeYaml(node));
  Result<SensitivityScan> scan = ReadSensitivity(node.Scalar());
  if (!scan.ok()) return scan.status().WithContext(path);
  spec->losses = LossesOf(*scan);
  return Ok();
}

// Keys of a fine-tuning that a stage without one would silently leave aside.
Status CheckNoTraining(YamlMap* map) {
  for (const char* key : kTrainKeys) {
    const YAML::Node found = map->Take(key);
    if (!found.IsDefined() || found.IsNull() || std::string(key) == "epochs") continue;
    return Expected(map->PathOf(key), "nothing, since epochs = 0,", DescribeYaml(found));
  }
  return Ok();
}

Status ReadPrune(YamlMap* map, StageSpec* stage) {
  PruneSpec& spec = stage->prune;
  map->Read("criterion", &spec.criterion);
  map->Read("granularity", &spec.granularity);
  map->Read("allocation", &spec.allocation);
  map->Read("per", &spec.per);
  const YAML::Node sparsity = map->Take("sparsity");
  ESPALIER_RETURN_IF_ERROR(map->status());
  ESPALIER_RETURN_IF_ERROR(ReadSparsity(sparsity, map->PathOf("sparsity"), &spec));
  ESPALIER_RETURN_IF_ERROR(ReadLosses(map->Take("sensitivity"), map->PathOf("sensitivity"), &spec));
  const YAML::Node threshold = map->Take("threshold");
  if (threshold.IsDefined()) {
    if (!threshold.IsScalar() ||
        !YAML::convert<double>::decode(threshold, spec.threshold.emplace())) {
      return Expected(map->PathOf("threshold"), "a number", DescribeYaml(threshold));
    }
    if (sparsity.IsDefined()) {
      return Expected(map->PathOf("sparsity"), "nothing, since threshold says what goes,",
                      DescribeYaml(sparsity));
    }
  }
  map->ReadStrings("weights", &spec.weights);
  map->Read("floor", &spec.floor);
  map->Read("multiple", &spec.multiple);
  stage->train.epochs = 0;
  ESPALIER_RETURN_IF_ERROR(ReadTrainOptions(map, 0, &stage->train));
  ESPALIER_RETURN_IF_ERROR(CheckPrune(*map, spec));
  ESPALIER_RETURN_IF_ERROR(ReadTeacher(map->Take("distillation"), map->PathOf("distillation"),
                                       stage->train, &stage->teacher));
  const YAML::Node calibration = map->Take("calibration");
  ESPALIER_RETURN_IF_ERROR(
      ReadCalibration(calibration, map->PathOf("calibration"), &stage->calibration));
  ESPALIER_RETURN_IF_ERROR(ReadRegularizers(map->Take("regularizers"), map->PathOf("regularizers"),
                                            &stage->regularizers));
  map->Read("reconstruct", &stage->reconstruct);
  ESPALIER_RETURN_IF_ERROR(
      ReadRamp(map->Take("schedule"), map->PathOf("schedule"), *stage, &stage->ramp));
  if (calibration.IsDefined() && !calibration.IsNull() && !ReadsCalibration(*stage)) {
    return Expected(map->PathOf("calibration"),
                    "nothing, since neither a criterion nor reconstruct reads it,",
                    "criterion " + spec.criterion);
  }
  if (stage->reconstruct && spec.granularity == "embedding_row") {
    return Expected(map->PathOf("reconstruct"),
                    "false, since what is looked up multiplies nothing that could make up for it,",
                    "true");
  }
  if (stage->train.epochs == 0) ESPALIER_RETURN_IF_ERROR(CheckNoTraining(map));
  return CheckRecovery(*map, *stage);
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
  ESPALIER_RETURN_IF_ERROR(CheckAtLeast(*map, "repetitions", 1, compile->repetitions));
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
    ESPALIER_RETURN_IF_ERROR(
        ReadCostTable(compile->costs).status().WithContext(map->PathOf("costs")));
  }
  return CheckAtLeast(*map, "batched_rows", 1, compile->batched_rows);
}

Status ReadBench(YamlMap* map, BenchSpec* bench) {
  map->Read("repetitions", &bench->repetitions);
  map->Read("onnxruntime", &bench->onnxruntime);
  ESPALIER_RETURN_IF_ERROR(map->status());
  return CheckAtLeast(*map, "repetitions", 1, bench->repetitions);
}

Status ReadStageBody(YamlMap* map, StageSpec* stage) {
  switch (stage->kind) {
    case StageKind::kTrain:
      map->Read("keep_zeros", &stage->keep_zeros);
      ESPALIER_RETURN_IF_ERROR(
          ReadDynamic(map->Take("dynamic"), map->PathOf("dynamic"), &stage->dynamic));
      ESPALIER_RETURN_IF_ERROR(ReadRegularizers(map->Take("regularizers"),
                                                map->PathOf("regularizers"), &stage->regularizers));
      ESPALIER_RETURN_IF_ERROR(ReadTrainOptions(map, 1, &stage->train));
      if (stage->regularizers.empty() || stage->train.patience == 0) return Ok();
      return Expected(map->PathOf("patience"),
                      "0, since the best epoch is of before the regularizers have worked,",
                      StrCat(stage->train.patience));
    case StageKind::kPrune: return ReadPrune(map, stage);
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
    ESPALIER_RETURN_IF_ERROR(CheckOrder(where, stage.kind, kinds));
    names.insert(stage.name);
    kinds.insert(stage.kind);
  }
  return Ok();
}

}  // namespace

const char* StageKindName(StageKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

bool ReadsCalibration(const StageSpec& stage) {
  const auto reads = [](const std::string& name) {
    const auto criterion = FindCriterion(name);
    return criterion.ok() && ((*criterion)->needs & kNeedsCalibration) != 0;
  };
  const std::string& regrow = stage.ramp.regrow.criterion;
  const bool regrows = stage.train.epochs > 0 && !regrow.empty();
  return stage.reconstruct || reads(stage.prune.criterion) || (regrows && reads(regrow));
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
