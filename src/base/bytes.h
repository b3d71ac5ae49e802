// Bounds-checked little-endian readers and writers: every byte that comes from a file passes here.
#ifndef ESPALIER_BASE_BYTES_H_
#define ESPALIER_BASE_BYTES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/status.h"
#include "base/strings.h"

namespace espalier {

static_assert(std::endian::native == std::endian::little, "big-endian hosts are not supported");

// Reads plain values from a span it does not own. Every read names its field, so that the error for
// a short file says which one: "header.version: 4 bytes expected at offset 8, 2 left".
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }

  template <typename T>
  Status Read(std::string_view field, T* out) {
    static_assert(std::is_trivially_copyable_v<T>);
    ESPALIER_RETURN_IF_ERROR(Need(field, sizeof(T)));
    std::memcpy(out, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return Ok();
  }

  // A view of the next `size_bytes` bytes.
  Status ReadBytes(std::string_view field, size_t size_bytes, std::span<const std::byte>* out) {
    ESPALIER_RETURN_IF_ERROR(Need(field, size_bytes));
    *out = bytes_.subspan(offset_, size_bytes);
    offset_ += size_bytes;
    return Ok();
  }

  // A u32 length and that many bytes of UTF-8; `max_bytes` bounds what a damaged length may ask
  // for.
  Status ReadString(std::string_view field, size_t max_bytes, std::string* out);

  Status Seek(std::string_view field, size_t offset) {
    if (offset > bytes_.size()) {
      return BadFormat(
          StrCat(field, ": offset ", offset, " is past the end (", bytes_.size(), " bytes)"));
    }
    offset_ = offset;
    return Ok();
  }

 private:
  Status Need(std::string_view field, size_t size_bytes) const {
    if (size_bytes <= remaining()) return Ok();
    return BadFormat(StrCat(field, ": ", size_bytes, " bytes expected at offset ", offset_, ", ",
                            remaining(), " left"));
  }

  std::span<const std::byte> bytes_;
  size_t offset_ = 0;
};

class ByteWriter {
 public:
  size_t size() const { return bytes_.size(); }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  std::vector<std::byte> Take() { return std::move(bytes_); }

  template <typename T>
  void Write(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    WriteBytes(std::as_bytes(std::span<const T, 1>(&value, 1)));
  }
  void WriteBytes(std::span<const std::byte> data) {
    bytes_.insert(bytes_.end(), data.begin(), data.end());
  }
  void WriteString(std::string_view text) {
    Write(static_cast<uint32_t>(text.size()));
    WriteBytes(std::as_bytes(std::span<const char>(text.data(), text.size())));
  }
  void PadTo(size_t multiple) {
    while (bytes_.size() % multiple != 0) bytes_.push_back(std::byte{0});
  }
  // Overwrites a value written earlier, e.g. an offset that was not known yet.
  template <typename T>
  void WriteAt(size_t offset, const T& value) {
    std::memcpy(bytes_.data() + offset, &value, sizeof(T));
  }

 private:
  std::vector<std::byte> bytes_;
};

// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), as used by iSCSI (RFC 3720).
uint32_t Crc32c(std::span<const std::byte> bytes);

}  // namespace espalier

#endif  // ESPALIER_BASE_BYTES_H_
