#include "base/caches.h"

#include <cstddef>

namespace espalier {

void CacheEvictor::Evict() {
  constexpr size_t kBytes = size_t{64} << 20;
  constexpr size_t kLineWords = 64 / sizeof(uint64_t);
  if (words_.empty()) words_.resize(kBytes / sizeof(uint64_t), 1);
  for (size_t i = 0; i < words_.size(); i += kLineWords) ++words_[i];
}

}  // namespace espalier
