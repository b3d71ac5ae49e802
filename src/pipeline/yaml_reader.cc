#include "pipeline/yaml_reader.h"

#include <algorithm>

#include "base/strings.h"

namespace espalier {

Result<YAML::Node> ParseYaml(const std::string& text) {
  if (!IsUtf8(text)) return BadFormat("a text in UTF-8 expected, other bytes found");
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      return BadFormat(StrCat("one YAML document expected, ", documents.size(),
                              " found (the line '---' starts another)"));
    }
    return documents.empty() ? YAML::Node() : documents[0];
  } catch (const YAML::Exception& error) {
    return BadFormat(
        StrCat("line ", error.mark.line + 1, ", column ", error.mark.column + 1, ": ", error.msg));
  }
}

std::string DescribeYaml(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return "nothing";
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  return "'" + node.Scalar() + "'";
}

YamlMap::YamlMap(YAML::Node node, std::string path)
    : node_(std::move(node)), path_(std::move(path)) {
  if (node_.IsDefined() && !node_.IsNull() && !node_.IsMap()) {
    Fail(path_, "a mapping expected, " + DescribeYaml(node_) + " found");
  }
}

bool YamlMap::Has(const std::string& key) { return Take(key).IsDefined(); }

void YamlMap::ReadStrings(const std::string& key, std::vector<std::string>* values) {
  const YAML::Node child = Take(key);
  if (!status_.ok() || !child.IsDefined()) return;
  values->clear();
  if (child.IsScalar()) {
    values->push_back(child.Scalar());
    return;
  }
  if (!child.IsSequence()) {
    return Fail(PathOf(key),
                "a text or a list of texts expected, " + DescribeYaml(child) + " found");
  }
  for (const YAML::Node& item : child) {
    if (!item.IsScalar()) {
      return Fail(PathOf(key), "a list of texts expected, " + DescribeYaml(item) + " found in it");
    }
    values->push_back(item.Scalar());
  }
}

YAML::Node YamlMap::Take(const std::string& key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.push_back(key);
  if (!node_.IsDefined() || !node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
  // The const overload does not create the key.
  const YAML::Node child = static_cast<const YAML::Node&>(node_)[key];
  if (!child.IsDefined() || !child.IsNull()) return child;
  Fail(PathOf(key), "a value expected, nothing found; a key that is left out has its default");
  return YAML::Node(YAML::NodeType::Undefined);
}

std::string YamlMap::PathOf(const std::string& key) const {
  return path_.empty() ? key : path_ + "." + key;
}

void YamlMap::Fail(const std::string& where, const std::string& what) {
  if (status_.ok()) status_ = InvalidArgument(where.empty() ? what : where + ": " + what);
}

Status YamlMap::Finish() {
  ESPALIER_RETURN_IF_ERROR(status_);
  if (!node_.IsDefined() || !node_.IsMap()) return Ok();
  std::vector<std::string> seen;
  for (const auto& entry : node_) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
      return InvalidArgument(StrCat(PathOf(key), " (line ", entry.first.Mark().line + 1,
                                    "): unknown key, one of ", StrJoin(known_, ", "), " expected",
                                    DidYouMean(key, known_)));
    }
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      return InvalidArgument(PathOf(key) + ": the key stands twice");
    }
    seen.push_back(key);
  }
  return Ok();
}

Status Expected(const std::string& path, const std::string& expected, const std::string& found) {
  return InvalidArgument(path + ": " + expected + " expected, " + found + " found");
}

Status CheckAtLeast(const YamlMap& map, const char* key, int64_t least, int64_t value) {
  if (value >= least) return Ok();
  return Expected(map.PathOf(key), StrCat("at least ", least), StrCat(value));
}

}  // namespace espalier
