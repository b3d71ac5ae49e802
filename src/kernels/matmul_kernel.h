// MatMulKernel: what the .cc of a matrix kernel provides to the table of its target.
#ifndef ESPALIER_KERNELS_MATMUL_KERNEL_H_
#define ESPALIER_KERNELS_MATMUL_KERNEL_H_

#include "kernels/kernels.h"

namespace espalier {

struct MatMulKernel {
  FormatSpec spec;
  const char* name;  // docs/kernel-names.md; static storage
  MatMulFn run;
};

}  // namespace espalier

#endif  // ESPALIER_KERNELS_MATMUL_KERNEL_H_
