#include "pipeline/rule_changes.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/strings.h"

namespace espalier {
namespace {

// A change that a user asks for by a flag, and what a layer needs to follow it.
struct Change {
  const char* flag;
  bool is_asked;
  bool (*can_follow)(const Node& node);
  const char* need;    // "a layer that has ..."
  const char* remedy;  // or ""
};

Status CheckLayers(const Graph& graph, const RuleChanges& changes) {
  const auto has_delta = [](const Node& node) { return node.delta.has_value(); };
  const char* delta = "has delta";
  const char* give_delta =
      "; give it delta, with thresholds of 0 if need be, before it is compiled";
  const Change all[] = {
      {"--delta-x", changes.delta_x.has_value(), has_delta, delta, give_delta},
      {"--delta-h", changes.delta_h.has_value(), has_delta, delta, give_delta},
      {"--no-skip", changes.no_skip, [](const Node& node) { return node.skip; }, "skips", ""},
      {"--no-banks", changes.no_banks, [](const Node& node) { return node.banks.has_value(); },
       "has banks", ""},
      {"--idle", changes.idle.has_value(), [](const Node& node) { return node.idle.has_value(); },
       "has idle candidates",
       "; give it idle, with an epsilon of 0 if need be, before it is compiled"},
      {"--predicted", changes.predicted.has_value(),
       [](const Node& node) { return node.predicted.has_value(); }, "has predicted rows",
       "; give it a predictor before it is compiled"}};
  for (const Change& change : all) {
    if (!change.is_asked) continue;
    if (std::any_of(graph.nodes.begin(), graph.nodes.end(), change.can_follow)) continue;
    return InvalidArgument(StrCat(change.flag, ": a network with a layer that ", change.need,
                                  " expected, none found", change.remedy));
  }
  return Ok();
}

// As Session::SetRules checks them, which names a layer and the rule: whoever typed one flag for
// all layers is told the flag.
Status CheckValues(const RuleChanges& changes) {
  for (const auto& [flag, threshold] :
       {std::pair{"--delta-x", changes.delta_x}, {"--delta-h", changes.delta_h}}) {
    if (!threshold || (*threshold >= 0.0f && std::isfinite(*threshold))) continue;
    return InvalidArgument(
        StrCat(flag, ": a finite threshold of at least 0 expected, ", *threshold, " found"));
  }
  for (const auto& [flag, epsilon] :
       {std::pair{"--idle", changes.idle}, {"--predicted", changes.predicted}}) {
    if (!epsilon || (*epsilon >= 0.0f && *epsilon <= 0.5f)) continue;
    return InvalidArgument(StrCat(flag, ": an epsilon in [0, 0.5] expected, ", *epsilon, " found"));
  }
  return Ok();
}

}  // namespace

Status ChangeRules(const Graph& graph, const RuleChanges& changes, Session* session) {
  if (!changes.any()) return Ok();
  ESPALIER_RETURN_IF_ERROR(CheckValues(changes));
  ESPALIER_RETURN_IF_ERROR(CheckLayers(graph, changes));
  for (size_t i = 0; i < session->dynamic_layers(); ++i) {
    const LayerActivity layer = session->Activity(i);
    const auto own = changes.rules.find(std::string(layer.layer));
    LayerRules rules = own == changes.rules.end() ? layer.rules : own->second;
    if (layer.has_delta) {
      rules.delta_x = changes.delta_x.value_or(rules.delta_x);
      rules.delta_h = changes.delta_h.value_or(rules.delta_h);
    }
    if (changes.no_skip) rules.skip = false;
    if (changes.no_banks) rules.banks = false;
    if (layer.has_idle) rules.idle = changes.idle.value_or(rules.idle);
    if (layer.has_predicted) rules.predicted = changes.predicted.value_or(rules.predicted);
    ESPALIER_RETURN_IF_ERROR(session->SetRules(layer.layer, rules));
  }
  return Ok();
}

}  // namespace espalier
