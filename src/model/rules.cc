#include "model/rules.h"

#include <limits>
#include <utility>

#include "base/strings.h"
#include "cells/saturation.h"

namespace espalier {
namespace {

Status CheckDelta(const Node& node) {
  if (!node.delta.has_value()) return Ok();
  for (const auto& [what, threshold] :
       {std::pair{".delta.x", node.delta->x}, {".delta.h", node.delta->h}}) {
    if (threshold >= 0.0 && threshold <= double{std::numeric_limits<float>::max()}) continue;
    return InvalidArgument(StrCat(node.name, what, ": a finite threshold of at least 0 expected, ",
                                  threshold, " found"));
  }
  if (node.delta->bank < 1 || node.delta->bank > kMostDeltaBank) {
    return InvalidArgument(StrCat(node.name, ".delta.bank: 1 to ", kMostDeltaBank, " expected, ",
                                  node.delta->bank, " found"));
  }
  if (InfoOf(node.cell).reset_before) {
    return Unsupported(StrCat(node.name, ".delta: a cell that multiplies h expected, ",
                              InfoOf(node.cell).name, ", which multiplies r * h, found"));
  }
  if (!StartsFromValues(node)) return Ok();
  return Unsupported(StrCat(node.name,
                            ".delta: a layer with a state of its own expected, one that "
                            "starts from values of the graph found"));
}

Status CheckSkip(const Node& node) {
  if (!node.skip || !StartsFromValues(node)) return Ok();
  return Unsupported(StrCat(node.name,
                            ".skip: a layer with a state of its own expected, one that "
                            "starts from values of the graph found"));
}

Status CheckBanks(const Node& node) {
  if (!node.banks.has_value()) return Ok();
  const auto bound = [&](const char* what, int64_t value, int64_t least, int64_t most) -> Status {
    if (value >= least && value <= most) return Ok();
    return InvalidArgument(StrCat(node.name, ".banks.", what, ": ", least, " to ", most,
                                  " expected, ", value, " found"));
  };
  ESPALIER_RETURN_IF_ERROR(bound("size", node.banks->size, 1, node.hidden_size));
  ESPALIER_RETURN_IF_ERROR(bound("top", node.banks->top, 0, BankCountOf(node)));
  const auto refuse = [&](const std::string& expected, const std::string& found) {
    return Unsupported(StrCat(node.name, ".banks: ", expected, " expected, ", found, " found"));
  };
  if (InfoOf(node.cell).reset_before) {
    return refuse("a cell that multiplies h",
                  std::string(InfoOf(node.cell).name) + ", which multiplies r * h,");
  }
  if (node.projection_size > 0) return refuse("a layer without a projection", "one with");
  if (node.delta.has_value()) return refuse("banks or delta", "both");
  if (!StartsFromValues(node)) return Ok();
  return refuse("a layer with a state of its own", "one that starts from values of the graph");
}

// What IdleCandidates and PredictedRows ask of a node; `what`: the rule.
Status CheckRowRule(const Node& node, const char* what, double epsilon) {
  if (!(epsilon >= 0.0 && epsilon <= 0.5)) {
    return InvalidArgument(StrCat(node.name, ".", what, ".epsilon: a number in [0, 0.5] expected, ",
                                  epsilon, " found"));
  }
  const auto refuse = [&](const std::string& expected, const std::string& found) {
    return Unsupported(
        StrCat(node.name, ".", what, ": ", expected, " expected, ", found, " found"));
  };
  if (SaturationOf(node.cell) == nullptr) {
    return refuse("cell lstm, gru or gru_reset_before", std::string(InfoOf(node.cell).name));
  }
  if (node.delta.has_value()) return refuse("a layer without delta", "one with");
  if (node.banks.has_value()) return refuse("a layer without banks", "one with");
  if (!StartsFromValues(node)) return Ok();
  return refuse("a layer with a state of its own", "one that starts from values of the graph");
}

Status CheckRowRules(const Node& node) {
  if (node.idle.has_value()) {
    ESPALIER_RETURN_IF_ERROR(CheckRowRule(node, "idle", node.idle->epsilon));
  }
  if (!node.predicted.has_value()) return Ok();
  return CheckRowRule(node, "predicted", node.predicted->epsilon);
}

}  // namespace

Status CheckRules(const Node& node) {
  ESPALIER_RETURN_IF_ERROR(CheckDelta(node));
  ESPALIER_RETURN_IF_ERROR(CheckSkip(node));
  ESPALIER_RETURN_IF_ERROR(CheckBanks(node));
  return CheckRowRules(node);
}

}  // namespace espalier
