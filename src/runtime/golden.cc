#include "runtime/golden.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "runtime/session.h"

namespace espalier {

Status CheckGolden(const Artifact& artifact, const std::string& target) {
  if (!artifact.golden().has_value()) {
    return InvalidArgument("golden: the artifact carries no sample");
  }
  const GoldenSample& golden = *artifact.golden();
  SessionOptions options;
  options.max_batch = golden.batch.size;
  options.max_steps = golden.batch.steps;
  options.target = target;
  ESPALIER_ASSIGN_OR_RETURN(Session session, Session::Create(artifact, options));
  for (size_t i = 0; i < session.dynamic_layers(); ++i) {
    ESPALIER_RETURN_IF_ERROR(session.SetRules(session.Activity(i).layer, LayerRules()));
  }
  ESPALIER_RETURN_IF_ERROR(session.Run(ViewOf(golden.batch)));
  const double tolerance = artifact.RoundsX() ? kGoldenI8Tolerance : kGoldenTolerance;
  for (size_t i = 0; i < golden.outputs.size(); ++i) {
    const std::vector<float>& expected = golden.outputs[i];
    const std::span<const float> found = session.Output(i);
    double largest = 1.0;
    for (const float value : expected) largest = std::max(largest, std::abs(double{value}));
    for (size_t k = 0; k < expected.size(); ++k) {
      // Not <=, so that NaN is off.
      if (std::abs(double{expected[k]} - double{found[k]}) <= tolerance * largest) continue;
      return Internal(StrCat("golden sample, output '", artifact.graph().outputs[i], "', value ", k,
                             ": ", expected[k], " expected, ", found[k], " found on target ",
                             session.target()));
    }
  }
  return Ok();
}

}  // namespace espalier
