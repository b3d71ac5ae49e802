// matvec_generic_f32: any format on any target, one stored weight at a time. Slow: it makes a new
// format usable, and is what a kernel of that format is compared with.
#ifndef ESPALIER_KERNELS_GENERIC_H_
#define ESPALIER_KERNELS_GENERIC_H_

#include "kernels/kernels.h"

namespace espalier {

// A MatMulFn for every format.
void MatVecGeneric(const EncodedView& matrix, const MatMulArgs& args);

}  // namespace espalier

#endif  // ESPALIER_KERNELS_GENERIC_H_
