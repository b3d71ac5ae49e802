// Checks an artifact's golden sample on this machine.
#ifndef ESPALIER_RUNTIME_GOLDEN_H_
#define ESPALIER_RUNTIME_GOLDEN_H_

#include <string>

#include "artifact/artifact.h"
#include "base/status.h"

namespace espalier {

// Runs the golden sample on `target` ("" for the best) and compares every output value with the one
// kept in the file: at most kGoldenTolerance (kGoldenI8Tolerance
// if a matrix is of type i8) * max(1, largest |expected| of that output) apart.
// Errors: kInvalidArgument if the artifact carries none; kInternal naming the first output value
// that is off; what Session::Create says.
Status CheckGolden(const Artifact& artifact, const std::string& target);

// f32 against a reference that sums in double, through a few steps of every layer: observed 1e-6;
// a wrong kernel or a wrong gate is off by far more than this.
inline constexpr double kGoldenTolerance = 1e-4;
// Where kernels round x to 8 bits, a rounding of f32 may carry a number of x over to the next:
// 1/127 of the largest x times one weight, in some of them.
inline constexpr double kGoldenI8Tolerance = 1e-2;

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_GOLDEN_H_
