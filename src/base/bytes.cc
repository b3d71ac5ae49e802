#include "base/bytes.h"

#include <array>

namespace espalier {
namespace {

constexpr std::array<std::array<uint32_t, 256>, 8> MakeTables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0x82f63b78u : 0u);
    tables[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; ++i) {
    for (size_t t = 1; t < 8; ++t) {
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 255u];
    }
  }
  return tables;
}

constexpr std::array<std::array<uint32_t, 256>, 8> kTables = MakeTables();

}  // namespace

Status ByteReader::ReadString(std::string_view field, size_t max_bytes, std::string* out) {
  uint32_t size_bytes = 0;
  ESPALIER_RETURN_IF_ERROR(Read(field, &size_bytes));
  if (size_bytes > max_bytes) {
    return BadFormat(StrCat(field, ": a text of at most ", max_bytes, " bytes expected, ",
                            size_bytes, " found"));
  }
  std::span<const std::byte> text;
  ESPALIER_RETURN_IF_ERROR(ReadBytes(field, size_bytes, &text));
  out->assign(reinterpret_cast<const char*>(text.data()), text.size());
  if (IsUtf8(*out)) return Ok();
  return BadFormat(StrCat(field, ": a text in UTF-8 expected, other bytes found at offset ",
                          offset_ - size_bytes));
}

// Slicing-by-8 (Kounavis and Berry 2005): about 1 byte per cycle, enough to check an artifact once.
uint32_t Crc32c(std::span<const std::byte> bytes) {
  uint32_t crc = ~0u;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    word ^= crc;
    crc = 0;
    for (size_t t = 0; t < 8; ++t) crc ^= kTables[7 - t][(word >> (8 * t)) & 255u];
  }
  for (; i < bytes.size(); ++i) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<uint32_t>(bytes[i])) & 255u];
  }
  return ~crc;
}

}  // namespace espalier
