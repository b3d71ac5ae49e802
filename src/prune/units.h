// Choosing hidden units: their scores, the keep-set, and its masks.
#ifndef ESPALIER_PRUNE_UNITS_H_
#define ESPALIER_PRUNE_UNITS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/tensor.h"
#include "prune/allocation.h"
#include "prune/coupling.h"
#include "prune/criterion.h"

namespace espalier {

// One score a group, of all rows and columns of its matrices, each weight counted once, biases not
// at all: for kNorm the group norm, sqrt of the sum of squared saliencies (structure of Wen et al.
// 2018, arXiv:1709.05027, where each W_hh[k, k] counts twice), else their sum, or its size.
// Precondition: not kSquaredSum, which saliencies do not tell.
// saliency: by weight name, [rows, cols]; a weight that is not there counts 0.
std::vector<float> UnitScores(const Coupling& coupling, Grouping grouping,
                              const std::map<std::string, std::vector<float>>& saliency);

// 1 for the groups that may go: with units, all of them of layers that are chosen ([layers], 1 =
// chosen), and not pinned.
Keep RemovableGroups(const Coupling& coupling, const std::vector<uint8_t>& layers);

struct UnitSelection {
  const Allocation* allocation = nullptr;
  Budget budget;                // sparsity = share of the candidate layers' units that goes
  int64_t multiple = 1;         // each layer keeps a multiple of this, or all; e.g. 8 for SIMD
  std::vector<uint8_t> layers;  // [layers]: 1 = its units may go; empty = all
  Keep alive;                   // [groups]: 0 = gone before; empty = all are there
  std::vector<Pool> pools;      // as UnitPools gives them, with what the allocation needs; or empty
};

// The units that compete with each other, without pieces: those of each layer, and those that Add
// joins over the same layers. Their sizes count units. layers: as UnitSelection's.
std::vector<Pool> UnitPools(const Coupling& coupling, const std::vector<uint8_t>& layers);

// The groups that compete in each of those pools, pinned ones too.
std::vector<std::vector<int32_t>> GroupsOfPools(const Coupling& coupling,
                                                const std::vector<uint8_t>& layers);

// Keeps the best groups of each layer, or over all, as the allocation says. A group that joins
// layers counts once for each of its units. What was gone stays gone, unless that leaves no graph.
// The result passes ValidateKeep: where a layer would be left with no unit, directions would
// differ or `multiple` is missed, more is kept.
Keep SelectUnits(const Coupling& coupling, const std::vector<float>& scores,
                 const UnitSelection& selection);

// Adds the best missing groups (of empty values first) until ValidateKeep passes and every layer
// keeps a multiple of `multiple` units, or all.
void BalanceUnits(const Coupling& coupling, const std::vector<float>& scores, int64_t multiple,
                  Keep* keep);

// The masks of every weight that loses a slice, biases included: 0 on all rows and columns of the
// removed groups.
MaskSet UnitMasks(const Coupling& coupling, const Keep& keep);

// The inverse: 0 for a group with units of which no element, biases included, is kept in `masks`; a
// weight without a mask is kept. Precondition: masks have their weights' shapes.
Keep AliveGroups(const Coupling& coupling, const MaskSet& masks);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_UNITS_H_
