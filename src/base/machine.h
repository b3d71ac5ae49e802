// What a measurement names about the machine it ran on.
#ifndef ESPALIER_BASE_MACHINE_H_
#define ESPALIER_BASE_MACHINE_H_

#include <string>

namespace espalier {

// "model name" of /proc/cpuinfo, or "unknown".
std::string CpuName();

}  // namespace espalier

#endif  // ESPALIER_BASE_MACHINE_H_
