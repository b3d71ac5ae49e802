#include "report/sensitivity.h"

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/strings.h"
#include "report/charts.h"
#include "report/json.h"
#include "report/page.h"

namespace espalier {
namespace {

constexpr char kVersionKey[] = "espalier_sensitivity";
constexpr size_t kHeight = 360;

Json JsonOf(const SensitivityCurve& curve) {
  Json points = Json::array();
  for (const SensitivityPoint& point : curve.points) {
    points.push_back({point.sparsity, point.loss, point.metric});
  }
  return {{"pool", curve.pool}, {"size", curve.size}, {"points", std::move(points)}};
}

Result<SensitivityCurve> ReadCurve(const Json& json, const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader in, ObjectReader::Make(json, path));
  SensitivityCurve curve;
  ESPALIER_RETURN_IF_ERROR(in.Text("pool", &curve.pool));
  ESPALIER_RETURN_IF_ERROR(in.Count("size", &curve.size));
  const Json* points = nullptr;
  ESPALIER_RETURN_IF_ERROR(in.Array("points", &points));
  for (const Json& point : *points) {
    const auto is_number = [](const Json& value) { return value.is_number(); };
    const double least = curve.points.empty() ? 0.0 : curve.points.back().sparsity;
    const bool good =
        point.is_array() && point.size() == 3 && std::all_of(point.begin(), point.end(), is_number);
    const double sparsity = good ? point[0].get<double>() : -1.0;
    if (!(curve.points.empty() ? sparsity == 0.0 : sparsity > least && sparsity < 1.0)) {
      return BadFormat(StrCat(in.PathOf("points"), "[", curve.points.size(),
                              "]: [sparsity, loss, metric] with sparsities that rise from 0 "
                              "expected, ",
                              DescribeJson(point), " found"));
    }
    curve.points.push_back({sparsity, point[1].get<double>(), point[2].get<double>()});
  }
  if (!curve.points.empty()) return curve;
  return BadFormat(in.PathOf("points") + ": at least 1 point expected, none found");
}

// `field` of all points over their sparsity.
Chart CurveChart(const SensitivityScan& scan, const std::string& title,
                 double SensitivityPoint::*field) {
  Chart chart;
  chart.title = title;
  chart.description =
      title + " over the sparsity of one tensor, all others dense; one line for each";
  Json values = Json::array();
  for (const SensitivityCurve& curve : scan.curves) {
    for (const SensitivityPoint& point : curve.points) {
      values.push_back(
          {{"pool", curve.pool}, {"sparsity", point.sparsity}, {"value", point.*field}});
    }
  }
  const auto axis = [](const char* name, const std::string& label) -> Json {
    return {
        {"field", name}, {"type", "quantitative"}, {"title", label}, {"scale", {{"zero", false}}}};
  };
  chart.spec = NewSpec(chart.description, kHeight);
  chart.spec["data"] = {{"values", std::move(values)}};
  chart.spec["mark"] = {{"type", "line"}, {"point", true}, {"tooltip", true}};
  chart.spec["encoding"] = {
      {"x", axis("sparsity", "sparsity, share of the weights that goes")},
      {"y", axis("value", title)},
      {"color", {{"field", "pool"}, {"type", "nominal"}, {"title", nullptr}}}};
  return chart;
}

}  // namespace

std::string SensitivityJson(const SensitivityScan& scan) {
  Json curves = Json::array();
  for (const SensitivityCurve& curve : scan.curves) curves.push_back(JsonOf(curve));
  const Json json = {{kVersionKey, kSensitivityVersion},
                     {"criterion", scan.criterion},
                     {"granularity", scan.granularity},
                     {"per", scan.per},
                     {"curves", std::move(curves)}};
  return PrintJson(json, -1) + "\n";
}

Result<SensitivityScan> ParseSensitivity(std::string_view text) {
  ESPALIER_ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader in, ObjectReader::Make(json, ""));
  int64_t version = 0;
  ESPALIER_RETURN_IF_ERROR(in.Count(kVersionKey, &version));
  if (version != kSensitivityVersion) {
    return Unsupported(
        StrCat(kVersionKey, ": version ", kSensitivityVersion, " expected, ", version, " found"));
  }
  SensitivityScan scan;
  ESPALIER_RETURN_IF_ERROR(in.Text("criterion", &scan.criterion));
  ESPALIER_RETURN_IF_ERROR(in.Text("granularity", &scan.granularity));
  ESPALIER_RETURN_IF_ERROR(in.Text("per", &scan.per));
  const Json* curves = nullptr;
  ESPALIER_RETURN_IF_ERROR(in.Array("curves", &curves));
  for (size_t i = 0; i < curves->size(); ++i) {
    ESPALIER_ASSIGN_OR_RETURN(SensitivityCurve curve,
                              ReadCurve((*curves)[i], StrCat("curves[", i, "]")));
    scan.curves.push_back(std::move(curve));
  }
  return scan;
}

Result<SensitivityScan> ReadSensitivity(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  Result<SensitivityScan> scan = ParseSensitivity(text);
  if (!scan.ok()) return scan.status().WithContext(path);
  return scan;
}

std::string SensitivityHtml(const SensitivityScan& scan, const std::string& title,
                            const std::string& metric, const std::string& version,
                            const ChartLibraries& libraries) {
  PageWriter page(title, "espalier sensitivity",
                  StrCat("One tensor or gate at a time, pruned by ", scan.criterion, " in ",
                         scan.granularity, ", on the validation split, without fine-tuning."));
  page.OpenSection("curves", "Over sparsity", "A level line costs nothing to prune.");
  page.Charts({CurveChart(scan, "loss", &SensitivityPoint::loss),
               CurveChart(scan, metric, &SensitivityPoint::metric)},
              "stack");
  page.CloseSection();
  return page.Finish(StrCat(version, " from one scan alone."), libraries);
}

}  // namespace espalier
