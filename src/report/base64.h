// Base64 (RFC 4648, section 4): how masks are text in run.json.
#ifndef ESPALIER_REPORT_BASE64_H_
#define ESPALIER_REPORT_BASE64_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace espalier {

std::string Base64Encode(std::span<const uint8_t> bytes);
// nullopt unless `text` is what Base64Encode prints for some bytes.
std::optional<std::vector<uint8_t>> Base64Decode(std::string_view text);

}  // namespace espalier

#endif  // ESPALIER_REPORT_BASE64_H_
