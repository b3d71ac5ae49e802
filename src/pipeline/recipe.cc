#include "pipeline/recipe.h"

#include <set>

#include "base/file.h"
#include "base/strings.h"
#include "pipeline/yaml_reader.h"
#include "prune/schedule.h"

namespace espalier {
namespace {

constexpr const char* kKindNames[] = {"train", "prune", "compact", "compile", "evaluate", "bench"};

Status ReadLearningRate(const YAML::Node& node, const std::string& path, LearningRate* rate) {
  if (node.IsDefined() && node.IsScalar()) {  // learning_rate: 0.001
    if (!YAML::convert<double>::decode(node, rate->peak)) {
      return InvalidArgument(path + ": a number or a mapping expected, " + DescribeYaml(node) +
                             " found");
    }
    return Ok();
  }
  YamlMap map(node, path);
  map.ReadName("schedule", ParseLrSchedule, &rate->schedule);
  map.Read("peak", &rate->peak);
  map.Read("factor", &rate->factor);
  map.Read("every_epochs", &rate->every_epochs);
  map.Read("warmup", &rate->warmup);
  map.Read("initial_div", &rate->initial_div);
  map.Read("final_div", &rate->final_div);
  return map.Finish();
}

// The keys that train stages and prune stages (for their fine-tuning) share.
Status ReadTrainOptions(YamlMap* map, TrainOptions* options) {
  map->Read("epochs", &options->epochs);
  map->Read("batch_size", &options->batch_size);
  map->ReadName("optimizer", ParseOptimizer, &options->optimizer.kind);
  map->Read("beta1", &options->optimizer.beta1);
  map->Read("beta2", &options->optimizer.beta2);
  map->Read("epsilon", &options->optimizer.epsilon);
  map->Read("momentum", &options->optimizer.momentum);
  map->Read("nesterov", &options->optimizer.nesterov);
  map->Read("weight_decay", &options->optimizer.weight_decay);
  map->Read("clip_norm", &options->clip_norm);
  map->Read("label_smoothing", &options->label_smoothing);
  map->Read("patience", &options->patience);
  return ReadLearningRate(map->Take("learning_rate"), map->PathOf("learning_rate"),
                          &options->learning_rate);
}

Status ReadTeacher(const YAML::Node& node, const std::string& path, TeacherSpec* teacher) {
  YamlMap map(node, path);
  map.Read("stage", &teacher->stage);
  map.Read("weight", &teacher->weight);
  map.Read("temperature", &teacher->temperature);
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  if (node.IsDefined() && teacher->stage.empty()) {
    return InvalidArgument(path + ".stage: the name of an earlier stage expected, nothing found");
  }
  return Ok();
}

Status ReadRamp(const YAML::Node& node, const std::string& path, double epochs, RampSpec* ramp) {
  ramp->end_epoch = epochs * 2.0 / 3.0;  // a third of the epochs to recover, unless said otherwise
  YamlMap map(node, path);
  map.Read("name", &ramp->schedule);
  map.Read("begin_epoch", &ramp->begin_epoch);
  map.Read("end_epoch", &ramp->end_epoch);
  map.Read("every_steps", &ramp->every_steps);
  map.Read("initial_sparsity", &ramp->initial_sparsity);
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  ESPALIER_RETURN_IF_ERROR(FindSchedule(ramp->schedule).status().WithContext(path + ".name"));
  if (ramp->every_steps < 1) {
    return InvalidArgument(
        StrCat(path, ".every_steps: at least 1 expected, ", ramp->every_steps, " found"));
  }
  if (!(ramp->begin_epoch >= 0.0 && ramp->begin_epoch <= ramp->end_epoch &&
        ramp->end_epoch <= epochs)) {
    return InvalidArgument(StrCat(path, ": 0 <= begin_epoch <= end_epoch <= epochs = ", epochs,
                                  " expected, ", ramp->begin_epoch, " and ", ramp->end_epoch,
                                  " found"));
  }
  return Ok();
}

Status ReadPrune(YamlMap* map, StageSpec* stage) {
  PruneSpec& spec = stage->prune;
  map->Read("criterion", &spec.criterion);
  map->Read("granularity", &spec.granularity);
  map->Read("allocation", &spec.allocation);
  map->Read("sparsity", &spec.sparsity);
  map->ReadStrings("weights", &spec.weights);
  map->Read("floor", &spec.floor);
  map->Read("multiple", &spec.multiple);
  bool regrowth = false;
  map->Read("regrowth", &regrowth);
  spec.regrowth = regrowth ? Regrowth::kAllowed : Regrowth::kNever;
  stage->train.epochs = 0;
  ESPALIER_RETURN_IF_ERROR(ReadTrainOptions(map, &stage->train));
  ESPALIER_RETURN_IF_ERROR(
      ReadTeacher(map->Take("distillation"), map->PathOf("distillation"), &stage->teacher));
  ESPALIER_RETURN_IF_ERROR(ReadRamp(map->Take("schedule"), map->PathOf("schedule"),
                                    static_cast<double>(stage->train.epochs), &stage->ramp));
  // What does not need the graph is checked before anything is trained.
  const auto check = [&](const char* key, const Status& status) {
    return status.WithContext(map->PathOf(key));
  };
  ESPALIER_RETURN_IF_ERROR(check("criterion", FindCriterion(spec.criterion).status()));
  ESPALIER_RETURN_IF_ERROR(check("granularity", ParseGranularity(spec.granularity).status()));
  ESPALIER_RETURN_IF_ERROR(check("allocation", FindAllocation(spec.allocation).status()));
  if (!(spec.sparsity >= 0.0 && spec.sparsity < 1.0)) {
    return InvalidArgument(
        StrCat(map->PathOf("sparsity"), ": a share in [0, 1) expected, ", spec.sparsity, " found"));
  }
  return Ok();
}

Status ReadStageBody(YamlMap* map, StageSpec* stage) {
  switch (stage->kind) {
    case StageKind::kTrain: return ReadTrainOptions(map, &stage->train);
    case StageKind::kPrune: return ReadPrune(map, stage);
    case StageKind::kCompact: return Ok();
    case StageKind::kCompile:
      map->Read("target", &stage->compile.target);
      map->ReadStrings("formats", &stage->compile.formats);
      map->Read("measure", &stage->compile.measure);
      map->Read("repetitions", &stage->compile.repetitions);
      map->Read("batched_rows", &stage->compile.batched_rows);
      return Ok();
    case StageKind::kEvaluate: return Ok();
    case StageKind::kBench:
      map->Read("repetitions", &stage->bench.repetitions);
      map->Read("onnxruntime", &stage->bench.onnxruntime);
      return Ok();
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

Result<LayerSpec> ReadLayer(const YAML::Node& node, const std::string& path) {
  if (node.IsScalar()) return ParseLayer(node.Scalar());
  if (!node.IsMap() || node.size() != 1 || !node.begin()->first.IsScalar()) {
    return InvalidArgument(path + ": one layer such as '- lstm: {hidden: 128}' expected, " +
                           DescribeYaml(node) + " found");
  }
  LayerSpec layer;
  layer.kind = node.begin()->first.Scalar();
  const YAML::Node body = node.begin()->second;
  const std::string where = path + "." + layer.kind;
  if (body.IsScalar()) {  // gemm: 10, dropout: 0.2
    return ParseLayer(layer.kind + ":" + body.Scalar());
  }
  YamlMap map(body, where);
  map.Read("hidden", &layer.size);
  map.Read("recurrent_dropout", &layer.recurrent_dropout);
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

// Every stage's input is an earlier stage's output, and names are unique and usable as file names.
Status ValidateStages(const std::vector<StageSpec>& stages) {
  std::set<std::string> seen;
  bool trained = false;
  bool compiled = false;
  for (size_t i = 0; i < stages.size(); ++i) {
    const StageSpec& stage = stages[i];
    const std::string where = StrCat("stages[", i, "].", StageKindName(stage.kind));
    if (stage.name.empty() ||
        stage.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789_-") != std::string::npos) {
      return InvalidArgument(where + ".name: letters, digits, _ and - expected, '" + stage.name +
                             "' found");
    }
    if (!stage.teacher.stage.empty() && !seen.contains(stage.teacher.stage)) {
      return InvalidArgument(where + ".distillation.stage: no earlier stage is named '" +
                             stage.teacher.stage + "'" +
                             DidYouMean(stage.teacher.stage, {seen.begin(), seen.end()}));
    }
    if (!seen.insert(stage.name).second) {
      return InvalidArgument(where + ".name: '" + stage.name + "' is used twice");
    }
    if ((stage.kind == StageKind::kTrain) == trained) {
      return InvalidArgument(where + (trained ? ": only the first stage may be train"
                                              : ": the first stage must be train"));
    }
    trained = true;
    const bool wants_compiled =
        stage.kind == StageKind::kEvaluate || stage.kind == StageKind::kBench;
    if (wants_compiled != compiled && stage.kind != StageKind::kCompile) {
      return InvalidArgument(where + (compiled ? ": must come before the compile stage"
                                               : ": must come after a compile stage"));
    }
    if (stage.kind == StageKind::kCompile && compiled) {
      return InvalidArgument(where + ": only one compile stage is possible");
    }
    compiled = compiled || stage.kind == StageKind::kCompile;
  }
  return Ok();
}

}  // namespace

const char* StageKindName(StageKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

Result<Recipe> ParseRecipe(const std::string& yaml) {
  ESPALIER_ASSIGN_OR_RETURN(const YAML::Node root, ParseYaml(yaml));
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
    if (!node.IsDefined() || !node.IsSequence() || node.size() == 0) {
      return InvalidArgument(std::string(key) + ": a list expected, " + DescribeYaml(node) +
                             " found");
    }
  }
  if (recipe.task.empty()) return InvalidArgument("task: a name expected, nothing found");
  if (recipe.threads < 1 || recipe.threads > 1024) {
    return InvalidArgument(StrCat("threads: 1 to 1024 expected, ", recipe.threads, " found"));
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
