#include "prune/dynamic.h"

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

Status ValidateDynamic(const DynamicSpec& spec) {
  ESPALIER_ASSIGN_OR_RETURN(const DynamicMethod* method, FindDynamicMethod(spec.name));
  for (const auto& [field, threshold] : {std::pair{"x", spec.x}, {"h", spec.h}}) {
    if (!(threshold >= 0.0 && threshold <= double{std::numeric_limits<float>::max()})) {
      return InvalidArgument(StrCat("dynamic method ", spec.name, ": ", field,
                                    ": a threshold of at least 0 expected, ", threshold, " found"));
    }
    if (threshold > 0.0 && !method->reads_thresholds) {
      return InvalidArgument(StrCat("dynamic method ", spec.name, ": ", field,
                                    ": nothing, since it reads none, expected, ", threshold,
                                    " found"));
    }
  }
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const UnitBanks none;
  const struct {
    const char* name;
    int64_t value, least, most, unread;  // unread: what it is where the method does not read it
    bool is_read;
  } kCounts[] = {{"bank", spec.bank, 1, kMostDeltaBank, 1, method->reads_thresholds},
                 {"size", spec.banks.size, 1, kMost, none.size, method->reads_banks},
                 {"top", spec.banks.top, 0, kMost, none.top, method->reads_banks}};
  for (const auto& count : kCounts) {
    const std::string where = StrCat("dynamic method ", spec.name, ": ", count.name, ": ");
    if (!count.is_read && count.value != count.unread) {
      return InvalidArgument(
          StrCat(where, "nothing, since it reads none, expected, ", count.value, " found"));
    }
    if (count.value >= count.least && count.value <= count.most) continue;
    const std::string range = count.most == kMost ? StrCat("at least ", count.least)
                                                  : StrCat(count.least, " to ", count.most);
    return InvalidArgument(StrCat(where, range, " expected, ", count.value, " found"));
  }
  return Ok();
}

Result<Graph> WithDynamic(const Graph& graph, std::span<const DynamicSpec> specs) {
  Graph out = graph;
  std::vector<std::string> layers;
  for (const Node& node : graph.nodes) {
    if (node.op == Op::kRecurrent) layers.push_back(node.name);
  }
  for (const DynamicSpec& spec : specs) {
    ESPALIER_RETURN_IF_ERROR(ValidateDynamic(spec));
    ESPALIER_ASSIGN_OR_RETURN(const DynamicMethod* method, FindDynamicMethod(spec.name));
    const std::string context = "dynamic method " + spec.name;
    Result<std::set<std::string>> chosen = ChooseByPattern(spec.layers, layers, "layers");
    if (!chosen.ok()) return chosen.status().WithContext(context);
    for (Node& node : out.nodes) {
      if (!chosen->contains(node.name)) continue;
      ESPALIER_RETURN_IF_ERROR(method->apply(spec, &node, &out.weights).WithContext(context));
    }
    ESPALIER_RETURN_IF_ERROR(ValidateGraph(out).WithContext(context));
  }
  return out;
}

}  // namespace espalier
