// Arena: cuts one run of memory into the pieces of a session. Over nothing it only adds up, so the
// same code says how much there will be and then makes it.
#ifndef ESPALIER_RUNTIME_ARENA_H_
#define ESPALIER_RUNTIME_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <memory>
#include <type_traits>

#include "base/aligned_buffer.h"

namespace espalier {

class Arena {
 public:
  // More than any address space: sizes past it are not told apart.
  static constexpr size_t kMostBytes = size_t{1} << 60;

  // Counts.
  Arena() = default;
  // Hands out `memory`, which begins on a multiple of kAlignmentBytes, is all 0 and has room for
  // what was counted.
  explicit Arena(std::byte* memory) : memory_(memory) {}

  // `count` zeroed objects on a multiple of kAlignmentBytes, with kPaddingBytes after the last that
  // belong to nobody else; nullptr while counting. Precondition: count * sizeof(T) < kMostBytes.
  template <typename T>
  T* Take(size_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= kAlignmentBytes);
    std::byte* piece = memory_ == nullptr ? nullptr : memory_ + bytes_;
    const size_t bytes = RoundUp(count * sizeof(T) + kPaddingBytes, kAlignmentBytes);
    bytes_ = std::min(bytes_ + bytes, kMostBytes);
    if (piece == nullptr) return nullptr;
    T* objects = reinterpret_cast<T*>(piece);
    std::uninitialized_value_construct_n(objects, count);
    return objects;
  }

  bool counts() const { return memory_ == nullptr; }
  // What was taken so far.
  size_t bytes() const { return bytes_; }

 private:
  std::byte* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_ARENA_H_
