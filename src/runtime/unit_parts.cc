#include "runtime/unit_parts.h"

#include <algorithm>

namespace espalier {
namespace {

// A layer is cut between lines: units whose h is a cache line.
constexpr size_t kLine = 16;

// More than one lets a late thread be made up for; each costs a call of a kernel for each matrix,
// and a kernel of 8 bits rounds x in each.
size_t PartsPerThread(const FormatSpec& spec) { return spec.type == WeightType::kI8 ? 1 : 2; }

// The lines that a row group has rows of: all of [first, end), whichever of them it has.
struct Lines {
  uint32_t first = UINT32_MAX;
  uint32_t end = 0;
};

// Where the row groups of one matrix are.
class MatrixLines {
 public:
  MatrixLines(const EncodedView& matrix, size_t units, Arena* arena)
      : matrix_(matrix), groups_(RowGroups(matrix)), lines_(arena->Take<Lines>(groups_)) {
    if (lines_ == nullptr) return;
    std::fill_n(lines_, groups_, Lines());
    for (size_t row = 0; row < static_cast<size_t>(matrix.rows); ++row) {
      Lines& lines = lines_[GroupOfRow(matrix, static_cast<int64_t>(row))];
      const auto line = static_cast<uint32_t>(row % units / kLine);
      lines.first = std::min(lines.first, line);
      lines.end = std::max(lines.end, line + 1);
    }
  }

  bool MayCut(size_t line) const {
    return std::none_of(lines_, lines_ + groups_, [line](const Lines& lines) {
      return lines.first < line && line < lines.end;
    });
  }
  uint64_t WorkBeforeLine(size_t line) const {
    uint64_t work = 0;
    for (size_t group = 0; group < groups_; ++group) {
      if (lines_[group].first >= line) continue;
      work += WorkBefore(matrix_, group + 1) - WorkBefore(matrix_, group);
    }
    return work;
  }
  // Those of the lines [first, end). Returns false if they are in more pieces than a part may have.
  bool GroupsOf(size_t first, size_t end, PartGroups* part) const {
    for (size_t group = 0; group < groups_; ++group) {
      if (lines_[group].first < first || lines_[group].first >= end) continue;
      if (part->count > 0 && part->ranges[part->count - 1].end == group) {
        ++part->ranges[part->count - 1].end;
        continue;
      }
      if (part->count == PartGroups::kMostRanges) return false;
      part->ranges[part->count++] = {group, group + 1};
    }
    return true;
  }

 private:
  const EncodedView& matrix_;
  size_t groups_;
  Lines* lines_;
};

}  // namespace

UnitParts CutUnits(const EncodedView& input, const EncodedView& recurrent, size_t units,
                   size_t threads, Arena* arena) {
  const MatrixLines matrices[] = {{input, units, arena}, {recurrent, units, arena}};
  UnitParts parts;
  parts.per_thread = std::min(PartsPerThread(input.spec), PartsPerThread(recurrent.spec));
  parts.count = threads * parts.per_thread;
  size_t* cuts = arena->Take<size_t>(parts.count + 1);
  PartGroups* groups[] = {arena->Take<PartGroups>(parts.count),
                          arena->Take<PartGroups>(parts.count)};
  if (arena->counts()) return parts;
  // Kernels of this format write rows that are of no group.
  for (const EncodedView* matrix : {&input, &recurrent}) {
    if (matrix->spec.id == FormatId::k_compact) return UnitParts();
  }

  const size_t lines = (units + kLine - 1) / kLine;
  const auto work_before = [&](size_t line) {
    return matrices[0].WorkBeforeLine(line) + matrices[1].WorkBeforeLine(line);
  };
  // Each cut is the one that may be made which is nearest to equal work.
  const auto share = static_cast<double>(work_before(lines)) / static_cast<double>(parts.count);
  size_t part = 1;
  size_t last = 0;  // cut
  for (size_t line = 1; line <= lines && part < parts.count; ++line) {
    if (line < lines && !(matrices[0].MayCut(line) && matrices[1].MayCut(line))) continue;
    const auto past = [&](size_t at) {
      return static_cast<double>(work_before(at)) - share * static_cast<double>(part);
    };
    while (part < parts.count && past(line) >= 0.0) {
      cuts[part++] = -past(last) < past(line) ? last : line;
    }
    last = line;
  }
  cuts[parts.count] = lines;
  constexpr double kMostOfShare = 1.25;
  const double most = kMostOfShare * share * static_cast<double>(parts.per_thread);
  for (size_t first = 0; first < parts.count; first += parts.per_thread) {
    const uint64_t work = work_before(cuts[first + parts.per_thread]) - work_before(cuts[first]);
    if (static_cast<double>(work) > most) return UnitParts();
  }
  for (size_t i = 0; i < parts.count; ++i) {
    for (size_t m = 0; m < 2; ++m) {
      if (!matrices[m].GroupsOf(cuts[i], cuts[i + 1], &groups[m][i])) return UnitParts();
    }
  }
  for (size_t i = 0; i <= parts.count; ++i) cuts[i] = std::min(units, cuts[i] * kLine);
  parts.units = cuts;
  parts.input = groups[0];
  parts.recurrent = groups[1];
  return parts;
}

void MultiplyPart(const PartGroups& part, const Product& product, RowsAt x, RowsAt y, size_t count,
                  bool backward) {
  MatMulArgs args{x.data, x.stride, product.bias, y.data, y.stride, count};
  for (size_t i = 0; i < part.count; ++i) {
    const GroupRange& range = part.ranges[backward ? part.count - 1 - i : i];
    args.first_group = range.first;
    args.end_group = range.end;
    product.matmul(product.weight, args);
  }
}

}  // namespace espalier
