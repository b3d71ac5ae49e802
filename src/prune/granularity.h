// Granularity: the smallest thing that is kept or dropped, by name: "element", "slot_8x16" (strips
// of 8 rows by banks of 16 columns, spelt as the format that stores it), "slot_16x64x4" (4 weights
// of a row at a time), "nm_16x4x2" (2 weights of every 4 columns), "bank_32" (equally many weights
// of every 32 columns), "gate_row", "unit".
#ifndef ESPALIER_PRUNE_GRANULARITY_H_
#define ESPALIER_PRUNE_GRANULARITY_H_

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "prune/coupling.h"
#include "prune/pool.h"

namespace espalier {

struct Granularity;

// A granularity and its tile; rows = cols = 0 for those without one; of a tile that is one number,
// only `cols` (a width) or `rows` (a count) is set. depth: of `slot`, the weights
// of each row in one piece; of `nm`, those that each row keeps in a bank.
struct GranularitySpec {
  const Granularity* kind = nullptr;
  int32_t rows = 0;
  int32_t cols = 0;
  int32_t depth = 1;

  bool operator==(const GranularitySpec&) const = default;
};

// A weight [rows, cols] as a granularity sees it.
struct SaliencyView {
  std::span<const float> saliency;
  std::span<const uint8_t> alive;  // 0 = dropped before and not to come back; empty = all alive
  int64_t rows = 0;
  int64_t cols = 0;

  bool IsAlive(size_t element) const { return alive.empty() || alive[element] != 0; }
};

// A cut of one weight into pieces.
struct Partition {
  std::vector<int32_t> piece_of;  // [rows, cols]; -1 for an element that is not alive
  Pool pool;
};

enum class Tile : uint8_t { kNone, kCols, kRows, kRowsByCols, kRowsByColsByDepth };
enum class Extent : uint8_t {
  kWeight,  // a piece lies in one weight: `partition` cuts it
  kLines,   // a piece is rows or columns of one or more weights: `lines` finds them
  kUnits,   // a piece is a coupled group over many weights: coupling.h cuts the graph
};
// Which weights it cuts.
enum class Domain : uint8_t {
  kMatrices,    // any; unless told, those of Recurrent nodes
  kRecurrent,   // of Recurrent nodes only
  kInput,       // weight_ih only
  kEmbeddings,  // of Embedding nodes only
};
// Whose rows compete with each other before they compete with others.
enum class Per : uint8_t { kTensor, kGate };

// Pieces that are whole lines of matrices. Promise: no element is in two pieces.
struct Lines {
  // The piece of each row or column of each weight that takes part, -1 for none; only one of the
  // two axes is filled.
  std::map<std::string, WeightAxes> weights;
  std::vector<int32_t> pool_of;  // of each piece
  // Of each piece, from 0 on, where a pool spans several gates and a piece is of one; else empty.
  std::vector<int32_t> gate_of;
  std::vector<Pool> pools;  // without pieces
};

struct Granularity {
  const char* name;
  const char* formula;  // what one piece is, and its score
  const char* source;
  Tile tile;
  Extent extent;
  Domain domain;
  // Is the tile sound, and does a weight [rows, cols] fit? Errors: kInvalidArgument, naming the
  // nearest that does. nullptr: always.
  Status (*check)(const GranularitySpec& spec, const std::string& weight, int64_t rows,
                  int64_t cols);
  // Extent::kWeight only, else nullptr.
  Partition (*partition)(const GranularitySpec& spec, const SaliencyView& view);
  // Extent::kLines only, else nullptr. `chosen`: names of weights of the domain. Errors:
  // kUnsupported with the reason if there is no such piece, or none per gate.
  Result<Lines> (*lines)(const Graph& graph, const std::set<std::string>& chosen,
                         Per per) = nullptr;
  // The one sparsity at which pruning can end; on the way there any lower one is possible. nullptr:
  // it can end at any.
  double (*fixed_sparsity)(const GranularitySpec& spec) = nullptr;
  // Pieces hold a balance only as long as they are dropped in order, so nothing can come back.
  bool is_balanced = false;
  // Which weights make a piece depends on their saliencies, so pieces do not stay the same while a
  // network trains.
  bool follows_saliency = false;
};

namespace granularities {
#define ESPALIER_GRANULARITY(name) extern const Granularity name;
#include "prune/granularities/granularities.inc"
#undef ESPALIER_GRANULARITY
}  // namespace granularities

// "tensor", "gate".
Result<Per> ParsePer(const std::string& text);
const char* PerName(Per per);
// What a pool's name ends in that is one gate of a tensor, e.g. "[f]".
std::string GateSuffix(const CellInfo& cell, int64_t gate);

// In the order of granularities.inc.
std::span<const Granularity* const> AllGranularities();
// Errors: kInvalidArgument, naming the nearest or the form that is expected.
Result<GranularitySpec> ParseGranularity(const std::string& text);
// The inverse of ParseGranularity.
std::string GranularityName(const GranularitySpec& spec);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_GRANULARITY_H_
