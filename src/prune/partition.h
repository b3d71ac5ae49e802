// Partitions that several granularities share.
#ifndef ESPALIER_PRUNE_PARTITION_H_
#define ESPALIER_PRUNE_PARTITION_H_

#include <cstdint>
#include <span>

#include "prune/granularity.h"

namespace espalier {

// One piece for each label with elements that are alive, scored by their mean saliency. label_of:
// [rows, cols], from 0 on, each below `labels`.
Partition PartitionByLabel(const SaliencyView& view, std::span<const int32_t> label_of,
                           int32_t labels);

// Pieces are single weights, so ordered that every budget keeps equally many in every bank, or in
// some one more: first the largest of each bank, then the second of each, and so on; of each such
// round the larger first. All of a round are scored by its mean, which never rises from one round
// to the next, so an allocation that ranks tensors together sees how much a round is worth and
// still cuts each tensor round by round. bank_of: [rows, cols], from 0 on, each below `banks`.
Partition PartitionBalanced(const SaliencyView& view, std::span<const int32_t> bank_of,
                            int32_t banks);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_PARTITION_H_
