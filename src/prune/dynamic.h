// Dynamic methods: a layer that does less at some time steps. A method puts its rules, and weights
// of its own, into a graph; the executors follow them (model/graph.h). What it leaves before any
// training computes what the graph computed before, or differs by what its thresholds, or the banks
// that it is told to leave out, allow.
#ifndef ESPALIER_PRUNE_DYNAMIC_H_
#define ESPALIER_PRUNE_DYNAMIC_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/graph.h"

namespace espalier {

// What a user asks for. A method that does not read a field refuses another value than its default.
struct DynamicSpec {
  std::string name;
  std::vector<std::string> layers = {"*"};  // patterns of recurrent nodes' names
  double x = 0.0, h = 0.0;                  // delta: thresholds, >= 0
  int64_t bank = 1;                         // delta: features that are sent together
  UnitBanks banks = {};                     // banks: size and top
  double epsilon = 0.0;                     // idle, predicted: in [0, 0.5]
  int64_t predictor = 16;                   // predicted: the size of the predictor

  bool operator==(const DynamicSpec&) const = default;
};

struct DynamicMethod {
  const char* name;
  const char* formula;  // as in docs/methods.md
  const char* source;
  std::array<std::string_view, 3> reads;  // fields, by their names in recipes
  // Puts its rules into a Recurrent node of the graph.
  Status (*apply)(const DynamicSpec& spec, Node* node, TensorStore* weights);
};

namespace dynamic {
#define ESPALIER_DYNAMIC(name) extern const DynamicMethod name;
#include "prune/dynamic/dynamic.inc"
#undef ESPALIER_DYNAMIC
}  // namespace dynamic

// In the order of dynamic.inc.
std::span<const DynamicMethod* const> AllDynamicMethods();
// Errors: kInvalidArgument, naming the nearest.
Result<const DynamicMethod*> FindDynamicMethod(const std::string& name);

// What can be said without a graph. Errors: kInvalidArgument, naming the field.
Status ValidateDynamic(const DynamicSpec& spec);

// The graph with the rules of these methods, one after the other, in the layers that they name.
// Errors: kInvalidArgument for a pattern that matches no recurrent node, naming those there are;
// what ValidateGraph says of a layer that cannot have the method.
Result<Graph> WithDynamic(const Graph& graph, std::span<const DynamicSpec> specs);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_DYNAMIC_H_
