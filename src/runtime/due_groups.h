// Products of some row groups of a matrix.
#ifndef ESPALIER_RUNTIME_DUE_GROUPS_H_
#define ESPALIER_RUNTIME_DUE_GROUPS_H_

#include <cstddef>

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

// y = W x + b of `count` rows, for the row groups of W, `groups` in all, of which is_due(group);
// others of y may be written, too. Returns the multiply-adds.
template <typename IsDue>
size_t MultiplyDue(const Product& product, size_t groups, ThreadTeam* team, const RowBuffer& x,
                   const RowBuffer& y, size_t count, const IsDue& is_due) {
  const FormatSpec& spec = product.weight.spec;
  const auto multiply = [&](size_t begin, size_t end) {
    EachDue(spec, begin, end, is_due, [&](size_t first, size_t stop) {
      product.matmul(product.weight,
                     {x.data, x.stride, product.bias, y.data, y.stride, count, first, stop});
    });
  };
  if (product.IsShared(team, count)) {
    team->For(ChunksPerThread(spec),
              [&](size_t chunk) { multiply(product.cuts[chunk], product.cuts[chunk + 1]); });
  } else {
    multiply(0, groups);
  }
  size_t work = 0;
  EachDue(spec, 0, groups, is_due, [&](size_t first, size_t stop) {
    work += count * (WorkBefore(product.weight, stop) - WorkBefore(product.weight, first));
  });
  return work;
}

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_DUE_GROUPS_H_
