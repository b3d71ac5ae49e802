#include "pipeline/rule_changes.h"

#include <algorithm>

namespace espalier {
namespace {

// Is there a layer that can follow each change?
Status CheckLayers(const Graph& graph, const RuleChanges& changes) {
  const auto has = [&](auto&& what) {
    return std::any_of(graph.nodes.begin(), graph.nodes.end(), what);
  };
  if ((changes.delta_x || changes.delta_h) &&
      !has([](const Node& node) { return node.delta.has_value(); })) {
    return InvalidArgument(
        "delta: a network with a layer that has it expected, none found; "
        "give it delta, with thresholds of 0 if need be, before it is compiled");
  }
  if (changes.idle && !has([](const Node& node) { return node.idle.has_value(); })) {
    return InvalidArgument(
        "idle: a network with a layer that has idle candidates expected, none found; give it idle, "
        "with an epsilon of 0 if need be, before it is compiled");
  }
  if (changes.predicted && !has([](const Node& node) { return node.predicted.has_value(); })) {
    return InvalidArgument(
        "predicted: a network with a layer that has predicted rows expected, none found; give it a "
        "predictor before it is compiled");
  }
  if (changes.no_skip && !has([](const Node& node) { return node.skip; })) {
    return InvalidArgument("no skipping: a network with a layer that skips expected, none found");
  }
  if (changes.no_banks && !has([](const Node& node) { return node.banks.has_value(); })) {
    return InvalidArgument("no banks: a network with a layer that has banks expected, none found");
  }
  return Ok();
}

}  // namespace

Status ChangeRules(const Graph& graph, const RuleChanges& changes, Session* session) {
  if (!changes.any()) return Ok();
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
