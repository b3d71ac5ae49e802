// Small text helpers that readers and error messages need.
#ifndef ESPALIER_BASE_STRINGS_H_
#define ESPALIER_BASE_STRINGS_H_

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace espalier {

// Concatenates its arguments as operator<< prints them.
template <typename... Args>
std::string StrCat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return std::move(out).str();
}

std::string StrJoin(const std::vector<std::string>& parts, std::string_view separator);

// Returns the candidate with the smallest edit distance to `word`, or "" if none is closer than
// half of `word` (at least 2 edits are always forgiven). For "did you mean" hints.
std::string Nearest(std::string_view word, const std::vector<std::string>& candidates);

// Returns " (did you mean 'x'?)" or "" when nothing is near.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates);

// Is this well-formed UTF-8 (The Unicode Standard, table 3-7: no overlong forms, no surrogates,
// nothing past U+10FFFF)? JSON can carry no other text.
bool IsUtf8(std::string_view text);

// Returns e.g. "384x120".
std::string ShapeString(const std::vector<int64_t>& shape);

// Returns e.g. "41.6 KB" (1 KB = 1000 bytes).
std::string HumanBytes(uint64_t bytes);

}  // namespace espalier

#endif  // ESPALIER_BASE_STRINGS_H_
