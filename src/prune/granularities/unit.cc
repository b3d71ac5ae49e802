#include "prune/granularity.h"

namespace espalier::granularities {

const Granularity unit = {
    "unit",
    "all weights of one hidden unit (coupling.h); sqrt(sum of squared saliencies)",
    "Wen et al. 2018, arXiv:1709.05027",
    Tile::kNone,
    Extent::kUnits,
    Domain::kMatrices,
    nullptr,
    nullptr};

}  // namespace espalier::granularities
