#include "pipeline/regularizer_keys.h"

#include <utility>

#include "base/strings.h"

namespace espalier {

Status ReadRegularizers(const YAML::Node& node, const std::string& path,
                        std::vector<RegularizerSpec>* regularizers) {
  if (!node.IsDefined()) return Ok();
  if (!node.IsSequence()) {
    return InvalidArgument(path + ": a list of regularizers expected, " + DescribeYaml(node) +
                           " found");
  }
  for (size_t i = 0; i < node.size(); ++i) {
    const std::string where = StrCat(path, "[", i, "]");
    RegularizerSpec spec;
    YamlMap map(node[i], where);
    map.Read("name", &spec.name);
    map.Read("strength", &spec.strength);
    map.Read("granularity", &spec.granularity);
    map.ReadStrings("weights", &spec.weights);
    map.Read("warmup_epochs", &spec.warmup_epochs);
    map.Read("speed", &spec.speed);
    map.Read("share", &spec.share);
    ESPALIER_RETURN_IF_ERROR(map.Finish());
    ESPALIER_RETURN_IF_ERROR(ValidateRegularizer(spec).WithContext(where));
    regularizers->push_back(std::move(spec));
  }
  return Ok();
}

}  // namespace espalier
