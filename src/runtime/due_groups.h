// Products of some row groups of a matrix.
#ifndef ESPALIER_RUNTIME_DUE_GROUPS_H_
#define ESPALIER_RUNTIME_DUE_GROUPS_H_

#include <bit>
#include <cstddef>
#include <cstring>

#include "runtime/operation.h"

namespace espalier {

// Calls visit(first, end) for the row groups of [begin, end) that are to be multiplied, piece by
// piece: those of which is_due(group); in one piece where each call rounds or gathers x.
template <typename IsDue, typename Visit>
void EachDue(const FormatSpec& spec, size_t begin, size_t end, const IsDue& is_due,
             const Visit& visit) {
  while (begin < end && !is_due(begin)) ++begin;
  if (begin == end) return;
  if (spec.type == WeightType::kI8 || spec.id == FormatId::k_compact) {
    while (!is_due(end - 1)) --end;
    visit(begin, end);
    return;
  }
  while (begin < end) {
    size_t stop = begin + 1;
    while (stop < end && is_due(stop)) ++stop;
    visit(begin, stop);
    begin = stop;
    while (begin < end && !is_due(begin)) ++begin;
  }
}

// Calls multiply(begin, end) for all groups, cut among the team's threads if that pays.
template <typename Multiply>
void EachChunk(const Product& product, size_t groups, ThreadTeam* team, size_t count,
               const Multiply& multiply) {
  if (product.IsShared(team, count)) {
    team->For(ChunksPerThread(product.weight.spec),
              [&](size_t chunk) { multiply(product.cuts[chunk], product.cuts[chunk + 1]); });
  } else {
    multiply(0, groups);
  }
}

// y = W x + b of `count` rows, for the row groups of W, `groups` in all, of which is_due(group);
// others of y may be written, too. Returns the multiply-adds.
template <typename IsDue>
size_t MultiplyDue(const Product& product, size_t groups, ThreadTeam* team, RowsAt x, RowsAt y,
                   size_t count, const IsDue& is_due) {
  const FormatSpec& spec = product.weight.spec;
  const auto multiply = [&](size_t begin, size_t end) {
    EachDue(spec, begin, end, is_due, [&](size_t first, size_t stop) {
      product.matmul(product.weight,
                     {x.data, x.stride, product.bias, y.data, y.stride, count, first, stop});
    });
  };
  EachChunk(product, groups, team, count, multiply);
  size_t work = 0;
  EachDue(spec, 0, groups, is_due, [&](size_t first, size_t stop) {
    work += count * (WorkBefore(product.weight, stop) - WorkBefore(product.weight, first));
  });
  return work;
}

// The same of those where due[group], 0 or 1, is not 0.
inline size_t MultiplyDue(const Product& product, size_t groups, ThreadTeam* team, RowsAt x,
                          RowsAt y, size_t count, const uint8_t* due) {
  if (product.weight.spec.id != FormatId::k_rows) {
    return MultiplyDue(product, groups, team, x, y, count,
                       [due](size_t group) { return due[group] != 0; });
  }
  EachChunk(product, groups, team, count, [&](size_t begin, size_t end) {
    product.matmul(product.weight,
                   {x.data, x.stride, product.bias, y.data, y.stride, count, begin, end, due});
  });
  size_t rows = 0, group = 0;
  for (uint64_t eight = 0; group + sizeof(eight) <= groups; group += sizeof(eight)) {
    std::memcpy(&eight, due + group, sizeof(eight));  // each 0 or 1
    rows += static_cast<size_t>(std::popcount(eight));
  }
  for (; group < groups; ++group) rows += due[group];
  return count * rows * static_cast<size_t>(product.weight.cols);
}

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_DUE_GROUPS_H_
