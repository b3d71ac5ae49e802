// What may be done to the dynamic layers of a plan: plan.h.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "runtime/plan.h"
#include "runtime/rest.h"

namespace espalier {

void ForgetStreams(const RunPlan& plan, size_t first, size_t count) {
  for (const DynamicLayer& layer : plan.dynamic_layers) {
    std::fill_n(layer.pace.row(first), count * kPaces, 0.0f);
  }
}

LayerActivity ActivityOf(const DynamicLayer& layer) {
  return {layer.node,
          layer.reverse,
          layer.has_delta,
          layer.saturation.has_idle,
          layer.saturation.predict.matmul != nullptr,
          *layer.rules,
          *layer.counters};
}

// As BeginStep of recurrent.cc counts down.
int64_t SkipsAhead(const DynamicLayer& layer, size_t stream) {
  if (!layer.rules->skip || layer.reverse) return 0;
  const float gain = *layer.gain.row(stream);
  int64_t steps = 0;
  for (float rest = *layer.rest.row(stream); rest > 0.5f && steps < kMostSkipsAhead; ++steps) {
    rest = std::max(0.0f, rest - gain);
  }
  return steps;
}

void ResetCounters(const RunPlan& plan) {
  for (const DynamicLayer& layer : plan.dynamic_layers) {
    *layer.counters = LayerCounters();
    *layer.tries_ahead = layer.starts_ahead;  // on which the multiply-adds of banks depend
  }
}

void SetRests(const RunPlan& plan, bool rests) {
  *plan.rests = rests;
  for (const DynamicLayer& layer : plan.dynamic_layers) LookAgain(layer);
}

Status SetLayerRules(const RunPlan& plan, std::string_view layer, const LayerRules& rules) {
  for (const auto& [what, threshold] :
       {std::pair{"delta_x", rules.delta_x}, {"delta_h", rules.delta_h}}) {
    if (threshold >= 0.0f && std::isfinite(threshold)) continue;
    return InvalidArgument(StrCat("layer '", layer, "': ", what,
                                  ": a finite threshold of at least 0 expected, ", threshold,
                                  " found"));
  }
  for (const auto& [what, epsilon] :
       {std::pair{"idle", rules.idle}, {"predicted", rules.predicted}}) {
    if (epsilon >= 0.0f && epsilon <= 0.5f) continue;
    return InvalidArgument(StrCat("layer '", layer, "': ", what,
                                  ": an epsilon in [0, 0.5] expected, ", epsilon, " found"));
  }
  std::vector<std::string> names;
  bool is_found = false;
  for (const DynamicLayer& each : plan.dynamic_layers) {
    names.emplace_back(each.node);
    if (each.node != layer) continue;
    is_found = true;
    if (!each.has_delta && (rules.delta_x > 0.0f || rules.delta_h > 0.0f)) {
      return Unsupported(StrCat("layer '", layer,
                                "': compiled without columns, so that thresholds "
                                "cannot be set; give it delta, with thresholds of 0 if need be, "
                                "before it is compiled"));
    }
    if (each.weight_skip == nullptr && rules.skip) {
      return Unsupported(StrCat("layer '", layer,
                                "': has no weights for skipping; give it skip "
                                "and train it before it is compiled"));
    }
    if (!each.saturation.has_idle && rules.idle > 0.0f) {
      return Unsupported(StrCat("layer '", layer,
                                "': compiled without idle candidates; give it idle, with an "
                                "epsilon of 0 if need be, before it is compiled"));
    }
    if (each.saturation.predict.matmul == nullptr && rules.predicted > 0.0f) {
      return Unsupported(StrCat("layer '", layer,
                                "': has no weights that predict rows; give it predicted rows "
                                "before it is compiled"));
    }
    if (each.banks.count == 0 && rules.banks) {
      return Unsupported(StrCat("layer '", layer,
                                "': has no weights that choose banks of units; give it banks "
                                "and train it before it is compiled"));
    }
  }
  if (!is_found) {
    return InvalidArgument(
        StrCat("layer '", layer, "': no such layer with dynamic pruning",
               names.empty() ? ", the network has none" : DidYouMean(std::string(layer), names)));
  }
  for (const DynamicLayer& each : plan.dynamic_layers) {
    if (each.node != layer) continue;
    *each.rules = *each.own = rules;
    LookAgain(each);
  }
  return Ok();
}

}  // namespace espalier
