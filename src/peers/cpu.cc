#include "peers/cpu.h"

namespace espalier {

int WeightLimitOfThisCpu() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") ? 127 : 63;
#else
  return 127;
#endif
}

bool HasBf16Products() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

}  // namespace espalier
