#include "prune/granularity.h"

#include <charconv>

#include "base/strings.h"
#include "prune/find.h"

namespace espalier {
namespace {

// Reads e.g. "8x16"; false if it is anything else.
bool ParseTile(const std::string& text, int32_t* rows, int32_t* cols) {
  const char* end = text.data() + text.size();
  const auto [middle, error] = std::from_chars(text.data(), end, *rows);
  if (error != std::errc() || middle == end || *middle != 'x') return false;
  const auto [last, last_error] = std::from_chars(middle + 1, end, *cols);
  return last_error == std::errc() && last == end && *rows > 0 && *cols > 0;
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
  const bool wants_tile = kind->tile == Tile::kRowsByCols;
  const bool has_tile =
      split != std::string::npos && ParseTile(text.substr(split + 1), &spec.rows, &spec.cols);
  if (wants_tile != has_tile || (!wants_tile && split != std::string::npos)) {
    return InvalidArgument(StrCat("granularity '", text, "': ", kind->name,
                                  wants_tile ? "_<rows>x<cols>" : " alone", " expected, e.g. '",
                                  kind->name, wants_tile ? "_8x16'" : "'"));
  }
  return spec;
}

std::string GranularityName(const GranularitySpec& spec) {
  if (spec.kind->tile == Tile::kNone) return spec.kind->name;
  return StrCat(spec.kind->name, "_", spec.rows, "x", spec.cols);
}

}  // namespace espalier
