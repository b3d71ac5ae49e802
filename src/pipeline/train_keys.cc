#include "pipeline/train_keys.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/strings.h"

namespace espalier {
namespace {

// A key that is of some choices of another key only.
struct KeyOf {
  const char* key;
  std::vector<std::string> choices;
};

// Keys of other choices than `chosen` would silently be left aside.
Status CheckKeysOf(const char* chooser, const std::string& chosen, const std::vector<KeyOf>& keys,
                   YamlMap* map) {
  for (const auto& [key, choices] : keys) {
    if (!map->Has(key)) continue;
    if (std::find(choices.begin(), choices.end(), chosen) != choices.end()) continue;
    return Expected(map->PathOf(key), StrCat("nothing, since ", chooser, " = ", chosen, ","),
                    DescribeYaml(map->Take(key)));
  }
  return Ok();
}

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
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  return CheckKeysOf("schedule", LrScheduleName(rate->schedule),
                     {{"factor", {"step"}},
                      {"every_epochs", {"step"}},
                      {"warmup", {"one_cycle"}},
                      {"initial_div", {"one_cycle"}},
                      {"final_div", {"cosine", "one_cycle"}}},
                     &map);
}

// Keys of a training that a stage without one would silently leave aside.
Status CheckNoTraining(YamlMap* map) {
  constexpr const char* kKeys[] = {
      "batch_size",      "optimizer",     "beta1",          "beta2",         "epsilon",
      "momentum",        "nesterov",      "average_after",  "weight_decay",  "clip_norm",
      "label_smoothing", "random_prefix", "update_penalty", "delta_penalty", "send_penalty",
      "dropout",         "noise_draws",   "weight_type",    "patience",      "learning_rate"};
  for (const char* key : kKeys) {
    const YAML::Node found = map->Take(key);
    if (!found.IsDefined()) continue;
    return Expected(map->PathOf(key), "nothing, since epochs = 0,", DescribeYaml(found));
  }
  return Ok();
}

}  // namespace

Status ReadTrainOptions(YamlMap* map, TrainOptions* options) {
  map->Read("epochs", &options->epochs);
  map->Read("batch_size", &options->batch_size);
  map->ReadName("optimizer", ParseOptimizer, &options->optimizer.kind);
  map->Read("beta1", &options->optimizer.beta1);
  map->Read("beta2", &options->optimizer.beta2);
  map->Read("epsilon", &options->optimizer.epsilon);
  map->Read("momentum", &options->optimizer.momentum);
  map->Read("nesterov", &options->optimizer.nesterov);
  map->Read("average_after", &options->optimizer.average_after);
  map->Read("weight_decay", &options->optimizer.weight_decay);
  map->Read("clip_norm", &options->clip_norm);
  map->Read("label_smoothing", &options->label_smoothing);
  map->Read("random_prefix", &options->random_prefix);
  map->Read("update_penalty", &options->update_penalty);
  map->Read("delta_penalty", &options->delta_penalty);
  map->Read("send_penalty", &options->send_penalty);
  const YAML::Node dropout = map->Take("dropout");
  if (dropout.IsDefined() && !YAML::convert<double>::decode(dropout, options->dropout.emplace())) {
    return InvalidArgument(map->PathOf("dropout") + ": a rate in [0, 1) expected, " +
                           DescribeYaml(dropout) + " found");
  }
  map->Read("noise_draws", &options->noise_draws);
  map->ReadName("weight_type", ParseWeightType, &options->weight_type);
  map->Read("patience", &options->patience);
  ESPALIER_RETURN_IF_ERROR(ReadLearningRate(map->Take("learning_rate"),
                                            map->PathOf("learning_rate"), &options->learning_rate));
  ESPALIER_RETURN_IF_ERROR(map->status());
  if (options->epochs == 0) return CheckNoTraining(map);
  ESPALIER_RETURN_IF_ERROR(CheckKeysOf("optimizer", OptimizerName(options->optimizer.kind),
                                       {{"beta1", {"adam"}},
                                        {"beta2", {"adam"}},
                                        {"epsilon", {"adam"}},
                                        {"momentum", {"sgd"}},
                                        {"nesterov", {"sgd"}},
                                        {"average_after", {"asgd"}}},
                                       map));
  if (options->epochs < 0) {
    return Expected(map->PathOf("epochs"), "at least 0", StrCat(options->epochs));
  }
  return ValidateOptions(*options).WithContext(map->path());
}

}  // namespace espalier
