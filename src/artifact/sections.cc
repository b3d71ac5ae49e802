#include "artifact/sections.h"

#include "base/aligned_buffer.h"

namespace espalier {
namespace {

// Units of half a layer, a multiple of the rows of the widest strips. Smaller layers are not worth
// a second thread.
constexpr size_t kStripRows = 64;
constexpr int64_t kLeastHalved = 256;

}  // namespace

std::vector<int32_t> SectionsOf(const Graph& graph, const MatrixPart& part) {
  const Node* owner = FindOwner(graph, part.weight);
  const bool is_by_gate = owner != nullptr && GatesOfWeight(*owner, part.weight) > 0;
  if (!is_by_gate) return {};
  const int64_t hidden = owner->hidden_size;
  std::vector<int32_t> sections;
  const auto add_all = [&](const auto& section_of) {
    for (int64_t row = part.first_row; row < part.first_row + part.rows; ++row) {
      sections.push_back(static_cast<int32_t>(section_of(row)));
    }
  };
  const bool leaves_out_rows = owner->idle.has_value() || owner->predicted.has_value();
  if (leaves_out_rows && !part.is_plain) {
    add_all([&](int64_t row) { return row / hidden; });
  } else if (owner->banks.has_value()) {
    add_all([&](int64_t row) { return row % hidden / owner->banks->size; });
  } else if (hidden >= kLeastHalved) {
    const auto half =
        static_cast<int64_t>(RoundUp(static_cast<size_t>(hidden + 1) / 2, kStripRows));
    add_all([&](int64_t row) { return row % hidden / half; });
  }
  return sections;
}

}  // namespace espalier
