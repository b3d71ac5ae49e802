#include "prune/dynamic.h"

#include <algorithm>
#include <limits>
#include <set>

#include "base/strings.h"
#include "prune/find.h"
#include "prune/patterns.h"

namespace espalier {

std::span<const DynamicMethod* const> AllDynamicMethods() {
  static constexpr const DynamicMethod* kAll[] = {
#define ESPALIER_DYNAMIC(name) &dynamic::name,
#include "prune/dynamic/dynamic.inc"
#undef ESPALIER_DYNAMIC
  };
  return kAll;
}

Result<const DynamicMethod*> FindDynamicMethod(const std::string& name) {
  return FindByName("dynamic method", name, AllDynamicMethods());
}

namespace {

// What a method reads: a number in [least, most].
template <typename T>
struct Field {
  const char* name;
  T value, least, most, unread;  // unread: what it is where the method does not read it
  const char* what = "";         // e.g. "a threshold of "
};

template <typename T>
Status CheckField(const DynamicMethod& method, const Field<T>& field) {
  const std::string where = StrCat("dynamic method ", method.name, ": ", field.name, ": ");
  const auto& reads = method.reads;
  const bool is_read = std::find(reads.begin(), reads.end(), field.name) != reads.end();
  const bool is_in = field.value >= field.least && field.value <= field.most;
  if (is_read ? is_in : field.value == field.unread) return Ok();
  const bool is_open = field.most == std::numeric_limits<T>::max() ||
                       static_cast<double>(field.most) == double{std::numeric_limits<float>::max()};
  const std::string range = is_open ? StrCat(field.what, "at least ", field.least)
                                    : StrCat(field.least, " to ", field.most);
  return InvalidArgument(StrCat(where, is_read ? range : "nothing, since it reads none,",
                                " expected, ", field.value, " found"));
}

}  // namespace

Status ValidateDynamic(const DynamicSpec& spec) {
  ESPALIER_ASSIGN_OR_RETURN(const DynamicMethod* method, FindDynamicMethod(spec.name));
  if (spec.layers.empty()) {
    return InvalidArgument(StrCat("dynamic method ", spec.name,
                                  ": layers: at least one pattern expected, none found"));
  }
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const DynamicSpec none;
  const Field<double> kNumbers[] = {
      {"x", spec.x, 0.0, std::numeric_limits<float>::max(), 0.0, "a threshold of "},
      {"h", spec.h, 0.0, std::numeric_limits<float>::max(), 0.0, "a threshold of "},
      {"epsilon", spec.epsilon, 0.0, 0.5, none.epsilon}};
  const Field<int64_t> kCounts[] = {
      {"bank", spec.bank, 1, kMostDeltaBank, none.bank},
      {"size", spec.banks.size, 1, kMost, none.banks.size},
      {"top", spec.banks.top, 0, kMost, none.banks.top},
      {"predictor", spec.predictor, 1, kMostPredictorSize, none.predictor}};
  for (const auto& field : kNumbers) ESPALIER_RETURN_IF_ERROR(CheckField(*method, field));
  for (const auto& field : kCounts) ESPALIER_RETURN_IF_ERROR(CheckField(*method, field));
  return Ok();
}

Result<Graph> WithDynamic(const Graph& graph, std::span<const DynamicSpec> specs) {
  Graph out = graph;
  std::vector<std::string> layers;
  for (const Node& node : graph.nodes) {
    if (node.op == Op::kRecurrent) layers.push_back(node.name);
  }
  std::set<std::pair<std::string, std::string>> ruled;  // layers and methods
  for (const DynamicSpec& spec : specs) {
    ESPALIER_RETURN_IF_ERROR(ValidateDynamic(spec));
    ESPALIER_ASSIGN_OR_RETURN(const DynamicMethod* method, FindDynamicMethod(spec.name));
    const std::string context = "dynamic method " + spec.name;
    Result<std::set<std::string>> chosen = ChooseByPattern(spec.layers, layers, "layers");
    if (!chosen.ok()) return chosen.status().WithContext(context);
    for (Node& node : out.nodes) {
      if (!chosen->contains(node.name)) continue;
      if (!ruled.emplace(node.name, spec.name).second) {
        return InvalidArgument(StrCat(context, ": each layer once expected, '", node.name,
                                      "' found twice; give all that it reads in one entry"));
      }
      ESPALIER_RETURN_IF_ERROR(method->apply(spec, &node, &out.weights).WithContext(context));
    }
    ESPALIER_RETURN_IF_ERROR(ValidateGraph(out).WithContext(context));
  }
  return out;
}

}  // namespace espalier
