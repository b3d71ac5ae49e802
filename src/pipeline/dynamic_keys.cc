#include "pipeline/dynamic_keys.h"

#include <utility>

#include "base/strings.h"

namespace espalier {

Status ReadDynamic(const YAML::Node& node, const std::string& path,
                   std::vector<DynamicSpec>* specs) {
  if (!node.IsDefined()) return Ok();
  if (!node.IsSequence()) {
    return InvalidArgument(path + ": a list of dynamic methods expected, " + DescribeYaml(node) +
                           " found");
  }
  for (size_t i = 0; i < node.size(); ++i) {
    const std::string where = StrCat(path, "[", i, "]");
    DynamicSpec spec;
    YamlMap map(node[i], where);
    map.Read("name", &spec.name);
    map.ReadStrings("layers", &spec.layers);
    map.Read("x", &spec.x);
    map.Read("h", &spec.h);
    map.Read("bank", &spec.bank);
    map.Read("size", &spec.banks.size);
    map.Read("top", &spec.banks.top);
    map.Read("epsilon", &spec.epsilon);
    map.Read("predictor", &spec.predictor);
    ESPALIER_RETURN_IF_ERROR(map.Finish());
    ESPALIER_RETURN_IF_ERROR(ValidateDynamic(spec).WithContext(where));
    specs->push_back(std::move(spec));
  }
  return Ok();
}

Status ReadExit(const YAML::Node& node, const std::string& path, std::optional<ExitRule>* rule) {
  if (!node.IsDefined()) return Ok();
  ExitRule read;
  YamlMap map(node, path);
  map.Read("confidence", &read.confidence);
  map.Read("hold", &read.hold);
  map.Read("every", &read.every);
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  ESPALIER_RETURN_IF_ERROR(ValidateExitRule(read).WithContext(path));
  *rule = read;
  return Ok();
}

}  // namespace espalier
