// What a measurement names about the machine it ran on, and how many threads one may ask for.
#ifndef ESPALIER_BASE_MACHINE_H_
#define ESPALIER_BASE_MACHINE_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace espalier {

// Of one session, pool, training or system on a bench.
inline constexpr int kMostThreads = 64;

// The CPU in a text like Linux's /proc/cpuinfo: its "model name"; on 64-bit ARM, where there is
// none, the board's "Model", or else the codes of its maker and part ("ARM 0x41 0xd0c"); or
// "unknown".
std::string CpuNameIn(std::string_view cpuinfo);
// Of this machine's /proc/cpuinfo.
std::string CpuName();

// Of a size as Linux gives those of caches: "512K", "2M"; 0 for anything else.
size_t CacheBytesOf(std::string_view size);
// Bytes of the cache behind a core's L1: what the system says of L2, or 512 KB where it says
// nothing.
size_t NearCacheBytes();

}  // namespace espalier

#endif  // ESPALIER_BASE_MACHINE_H_
