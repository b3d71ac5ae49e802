#include "pipeline/cost_file.h"

#include "base/file.h"
#include "base/strings.h"
#include "report/json.h"

namespace espalier {
namespace {

constexpr char kVersionKey[] = "espalier_costs";

// A point's sizes, in the order in which they are written; its time comes after them.
constexpr int64_t CostPoint::*kSizes[] = {&CostPoint::count, &CostPoint::rows, &CostPoint::cols,
                                          &CostPoint::bytes};
constexpr size_t kNumbers = std::size(kSizes) + 1;

Json JsonOf(const CostPoint& point) {
  Json numbers = Json::array();
  for (const auto size : kSizes) numbers.push_back(point.*size);
  numbers.push_back(point.ns);
  return numbers;
}

// False if `json` is not four whole numbers and a number.
bool ReadPoint(const Json& json, CostPoint* point) {
  if (!json.is_array() || json.size() != kNumbers || !json.back().is_number()) return false;
  for (size_t i = 0; i < std::size(kSizes); ++i) {
    if (!json[i].is_number_integer()) return false;
    point->*kSizes[i] = json[i].get<int64_t>();
  }
  point->ns = json.back().get<double>();
  return true;
}

Result<FormatCosts> ReadFormat(const Json& json, const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader in, ObjectReader::Make(json, path));
  std::string name;
  ESPALIER_RETURN_IF_ERROR(in.Text("format", &name));
  const Result<FormatSpec> spec = FindFormat(name);
  if (!spec.ok()) return spec.status().WithContext(in.PathOf("format"));
  const Json* points = nullptr;
  ESPALIER_RETURN_IF_ERROR(in.Array("points", &points));
  FormatCosts costs{*spec, {}};
  for (const Json& numbers : *points) {
    if (!ReadPoint(numbers, &costs.points.emplace_back())) {
      return BadFormat(StrCat(in.PathOf("points"), "[", costs.points.size() - 1,
                              "]: [count, rows, cols, bytes, ns] expected, ", DescribeJson(numbers),
                              " found"));
    }
  }
  return costs;
}

}  // namespace

std::string CostTableJson(const CostTable& table) {
  Json formats = Json::array();
  for (const FormatCosts& costs : table.formats) {
    Json points = Json::array();
    for (const CostPoint& point : costs.points) points.push_back(JsonOf(point));
    formats.push_back({{"format", FormatName(costs.format)}, {"points", std::move(points)}});
  }
  const Json json = {{kVersionKey, kCostFileVersion},
                     {"cpu", table.cpu},
                     {"target", table.target},
                     {"formats", std::move(formats)}};
  return PrintJson(json, -1) + "\n";
}

Result<CostTable> ParseCostTable(std::string_view text) {
  ESPALIER_ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader in, ObjectReader::Make(json, ""));
  int64_t version = 0;
  ESPALIER_RETURN_IF_ERROR(in.Count(kVersionKey, &version));
  if (version != kCostFileVersion) {
    return Unsupported(
        StrCat(kVersionKey, ": version ", kCostFileVersion, " expected, ", version, " found"));
  }
  CostTable table;
  ESPALIER_RETURN_IF_ERROR(in.Text("cpu", &table.cpu));
  ESPALIER_RETURN_IF_ERROR(in.Text("target", &table.target));
  const Json* formats = nullptr;
  ESPALIER_RETURN_IF_ERROR(in.Array("formats", &formats));
  for (size_t i = 0; i < formats->size(); ++i) {
    ESPALIER_ASSIGN_OR_RETURN(FormatCosts costs,
                              ReadFormat((*formats)[i], StrCat("formats[", i, "]")));
    table.formats.push_back(std::move(costs));
  }
  const Status checked = CheckCosts(table);
  if (!checked.ok()) return BadFormat(checked.message());
  return table;
}

Result<CostTable> ReadCostTable(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  Result<CostTable> table = ParseCostTable(text);
  if (!table.ok()) return table.status().WithContext(path);
  return table;
}

}  // namespace espalier
