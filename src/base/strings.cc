#include "base/strings.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace espalier {
namespace {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitution = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitution});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string StrJoin(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::string Nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 2) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string nearest = Nearest(word, candidates);
  return nearest.empty() ? "" : " (did you mean '" + nearest + "'?)";
}

bool IsUtf8(std::string_view text) {
  size_t i = 0;
  const auto next_is = [&](unsigned least, unsigned most) {
    if (i == text.size()) return false;
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < least || byte > most) return false;
    ++i;
    return true;
  };
  const auto next_is_tail = [&] { return next_is(0x80, 0xbf); };
  const auto next_is_character = [&] {
    if (next_is(0x00, 0x7f)) return true;
    if (next_is(0xc2, 0xdf)) return next_is_tail();
    if (next_is(0xe0, 0xe0)) return next_is(0xa0, 0xbf) && next_is_tail();
    if (next_is(0xed, 0xed)) return next_is(0x80, 0x9f) && next_is_tail();
    if (next_is(0xe1, 0xef)) return next_is_tail() && next_is_tail();
    if (next_is(0xf0, 0xf0)) return next_is(0x90, 0xbf) && next_is_tail() && next_is_tail();
    if (next_is(0xf4, 0xf4)) return next_is(0x80, 0x8f) && next_is_tail() && next_is_tail();
    return next_is(0xf1, 0xf3) && next_is_tail() && next_is_tail() && next_is_tail();
  };
  while (i < text.size()) {
    if (!next_is_character()) return false;
  }
  return true;
}

std::string ShapeString(const std::vector<int64_t>& shape) {
  if (shape.empty()) return "scalar";
  std::string out;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += 'x';
    out += std::to_string(shape[i]);
  }
  return out;
}

std::string HumanBytes(uint64_t bytes) {
  const char* unit[] = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  int idx = 0;
  while (value >= 1000.0 && idx < 4) {
    value /= 1000.0;
    ++idx;
  }
  char text[32];
  std::snprintf(text, sizeof(text), idx == 0 ? "%.0f %s" : "%.1f %s", value, unit[idx]);
  return text;
}

}  // namespace espalier
