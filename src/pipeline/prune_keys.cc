#include "pipeline/prune_keys.h"

#include <cmath>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "pipeline/regularizer_keys.h"
#include "pipeline/sensitivity.h"
#include "pipeline/train_keys.h"
#include "prune/schedule.h"

namespace espalier {
namespace {

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

Status ReadReconstruct(const YAML::Node& node, const std::string& path,
                       Reconstruction* reconstruction) {
  bool all = false;
  if (!node.IsDefined()) return Ok();
  if (node.IsScalar() && YAML::convert<bool>::decode(node, all)) {
    *reconstruction = all ? Reconstruction::kWeights : Reconstruction::kNone;
    return Ok();
  }
  if (node.IsScalar() && node.Scalar() == ReconstructionName(Reconstruction::kBias)) {
    *reconstruction = Reconstruction::kBias;
    return Ok();
  }
  return Expected(path, "true, false or bias", DescribeYaml(node));
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
  const bool reconstructs = stage.reconstruct != Reconstruction::kNone;
  const char* reconstruction = ReconstructionName(stage.reconstruct);
  if (is_soft && reconstructs) {
    return Expected(map.PathOf("reconstruct"), "false, since masks are soft,", reconstruction);
  }
  if (is_soft && !ramp.rewind.empty()) {
    return Expected(schedule + ".rewind", "nothing, since masks are soft,",
                    "'" + ramp.rewind + "'");
  }
  if (reconstructs && !ramp.rewind.empty()) {
    return Expected(map.PathOf("reconstruct"), "false, since rewind would undo it,",
                    reconstruction);
  }
  if (!ramp.regrow.criterion.empty() && !ramp.rewind.empty()) {
    return Expected(schedule + ".rewind",
                    "nothing, since each exchange of regrow would undo the training before it,",
                    "'" + ramp.rewind + "'");
  }
  if (is_soft && !ramp.regrow.criterion.empty()) {
    return Expected(schedule + ".masks", "hard, since there is regrow,", "soft");
  }
  if (!stage.regularizers.empty() && stage.train.epochs == 0) {
    return Expected(map.PathOf("regularizers"), "a stage that fine-tunes", "epochs = 0");
  }
  if (!stage.regularizers.empty() && reconstructs && ramp.begin_epoch != ramp.end_epoch) {
    return Expected(
        map.PathOf("reconstruct"),
        "false, since regularizers act while masks are made (begin_epoch to end_epoch),",
        reconstruction);
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
  if (stage.train.epochs == 0 && node.IsDefined()) {
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
  if (!spec.per.empty()) ESPALIER_RETURN_IF_ERROR(in("per", ParsePer(spec.per).status()));
  if (!(spec.sparsity >= 0.0 && spec.sparsity < 1.0)) {
    return Expected(map.PathOf("sparsity"), "a share in [0, 1)", StrCat(spec.sparsity));
  }
  ESPALIER_RETURN_IF_ERROR(CheckShare(map, "floor", spec.floor));
  const bool has_shares = (*FindAllocation(spec.allocation))->kind == AllocationKind::kShares;
  if (has_shares && spec.floor != PruneSpec().floor) {
    return Expected(
        map.PathOf("floor"),
        "nothing, since under allocation " + spec.allocation + " shares say what stays,",
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
  if (!node.IsDefined()) return Ok();
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

// The largest share of something that may be left: 0 would be met by nothing.
Status ReadMost(YamlMap* map, const char* key, std::optional<double>* most) {
  const YAML::Node node = map->Take(key);
  if (!node.IsDefined()) return Ok();
  double share = 0.0;
  const bool is_number = node.IsScalar() && YAML::convert<double>::decode(node, share);
  if (is_number && share > 0.0 && share <= 1.0) {
    *most = share;
    return Ok();
  }
  return Expected(map->PathOf(key), "a share in (0, 1]", DescribeYaml(node));
}

// `{sparsities: [0.8, 0.9, 0.95], within: 0.01}` in the place of a sparsity.
Status ReadSearch(const YAML::Node& node, const std::string& path, StageSpec* stage) {
  if (!node.IsDefined()) return Ok();
  SearchSpec& search = stage->search;
  YamlMap map(node, path);
  const YAML::Node list = map.Take("sparsities");
  map.Read("within", &search.within);
  ESPALIER_RETURN_IF_ERROR(ReadMost(&map, "bytes", &search.bytes));
  ESPALIER_RETURN_IF_ERROR(ReadMost(&map, "time", &search.time));
  map.Read("against", &search.against);
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  ESPALIER_RETURN_IF_ERROR(CheckShare(map, "within", search.within));
  const std::string where = map.PathOf("sparsities");
  const bool is_list = list.IsDefined() && list.IsSequence() && list.size() >= 2;
  if (!is_list) return Expected(where, "a list of at least 2 shares", DescribeYaml(list));
  for (const auto& entry : list) {
    double sparsity = 0.0;
    if (!entry.IsScalar() || !YAML::convert<double>::decode(entry, sparsity)) {
      return Expected(where, "a number", DescribeYaml(entry));
    }
    const bool rises = search.sparsities.empty() || sparsity > search.sparsities.back();
    if (!(sparsity >= 0.0 && sparsity < 1.0 && rises)) {
      return Expected(where, "shares in [0, 1) that rise", StrCat(sparsity));
    }
    search.sparsities.push_back(sparsity);
  }
  if (stage->prune.allocation == "threshold") {
    return Expected(path, "nothing under allocation threshold, by which the weights say what goes,",
                    "one");
  }
  stage->prune.sparsity = search.sparsities.front();
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
  if (!node.IsDefined()) return Ok();
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

}  // namespace

bool ReadsCalibration(const StageSpec& stage) {
  const auto reads = [](const std::string& name) {
    const auto criterion = FindCriterion(name);
    return criterion.ok() && ((*criterion)->needs & kNeedsCalibration) != 0;
  };
  const std::string& regrow = stage.ramp.regrow.criterion;
  const bool regrows = stage.train.epochs > 0 && !regrow.empty();
  return stage.reconstruct != Reconstruction::kNone || reads(stage.prune.criterion) ||
         (regrows && reads(regrow));
}

Status ReadPruneKeys(YamlMap* map, StageSpec* stage) {
  PruneSpec& spec = stage->prune;
  map->Read("criterion", &spec.criterion);
  map->Read("granularity", &spec.granularity);
  map->Read("allocation", &spec.allocation);
  map->Read("per", &spec.per);
  const YAML::Node sparsity = map->Take("sparsity");
  ESPALIER_RETURN_IF_ERROR(map->status());
  ESPALIER_RETURN_IF_ERROR(ReadSparsity(sparsity, map->PathOf("sparsity"), &spec));
  const YAML::Node search = map->Take("search");
  if (search.IsDefined() && sparsity.IsDefined()) {
    return Expected(map->PathOf("sparsity"), "nothing, since search says what goes,",
                    DescribeYaml(sparsity));
  }
  ESPALIER_RETURN_IF_ERROR(ReadSearch(search, map->PathOf("search"), stage));
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
  ESPALIER_RETURN_IF_ERROR(ReadTrainOptions(map, &stage->train));
  ESPALIER_RETURN_IF_ERROR(CheckPrune(*map, spec));
  if (spec.per.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(const Per per, PerOf(spec));
    spec.per = PerName(per);
  }
  ESPALIER_RETURN_IF_ERROR(ReadTeacher(map->Take("distillation"), map->PathOf("distillation"),
                                       stage->train, &stage->teacher));
  const YAML::Node calibration = map->Take("calibration");
  ESPALIER_RETURN_IF_ERROR(
      ReadCalibration(calibration, map->PathOf("calibration"), &stage->calibration));
  ESPALIER_RETURN_IF_ERROR(ReadRegularizers(map->Take("regularizers"), map->PathOf("regularizers"),
                                            &stage->regularizers));
  ESPALIER_RETURN_IF_ERROR(
      ReadReconstruct(map->Take("reconstruct"), map->PathOf("reconstruct"), &stage->reconstruct));
  ESPALIER_RETURN_IF_ERROR(
      ReadRamp(map->Take("schedule"), map->PathOf("schedule"), *stage, &stage->ramp));
  if (calibration.IsDefined() && !ReadsCalibration(*stage)) {
    return Expected(map->PathOf("calibration"),
                    "nothing, since neither a criterion nor reconstruct reads it,",
                    "criterion " + spec.criterion);
  }
  if (stage->reconstruct != Reconstruction::kNone && spec.granularity == "embedding_row") {
    return Expected(map->PathOf("reconstruct"),
                    "false, since what is looked up multiplies nothing that could make up for it,",
                    ReconstructionName(stage->reconstruct));
  }
  return CheckRecovery(*map, *stage);
}

}  // namespace espalier
