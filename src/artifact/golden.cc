#include "artifact/artifact.h"
#include "base/rng.h"
#include "model/without_rules.h"

namespace espalier {

Result<GoldenSample> MakeGoldenSample(const Graph& graph, uint64_t seed,
                                      const MatrixInputFn& on_input) {
  GoldenSample sample;
  Batch& batch = sample.batch;
  if (graph.inputs.size() == 1) {
    Rng rng(seed);
    const ValueType& type = graph.inputs[0].type;
    // A vector has no time. Otherwise enough steps that every state matters, and one short
    // sequence.
    batch.steps = type.layout == Layout::kSequence ? 4 : 1;
    batch.size = 2;
    batch.lengths = {static_cast<int32_t>(batch.steps), batch.steps == 4 ? 3 : 1};
    const int64_t rows = batch.steps * batch.size;
    if (type.element == Element::kI32) {
      batch.ids.resize(static_cast<size_t>(rows));
      for (int32_t& id : batch.ids) {
        id = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(type.features)));
      }
    } else {
      batch.features.resize(static_cast<size_t>(rows * type.features));
      for (float& x : batch.features) x = static_cast<float>(rng.Normal());
    }
  }
  // Every step in full, as CheckGolden runs it: rounding decides nothing.
  const Graph plain = WithoutRules(graph);
  StateSet states = ZeroStates(plain, batch.size);
  ESPALIER_ASSIGN_OR_RETURN(const auto values, RunReference(plain, batch, &states, on_input));
  for (const std::string& output : graph.outputs) {
    const auto it = values.find(output);
    sample.outputs.push_back(it == values.end() ? batch.features : it->second.values);
  }
  return sample;
}

}  // namespace espalier
