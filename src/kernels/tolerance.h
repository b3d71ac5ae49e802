// Tolerance: how far a kernel's f32 sum may be from the exact one. For tests, benches and checks.
#ifndef ESPALIER_KERNELS_TOLERANCE_H_
#define ESPALIER_KERNELS_TOLERANCE_H_

#include <cstddef>

namespace espalier {

// Bound of |computed - exact| for y[r] = init[r] + sum w x over `nnz` stored weights in any order
// of summation, where row_norm = |init[r]| + sum |w x| (Higham 2002, Accuracy and Stability of
// Numerical Algorithms, eq. 3.5: each of the nnz + 1 operations on a term has a relative error
// below 2^-24).
inline double Tolerance(double row_norm, size_t nnz) {
  return row_norm * static_cast<double>(nnz + 1) * 0x1.0p-24 + 1e-37;
}

}  // namespace espalier

#endif  // ESPALIER_KERNELS_TOLERANCE_H_
