#include "report/base64.h"

#include <algorithm>

namespace espalier {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string Base64Encode(std::span<const uint8_t> bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = 0;
    for (size_t k = 0; k < count; ++k) word |= static_cast<uint32_t>(bytes[i + k]) << (16 - 8 * k);
    for (size_t k = 0; k < 4; ++k) {
      text += k <= count ? kAlphabet[word >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

std::optional<std::vector<uint8_t>> Base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const size_t padding = !last || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    uint32_t word = 0;
    for (size_t k = 0; k < 4 - padding; ++k) {
      const size_t digit = kAlphabet.find(text[i + k]);
      if (digit == std::string_view::npos) return std::nullopt;
      word |= static_cast<uint32_t>(digit) << (18 - 6 * k);
    }
    for (size_t k = 0; k < 3; ++k) {
      const auto byte = static_cast<uint8_t>(word >> (16 - 8 * k) & 255);
      if (k < 3 - padding) {
        bytes.push_back(byte);
      } else if (byte != 0) {
        return std::nullopt;  // bits under the padding: not canonical
      }
    }
  }
  return bytes;
}

}  // namespace espalier
