#include "artifact/sections.h"

namespace espalier {

std::vector<int32_t> SectionsOf(const Graph& graph, const MatrixPart& part) {
  const Node* owner = FindOwner(graph, part.weight);
  const bool is_by_gate = owner != nullptr && GatesOfWeight(*owner, part.weight) > 0;
  if (!is_by_gate) return {};
  std::vector<int32_t> sections;
  if (owner->idle.has_value() || owner->predicted.has_value()) {
    for (int64_t row = part.first_row; row < part.first_row + part.rows; ++row) {
      sections.push_back(static_cast<int32_t>(row / owner->hidden_size));
    }
    return sections;
  }
  if (!owner->banks.has_value()) return {};
  for (int64_t row = part.first_row; row < part.first_row + part.rows; ++row) {
    sections.push_back(static_cast<int32_t>(row % owner->hidden_size / owner->banks->size));
  }
  return sections;
}

}  // namespace espalier
