#include "report/bench_row.h"

#include "base/file.h"
#include "base/strings.h"
#include "report/json.h"

namespace espalier {
namespace {

Json RowJson(const BenchRow& row) {
  return {{"system", row.system},
          {"cell", row.cell},
          {"hidden", row.hidden},
          {"input", row.input},
          {"batch", row.batch},
          {"steps", row.steps},
          {"density", row.density},
          {"format", row.format},
          {"dtype", row.dtype},
          {"target", row.target},
          {"cache", CacheStateName(row.cache)},
          {"threads", row.threads},
          {"us_median", row.us.median},
          {"us_p25", row.us.p25},
          {"us_p75", row.us.p75},
          {"error", row.error},
          {"bytes", row.bytes},
          {"roofline_us", row.roofline_us}};
}

Status ReadCount(const ObjectReader& in, const std::string& key, int64_t* out) {
  ESPALIER_RETURN_IF_ERROR(in.Count(key, out));
  return *out >= 1 ? Ok() : in.Fail(key, "a whole number of at least 1");
}

// Above 0: the charts have logarithmic axes.
Status ReadTime(const ObjectReader& in, const std::string& key, double* out) {
  ESPALIER_RETURN_IF_ERROR(in.Number(key, out));
  return *out > 0.0 ? Ok() : in.Fail(key, "a time above 0");
}

Result<BenchRow> RowOf(const Json& json, const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader in, ObjectReader::Make(json, path));
  BenchRow row;
  ESPALIER_RETURN_IF_ERROR(in.Text("system", &row.system));
  ESPALIER_RETURN_IF_ERROR(in.Text("cell", &row.cell));
  ESPALIER_RETURN_IF_ERROR(ReadCount(in, "hidden", &row.hidden));
  ESPALIER_RETURN_IF_ERROR(ReadCount(in, "input", &row.input));
  ESPALIER_RETURN_IF_ERROR(ReadCount(in, "batch", &row.batch));
  ESPALIER_RETURN_IF_ERROR(ReadCount(in, "steps", &row.steps));
  ESPALIER_RETURN_IF_ERROR(in.Share("density", &row.density));
  if (row.density == 0.0) return in.Fail("density", "a share above 0");
  ESPALIER_RETURN_IF_ERROR(in.Text("format", &row.format));
  ESPALIER_RETURN_IF_ERROR(in.Text("dtype", &row.dtype));
  ESPALIER_RETURN_IF_ERROR(in.Text("target", &row.target));
  std::string cache;  // rows of before have none
  ESPALIER_RETURN_IF_ERROR(in.TextOr("cache", CacheStateName(row.cache), &cache));
  const std::optional<CacheState> state = FindCacheState(cache);
  if (!state) return in.Fail("cache", "warm or cold");
  row.cache = *state;
  ESPALIER_RETURN_IF_ERROR(ReadCount(in, "threads", &row.threads));
  ESPALIER_RETURN_IF_ERROR(ReadTime(in, "us_median", &row.us.median));
  ESPALIER_RETURN_IF_ERROR(ReadTime(in, "us_p25", &row.us.p25));
  ESPALIER_RETURN_IF_ERROR(ReadTime(in, "us_p75", &row.us.p75));
  ESPALIER_RETURN_IF_ERROR(in.Number("error", &row.error));
  int64_t count = 0;
  ESPALIER_RETURN_IF_ERROR(in.Count("bytes", &count));
  row.bytes = static_cast<uint64_t>(count);
  ESPALIER_RETURN_IF_ERROR(ReadTime(in, "roofline_us", &row.roofline_us));
  return row;
}

}  // namespace

std::string BenchRowsJson(const std::vector<BenchRow>& rows) {
  Json json = Json::array();
  for (const BenchRow& row : rows) json.push_back(RowJson(row));
  return PrintJson(json, -1);
}

Result<std::vector<BenchRow>> ParseBenchRows(std::string_view text) {
  ESPALIER_ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  if (!json.is_array() || json.empty()) {
    return BadFormat(StrCat("an array of at least 1 row expected, ",
                            json.is_array() ? "none" : DescribeJson(json), " found"));
  }
  std::vector<BenchRow> rows;
  for (size_t i = 0; i < json.size(); ++i) {
    ESPALIER_ASSIGN_OR_RETURN(BenchRow row, RowOf(json[i], StrCat("row ", i)));
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<std::vector<BenchRow>> ReadBenchRows(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  Result<std::vector<BenchRow>> rows = ParseBenchRows(text);
  if (!rows.ok()) return rows.status().WithContext(path);
  return rows;
}

}  // namespace espalier
