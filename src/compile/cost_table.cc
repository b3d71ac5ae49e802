#include "compile/cost_table.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <tuple>

#include "artifact/artifact.h"
#include "base/strings.h"
#include "formats/compact.h"
#include "formats/row_scales.h"

namespace espalier {
namespace {

constexpr double kMostNs = 1e15;  // eleven days; sums of it stay finite

// The sizes by which points are sorted, in this order.
constexpr int64_t CostPoint::*kSizes[] = {&CostPoint::count, &CostPoint::rows, &CostPoint::cols,
                                          &CostPoint::bytes};
constexpr size_t kBytes = 3;

// ns of `wanted` by points that are equal in the sizes before `axis`. Precondition: there are some.
double NsAt(std::span<const CostPoint> points, const CostPoint& wanted, size_t axis) {
  if (axis == std::size(kSizes)) return points[0].ns;
  const auto size = kSizes[axis];
  double x = static_cast<double>(wanted.*size);
  if (axis == kBytes) {
    x *= static_cast<double>(points[0].rows) / static_cast<double>(wanted.rows);
    x *= static_cast<double>(points[0].cols) / static_cast<double>(wanted.cols);
  }
  const auto at = [&](size_t i) { return static_cast<double>(points[i].*size); };
  // Of the points as large as point `i`.
  const auto ns_of = [&](size_t i) {
    size_t begin = i;
    size_t end = i + 1;
    while (begin > 0 && at(begin - 1) == at(i)) --begin;
    while (end < points.size() && at(end) == at(i)) ++end;
    return NsAt(points.subspan(begin, end - begin), wanted, axis + 1);
  };
  size_t right = 0;
  while (right < points.size() && at(right) < x) ++right;
  if (right == 0) return ns_of(0);
  const double left_ns = ns_of(right - 1);
  if (right == points.size()) return axis == kBytes ? left_ns : left_ns * x / at(right - 1);
  const double share = (x - at(right - 1)) / (at(right) - at(right - 1));
  return left_ns + share * (ns_of(right) - left_ns);
}

Status CheckFormat(const FormatCosts& costs) {
  const std::string name = StrCat("costs of ", FormatName(costs.format));
  if (costs.points.empty()) return InvalidArgument(name + ": points expected, none found");
  const CostPoint* before = nullptr;
  for (size_t i = 0; i < costs.points.size(); ++i) {
    const CostPoint& point = costs.points[i];
    const std::string place = StrCat(name, ", point ", i);
    for (const auto size : kSizes) {
      if (point.*size >= 1) continue;
      return InvalidArgument(
          StrCat(place, ": sizes of at least 1 expected, ", point.*size, " found"));
    }
    if (!(point.ns > 0.0 && point.ns <= kMostNs)) {
      return InvalidArgument(StrCat(place, ": a time above 0 and at most ", kMostNs, " expected, ",
                                    point.ns, " found"));
    }
    const auto key = [](const CostPoint& p) {
      return std::tuple(p.count, p.rows, p.cols, p.bytes);
    };
    if (before != nullptr && key(point) <= key(*before)) {
      return InvalidArgument(place + ": sizes above those of the point before it expected");
    }
    before = &point;
  }
  return Ok();
}

}  // namespace

std::optional<double> CostTable::Lookup(const EncodedView& matrix, int64_t count) const {
  CostPoint wanted{count, matrix.rows, matrix.cols, static_cast<int64_t>(matrix.bytes.size()), 0.0};
  if (matrix.spec.id == FormatId::k_compact) {
    const CompactView left = ViewCompact(BodyOf(matrix));
    wanted.rows = std::max<int64_t>(1, static_cast<int64_t>(left.row_count));
    wanted.cols = std::max<int64_t>(1, static_cast<int64_t>(left.col_count));
  }
  for (const FormatCosts& costs : formats) {
    if (costs.format == matrix.spec) {
      return NsAt(costs.points, wanted, 0) / static_cast<double>(count);
    }
  }
  return std::nullopt;
}

Status CheckCostName(const char* what, const std::string& name) {
  if (!name.empty() && name.size() <= kMaxTextBytes) return Ok();
  return InvalidArgument(StrCat("costs: ", what, " of 1 to ", kMaxTextBytes, " bytes expected, ",
                                name.size(), " bytes found"));
}

Status CheckCosts(const CostTable& table) {
  ESPALIER_RETURN_IF_ERROR(CheckCostName("the name of a CPU", table.cpu));
  ESPALIER_RETURN_IF_ERROR(CheckCostName("an instruction set", table.target));
  std::vector<FormatSpec> seen;
  for (const FormatCosts& costs : table.formats) {
    ESPALIER_RETURN_IF_ERROR(CheckFormat(costs));
    if (std::find(seen.begin(), seen.end(), costs.format) != seen.end()) {
      return InvalidArgument(StrCat("costs of ", FormatName(costs.format), ": found twice"));
    }
    seen.push_back(costs.format);
  }
  const bool has_dense = std::find(seen.begin(), seen.end(), FormatSpec()) != seen.end();
  return has_dense ? Ok() : InvalidArgument("costs: those of dense expected, none found");
}

}  // namespace espalier
