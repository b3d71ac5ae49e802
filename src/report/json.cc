#include "report/json.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/strings.h"

namespace espalier {
namespace {

// The library's message reads "[json.exception.parse_error.101] parse error at line 1, column 2:
// syntax error while ...": everything up to the second ": " is its own bookkeeping.
std::string WhatIsWrong(std::string message) {
  const size_t start = message.find("syntax error");
  if (start == std::string::npos) return "a JSON value expected";
  message = message.substr(start);
  const size_t dash = message.find(" - ");
  return dash == std::string::npos ? message : message.substr(dash + 3);
}

std::string Excerpt(std::string text) {
  constexpr size_t kMost = 40;
  if (text.size() <= kMost) return text;
  size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // whole letters
  return text.substr(0, end) + "...";
}

}  // namespace

Result<Json> ParseJson(std::string_view text) {
  bool too_deep = false;
  const auto watch_depth = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxJsonDepth;
    return !too_deep;
  };
  try {
    Json json = Json::parse(text.begin(), text.end(), watch_depth);
    if (too_deep) {
      return BadFormat(StrCat("JSON of at most ", kMaxJsonDepth, " levels expected, more found"));
    }
    return json;
  } catch (const Json::parse_error& error) {
    const size_t at = std::min(error.byte == 0 ? 0 : error.byte - 1, text.size());
    const std::string_view before = text.substr(0, at);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t newline = before.rfind('\n');
    const size_t column = at - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
    return BadFormat(StrCat("damaged JSON at line ", line, ", column ", column, ": ",
                            WhatIsWrong(error.what())));
  } catch (const Json::exception& error) {  // e.g. a number beyond double
    return BadFormat(StrCat("damaged JSON: ", error.what()));
  }
}

std::string PrintJson(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string DescribeJson(const Json& json) {
  switch (json.type()) {
    case Json::value_t::null: return "nothing";
    case Json::value_t::object: return "an object";
    case Json::value_t::array: return StrCat("a list of ", json.size());
    case Json::value_t::string: return "the text " + Excerpt(PrintJson(json, -1));
    default: return Excerpt(PrintJson(json, -1));
  }
}

Result<ObjectReader> ObjectReader::Make(const Json& json, std::string path) {
  if (json.is_object()) return ObjectReader(&json, std::move(path));
  return BadFormat(StrCat(path.empty() ? "the record" : path, ": an object expected, ",
                          DescribeJson(json), " found"));
}

const Json* ObjectReader::Find(const std::string& key) const {
  const auto it = json_->find(key);
  return it == json_->end() || it->is_null() ? nullptr : &*it;
}

std::string ObjectReader::PathOf(const std::string& key) const {
  return path_.empty() ? key : path_ + "." + key;
}

Status ObjectReader::Fail(const std::string& key, std::string_view expected) const {
  const Json* value = Find(key);
  return BadFormat(StrCat(PathOf(key), ": ", expected, " expected, ",
                          value == nullptr ? "nothing" : DescribeJson(*value), " found"));
}

Status ObjectReader::Text(const std::string& key, std::string* out) const {
  const Json* value = Find(key);
  if (value == nullptr || !value->is_string()) return Fail(key, "a text");
  *out = value->get_ref<const std::string&>();
  return Ok();
}

Status ObjectReader::TextOr(const std::string& key, std::string_view fallback,
                            std::string* out) const {
  if (Find(key) != nullptr) return Text(key, out);
  *out = fallback;
  return Ok();
}

Status ObjectReader::Count(const std::string& key, int64_t* out) const {
  const Json* value = Find(key);
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  const bool fits =
      value != nullptr && value->is_number_integer() &&
      (value->is_number_unsigned() ? value->get<uint64_t>() <= kMost : value->get<int64_t>() >= 0);
  if (!fits) return Fail(key, "a whole number of at least 0");
  *out = value->get<int64_t>();
  return Ok();
}

Status ObjectReader::CountOr(const std::string& key, int64_t fallback, int64_t* out) const {
  if (Find(key) != nullptr) return Count(key, out);
  *out = fallback;
  return Ok();
}

Status ObjectReader::Number(const std::string& key, double* out) const {
  const Json* value = Find(key);
  if (value == nullptr || !value->is_number()) return Fail(key, "a number");
  *out = value->get<double>();
  return Ok();
}

Status ObjectReader::NumberOrNan(const std::string& key, double* out) const {
  if (Find(key) != nullptr) return Number(key, out);
  *out = std::numeric_limits<double>::quiet_NaN();
  return Ok();
}

Status ObjectReader::Flag(const std::string& key, bool* out) const {
  const Json* value = Find(key);
  if (value == nullptr || !value->is_boolean()) return Fail(key, "true or false");
  *out = value->get<bool>();
  return Ok();
}

Status ObjectReader::Share(const std::string& key, double* out) const {
  const Json* value = Find(key);
  if (value == nullptr || !value->is_number()) return Fail(key, "a number in [0, 1]");
  *out = value->get<double>();
  return *out >= 0.0 && *out <= 1.0 ? Ok() : Fail(key, "a number in [0, 1]");
}

Status ObjectReader::Array(const std::string& key, const Json** out) const {
  *out = Find(key);
  return *out != nullptr && (*out)->is_array() ? Ok() : Fail(key, "a list");
}

Result<ObjectReader> ObjectReader::Object(const std::string& key) const {
  const Json* value = Find(key);
  if (value == nullptr) return Fail(key, "an object");
  return Make(*value, PathOf(key));
}

}  // namespace espalier
