// JSON of this room and of pipeline: damaged text and unexpected values become one sentence that
// names the key. Only .cc files include it (and charts.h, which only they include), so that nobody
// else pays for the JSON library's header.
#ifndef ESPALIER_REPORT_JSON_H_
#define ESPALIER_REPORT_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace espalier {

using Json = nlohmann::ordered_json;  // keys stay in the order they were written

// Errors: kBadFormat with line, column and what was found there, or nesting beyond kMaxJsonDepth.
Result<Json> ParseJson(std::string_view text);
inline constexpr int kMaxJsonDepth = 64;  // printing recurses; our own records need 8

// Never fails: bytes that are not UTF-8 are replaced. indent < 0: one line.
std::string PrintJson(const Json& json, int indent);

// "an integer", "a text", ... and a short excerpt of the value: `the text "abc"`.
std::string DescribeJson(const Json& json);

// Reads the members of one object. Each function fails with kBadFormat and the whole path of the
// key: `models.dense.bytes: a whole number of at least 0 expected, the text "12" found`.
class ObjectReader {
 public:
  // Errors: kBadFormat if `json` is no object.
  static Result<ObjectReader> Make(const Json& json, std::string path);

  const Json* Find(const std::string& key) const;  // nullptr if missing or null
  std::string PathOf(const std::string& key) const;
  Status Fail(const std::string& key, std::string_view expected) const;

  Status Text(const std::string& key, std::string* out) const;
  Status TextOr(const std::string& key, std::string_view fallback, std::string* out) const;
  Status Flag(const std::string& key, bool* out) const;      // true or false
  Status Count(const std::string& key, int64_t* out) const;  // a whole number >= 0
  Status CountOr(const std::string& key, int64_t fallback, int64_t* out) const;
  Status Number(const std::string& key, double* out) const;
  Status NumberOrNan(const std::string& key, double* out) const;  // null or missing: NaN
  Status Share(const std::string& key, double* out) const;        // in [0, 1]
  Status Array(const std::string& key, const Json** out) const;
  Result<ObjectReader> Object(const std::string& key) const;

 private:
  ObjectReader(const Json* json, std::string path) : json_(json), path_(std::move(path)) {}
  const Json* json_;
  std::string path_;
};

}  // namespace espalier

#endif  // ESPALIER_REPORT_JSON_H_
