// Coupling: which slices of which weights stand for the same hidden unit.
//
// A unit k of a recurrent layer is not a row of one matrix. It is rows {g*H + k} of weight_ih and
// weight_hh and both biases for every gate g, column k of weight_hh, and the column that reads h_k
// in every consumer, however far along the graph: the next layer's weight_ih (both directions of
// it), a Gemm, each tap of a Conv1d, all behind Dropout, activations, LastStep, MeanOverTime or
// Concat (at an offset). One keep-set per unit, shared by all of them; picking rows per gate or per
// matrix does not remove units. An output channel of a Conv1d is a unit as well: a row, its bias,
// and what reads it.
//
// With a projection (LSTMP) a layer has two kinds of units: those of c, which are its rows and the
// columns of weight_hr, and the projected features, which are rows of weight_hr and what reads h.
// Peepholes belong to the unit of c. A layer that starts from values of the graph shares its units
// with the features of those values: a unit of a decoder goes with the row of the Gemm, or the unit
// of the encoder, that it starts from.
//
// It is found by following axes, not by matching patterns: each feature of each value belongs to a
// group; Recurrent, Gemm and Conv1d rows and Embedding columns make features; Add and Mul say that
// two features are one group (so they join units of two layers); Concat puts lists of features
// behind each other, and Slice takes part of one.
//
// A Gemm that is tied to an Embedding reads its columns, so that each of them, the feature that the
// Gemm reads and the feature that the Embedding makes are one group; its rows stay.
//
// Where a removed feature would change what the others are, it is pinned: what reaches an output,
// and what Softmax or LayerNormalization reads. Mean and variance of a LayerNormalization are over
// all F features, those that are 0 too, so no mask has the numbers of a narrower layer.
//
// A removed group is *masked* by zeroing all its slices, rows and biases and columns. Zero rows
// alone would not do: with a nonzero initial c the LSTM's h stays nonzero, and Sigmoid turns h = 0
// into 0.5. With the reading columns zero the unit can influence nothing, from any initial state,
// through any activation; so masked and compacted agree and there is no constant to fold.
#ifndef ESPALIER_PRUNE_COUPLING_H_
#define ESPALIER_PRUNE_COUPLING_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "prune/pool.h"

namespace espalier {

// One direction of one Recurrent node, its projection, or a Conv1d node.
struct UnitLayer {
  enum class Part : uint8_t { kUnits, kProjection };

  std::string node;
  bool reverse = false;
  int64_t units = 0;            // H, P of a projection, or O of a Conv1d
  std::vector<int32_t> groups;  // [units]: the group of each unit
  Part part = Part::kUnits;

  // e.g. "lstm0", "lstm0_reverse", "lstm0_projection".
  std::string name() const {
    return node + (part == Part::kProjection ? "_projection" : "") + (reverse ? "_reverse" : "");
  }
  // Both directions of a node are as wide.
  bool IsAsWideAs(const UnitLayer& other) const { return node == other.node && part == other.part; }
};

// A Slice node: what it reads and what it takes of it.
struct FeatureSlice {
  std::string node;
  std::vector<int32_t> in;  // [F]: the group of each feature
  int64_t first = 0;
  int64_t count = 0;

  std::vector<int32_t> groups() const { return {in.begin() + first, in.begin() + first + count}; }
};

// What a node makes.
struct NodeFeatures {
  std::string node;
  std::vector<int32_t> groups;  // [F]: the group of each feature
};

struct Unit {
  int32_t layer = 0;  // index into Coupling::layers
  int64_t unit = 0;   // in [0, UnitLayer::units)
};

// What is kept or removed together.
struct UnitGroup {
  std::vector<Unit> units;  // empty for features that no UnitLayer makes
  std::string pinned;       // why it cannot be removed, e.g. "reaches output 'lstm0.out'"; or ""
};

// The group of each row and column of a weight; -1 where it belongs to none. Biases have rows only.
struct WeightAxes {
  std::vector<int32_t> rows;
  std::vector<int32_t> cols;
  bool reads_rows = false;  // a vector that multiplies its features, as weight_skip
};

// [rows, cols], or [rows] of a bias.
std::vector<int64_t> ShapeOf(const WeightAxes& axes);

struct Coupling {
  std::vector<UnitLayer> layers;
  std::vector<UnitGroup> groups;
  std::vector<FeatureSlice> slices;
  std::vector<NodeFeatures> values;                    // of every node
  std::map<std::string, WeightAxes> weights;           // every weight of the graph
  std::map<std::string, std::vector<int32_t>> states;  // group of each element, by state name
};

// Errors: what ValidateGraph says.
Result<Coupling> FindCoupling(const Graph& graph);

// Number of the positions of an axis that `keep` (one entry a group) keeps; -1 is kept.
int64_t KeptCount(const std::vector<int32_t>& axis, const Keep& keep);
// Of the layer's units.
int64_t KeptCount(const UnitLayer& layer, const Keep& keep);

// Checks that `keep` (one entry a group) leaves a graph: pinned groups and those without units
// stay, every layer keeps a unit and every value a feature, both directions of a node keep equally
// many. Errors: kInvalidArgument, naming the layer or the node.
Status ValidateKeep(const Coupling& coupling, const Keep& keep);

// The kept units of each layer, ascending, by UnitLayer::name().
std::map<std::string, std::vector<int64_t>> KeptUnits(const Coupling& coupling, const Keep& keep);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_COUPLING_H_
