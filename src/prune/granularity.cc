#include "prune/granularity.h"

#include <charconv>

#include "base/strings.h"
#include "prune/find.h"

namespace espalier {
namespace {

// Reads e.g. "8x16", or "16x64x4" if the tile may have a depth; false if it is anything else.
bool ParseTile(const std::string& text, GranularitySpec* spec) {
  std::vector<int32_t> numbers;
  const char* at = text.data();
  const char* end = at + text.size();
  while (true) {
    int32_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number < 1) return false;
    numbers.push_back(number);
    if (next == end) break;
    if (*next != 'x') return false;
    at = next + 1;
  }
  const size_t most = spec->kind->tile == Tile::kRowsByColsByDepth ? 3 : 2;
  if (numbers.size() < 2 || numbers.size() > most) return false;
  spec->rows = numbers[0];
  spec->cols = numbers[1];
  if (numbers.size() == 3) spec->depth = numbers[2];
  return true;
}

}  // namespace

std::span<const Granularity* const> AllGranularities() {
  static constexpr const Granularity* kAll[] = {
#define ESPALIER_GRANULARITY(name) &granularities::name,
#include "prune/granularities/granularities.inc"
#undef ESPALIER_GRANULARITY
  };
  return kAll;
}

Result<GranularitySpec> ParseGranularity(const std::string& text) {
  const size_t split = text.find('_');
  ESPALIER_ASSIGN_OR_RETURN(
      const Granularity* kind,
      FindByName("granularity", text.substr(0, split), AllGranularities(), text));
  GranularitySpec spec{kind, 0, 0};
  const bool wants_tile = kind->tile != Tile::kNone;
  const bool has_tile = split != std::string::npos && ParseTile(text.substr(split + 1), &spec);
  if (wants_tile != has_tile || (!wants_tile && split != std::string::npos)) {
    const char* const form = kind->tile == Tile::kNone         ? " alone"
                             : kind->tile == Tile::kRowsByCols ? "_<rows>x<cols>"
                                                               : "_<rows>x<cols>[x<depth>]";
    return InvalidArgument(StrCat("granularity '", text, "': ", kind->name, form,
                                  " expected, e.g. '", kind->name, wants_tile ? "_8x16'" : "'"));
  }
  return spec;
}

std::string GranularityName(const GranularitySpec& spec) {
  if (spec.kind->tile == Tile::kNone) return spec.kind->name;
  const std::string depth = spec.depth == 1 ? "" : StrCat("x", spec.depth);
  return StrCat(spec.kind->name, "_", spec.rows, "x", spec.cols, depth);
}

}  // namespace espalier
