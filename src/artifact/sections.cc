#include "artifact/sections.h"

namespace espalier {

std::vector<int64_t> SectionStarts(const Graph& graph, const MatrixPart& part) {
  const Node* owner = FindOwner(graph, part.weight);
  const int64_t gates = owner == nullptr ? 0 : GatesOfWeight(*owner, part.weight);
  if (gates == 0 || !owner->banks.has_value()) return {0};
  std::vector<int64_t> starts;
  for (int64_t gate = 0; gate < gates; ++gate) {
    for (int64_t unit = 0; unit < owner->hidden_size; unit += owner->banks->size) {
      starts.push_back(gate * owner->hidden_size + unit);
    }
  }
  return starts;
}

}  // namespace espalier
