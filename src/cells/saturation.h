// Which gates of a cell tell that a row of its products need not be known: a gate at its end says
// the same whatever its sum is exactly, and shuts others out. For the cells that this is said of.
#ifndef ESPALIER_CELLS_SATURATION_H_
#define ESPALIER_CELLS_SATURATION_H_

#include <cmath>
#include <cstdint>
#include <limits>

#include "cells/cells.h"

namespace espalier {

struct Saturation {
  int64_t guard;      // the gate that lets the candidate in
  float shut_sign;    // of the guard's sum where it does not: 1 or -1
  int64_t candidate;  // a tanh; all other gates are sigmoids
  int64_t sum_gates;  // the first ones, which see only ax + ah
};

// c' = f c + i g
inline constexpr Saturation kLstmSaturation = {0, -1.0f, 2, 4};
// h' = (1 - z) n + z h; n sees r times a part of its sum.
inline constexpr Saturation kGruSaturation = {1, 1.0f, 2, 2};

// nullptr for another cell.
constexpr const Saturation* SaturationOf(CellKind cell) {
  switch (cell) {
    case CellKind::kLstmCell: return &kLstmSaturation;
    case CellKind::kGruCell:
    case CellKind::kGruResetBeforeCell: return &kGruSaturation;
    default: return nullptr;
  }
}

// The sum beyond which a gate is within `epsilon` of its end: sigmoid(s) > 1 - epsilon and
// sigmoid(-s) < epsilon, or 1 - tanh(s) < epsilon. Infinite for an epsilon of 0. Precondition:
// epsilon is in [0, 0.5].
inline float SaturationLimit(float epsilon, bool is_tanh) {
  if (epsilon == 0.0f) return std::numeric_limits<float>::infinity();
  const auto e = static_cast<double>(epsilon);
  return static_cast<float>(is_tanh ? std::log((2.0 - e) / e) / 2.0 : std::log((1.0 - e) / e));
}

}  // namespace espalier

#endif  // ESPALIER_CELLS_SATURATION_H_
