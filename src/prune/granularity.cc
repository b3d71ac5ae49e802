#include "prune/granularity.h"

#include <charconv>

#include "base/strings.h"
#include "prune/find.h"

namespace espalier {
namespace {

size_t FewestNumbers(Tile tile) {
  return tile == Tile::kNone ? 0 : tile < Tile::kRowsByCols ? 1 : 2;
}
size_t MostNumbers(Tile tile) { return tile == Tile::kRowsByColsByDepth ? 3 : FewestNumbers(tile); }

const char* FormOf(Tile tile) {
  switch (tile) {
    case Tile::kNone: return " alone";
    case Tile::kCols: return "_<columns>";
    case Tile::kRows: return "_<count>";
    case Tile::kRowsByCols: return "_<rows>x<cols>";
    case Tile::kRowsByColsByDepth: return "_<rows>x<cols>[x<depth>]";
  }
  return "";
}

// Reads e.g. "8x16", "16x64x4" if the tile may have a depth, or "32"; false if it is anything else.
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
  const Tile tile = spec->kind->tile;
  if (numbers.size() < FewestNumbers(tile) || numbers.size() > MostNumbers(tile)) return false;
  if (tile != Tile::kCols) spec->rows = numbers[0];
  if (tile != Tile::kRows) spec->cols = numbers[tile == Tile::kCols ? 0 : 1];
  if (numbers.size() == 3) spec->depth = numbers[2];
  return true;
}

// The longest name that the text is, or is followed by '_' in; "" for none.
std::string LeadingName(const std::string& text) {
  std::string found;
  for (const Granularity* kind : AllGranularities()) {
    const std::string name = kind->name;
    if (name.size() > found.size() && (text == name || text.starts_with(name + "_"))) found = name;
  }
  return found;
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
  std::string name = LeadingName(text);
  // Unknown: what stands before the tile is compared with the names there are.
  if (name.empty()) name = text.substr(0, text.find_first_of("0123456789") - 1);
  ESPALIER_ASSIGN_OR_RETURN(const Granularity* kind,
                            FindByName("granularity", name, AllGranularities(), text));
  GranularitySpec spec{kind, 0, 0};
  const std::string rest = text.substr(name.size());
  const bool good =
      kind->tile == Tile::kNone ? rest.empty() : !rest.empty() && ParseTile(rest.substr(1), &spec);
  if (!good) {
    const char* const example[] = {"", "_32", "_16", "_8x16", "_8x16"};
    return InvalidArgument(StrCat("granularity '", text, "': ", kind->name, FormOf(kind->tile),
                                  " expected, e.g. '", kind->name,
                                  example[static_cast<size_t>(kind->tile)], "'"));
  }
  return spec;
}

std::string GranularityName(const GranularitySpec& spec) {
  switch (spec.kind->tile) {
    case Tile::kNone: return spec.kind->name;
    case Tile::kCols: return StrCat(spec.kind->name, "_", spec.cols);
    case Tile::kRows: return StrCat(spec.kind->name, "_", spec.rows);
    case Tile::kRowsByCols:
    case Tile::kRowsByColsByDepth: break;
  }
  const std::string depth = spec.depth == 1 ? "" : StrCat("x", spec.depth);
  return StrCat(spec.kind->name, "_", spec.rows, "x", spec.cols, depth);
}

Result<Per> ParsePer(const std::string& text) {
  if (text == "tensor") return Per::kTensor;
  if (text == "gate") return Per::kGate;
  return InvalidArgument("per '" + text + "': one of tensor, gate expected" +
                         DidYouMean(text, {"tensor", "gate"}));
}

std::string GateSuffix(const CellInfo& cell, int64_t gate) {
  return StrCat("[", cell.gate_names[static_cast<size_t>(gate)], "]");
}

const char* PerName(Per per) { return per == Per::kGate ? "gate" : "tensor"; }

}  // namespace espalier
