// AlignedBuffer<T>: an owning array on a 64-byte boundary with kPaddingBytes readable bytes after
// its last element, so that a kernel may load a whole vector over the end.
#ifndef ESPALIER_BASE_ALIGNED_BUFFER_H_
#define ESPALIER_BASE_ALIGNED_BUFFER_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace espalier {

inline constexpr size_t kAlignmentBytes = 64;  // a cache line, and the widest vector (AVX-512)
inline constexpr size_t kPaddingBytes = 64;    // part of every kernel's contract: reads only

inline constexpr size_t RoundUp(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  // Allocates `size` zeroed elements. Throws std::bad_alloc (rooms catch it at their edge).
  explicit AlignedBuffer(size_t size) : size_(size) {
    if (size == 0) return;
    const size_t bytes = RoundUp(size * sizeof(T) + kPaddingBytes, kAlignmentBytes);
    data_ = static_cast<T*>(::operator new(bytes, std::align_val_t(kAlignmentBytes)));
    std::memset(static_cast<void*>(data_), 0, bytes);
  }
  AlignedBuffer(const AlignedBuffer& other) : AlignedBuffer(other.size_) {
    std::copy(other.begin(), other.end(), begin());
  }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AlignedBuffer() {
    if (data_ != nullptr) ::operator delete(data_, std::align_val_t(kAlignmentBytes));
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator std::span<T>() { return {data_, size_}; }
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator std::span<const T>() const { return {data_, size_}; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace espalier

#endif  // ESPALIER_BASE_ALIGNED_BUFFER_H_
