// Caches, as they matter to a measurement.
#ifndef ESPALIER_BASE_CACHES_H_
#define ESPALIER_BASE_CACHES_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace espalier {

// Where weights are when a time is taken.
enum class CacheState {
  kWarm,  // where the call before left them: a network that runs all the time
  kCold,  // out of a core's own caches: a network that runs now and then, after other work
};

constexpr std::string_view CacheStateName(CacheState state) {
  return state == CacheState::kCold ? "cold" : "warm";
}

inline std::optional<CacheState> FindCacheState(std::string_view name) {
  for (const CacheState state : {CacheState::kWarm, CacheState::kCold}) {
    if (CacheStateName(state) == name) return state;
  }
  return std::nullopt;
}

// Takes what others have in the caches out of them, by touching 64 MB: twice the last level of a
// large desktop part. (What a server's last level holds beyond that stays there.) The first call
// allocates them.
class CacheEvictor {
 public:
  void Evict();

 private:
  std::vector<uint64_t> words_;
};

}  // namespace espalier

#endif  // ESPALIER_BASE_CACHES_H_
