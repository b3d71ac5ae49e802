// YamlMap: reads one YAML mapping key by key and refuses what nobody asked for.
//
//   YamlMap map(node, "stages[0].train");
//   map.Read("epochs", &options.epochs);
//   map.Read("batch_size", &options.batch_size);
//   ESPALIER_RETURN_IF_ERROR(map.Finish());   // first wrong value, or an unknown key, as one
//   sentence
//
// A missing key leaves the value as it was; a key without a value (null) is refused. This is the
// only header that shows yaml-cpp.
#ifndef ESPALIER_PIPELINE_YAML_READER_H_
#define ESPALIER_PIPELINE_YAML_READER_H_

#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "base/status.h"
#include "base/strings.h"

namespace espalier {

// Parses a text of one document; null if there is nothing in it. Errors: kBadFormat with line and
// column, or for more than one document or a text that is not UTF-8.
Result<YAML::Node> ParseYaml(const std::string& text);

// What `node` is, for messages: "nothing", "a list", "a mapping", or "'text'".
std::string DescribeYaml(const YAML::Node& node);

class YamlMap {
 public:
  // `path` names the mapping in messages; "" is the whole document. An undefined node reads as an
  // empty mapping.
  YamlMap(YAML::Node node, std::string path);

  bool Has(const std::string& key);
  // Reads a scalar into a number, bool or string.
  template <typename T>
  void Read(const std::string& key, T* value) {
    const YAML::Node child = Take(key);
    if (!status_.ok() || !child.IsDefined()) return;
    if (!child.IsScalar() || !YAML::convert<T>::decode(child, *value)) {
      Fail(PathOf(key),
           std::string(Expected<T>()) + " expected, " + DescribeYaml(child) + " found");
    }
  }
  // The same through a parser of names, e.g. ParseOptimizer.
  template <typename T>
  void ReadName(const std::string& key, Result<T> (*parse)(const std::string&), T* value) {
    std::string name;
    if (!Has(key)) return;
    Read(key, &name);
    if (!status_.ok()) return;
    Result<T> parsed = parse(name);
    if (parsed.ok()) {
      *value = *std::move(parsed);
    } else {
      status_ = parsed.status().WithContext(PathOf(key));
    }
  }
  // A list of strings; a single string counts as a list of one.
  void ReadStrings(const std::string& key, std::vector<std::string>* values);
  // The node under `key`, undefined if it is missing, or null, which fails.
  YAML::Node Take(const std::string& key);

  const std::string& path() const { return path_; }
  std::string PathOf(const std::string& key) const;
  void Fail(const std::string& where, const std::string& what);

  const Status& status() const { return status_; }  // the first wrong value
  // The first error, or kInvalidArgument naming an unknown key and the nearest known one.
  Status Finish();

 private:
  template <typename T>
  static constexpr const char* Expected() {
    if constexpr (std::is_same_v<T, bool>)
      return "true or false";
    else if constexpr (std::is_integral_v<T>)
      return "a whole number";
    else if constexpr (std::is_floating_point_v<T>)
      return "a number";
    else
      return "a text";
  }

  YAML::Node node_;
  std::string path_;
  std::vector<std::string> known_;
  Status status_;
};

// "path: what expected, found found".
Status Expected(const std::string& path, const std::string& expected, const std::string& found);
Status CheckAtLeast(const YamlMap& map, const char* key, int64_t least, int64_t value);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_YAML_READER_H_
