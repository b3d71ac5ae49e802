#include "runtime/banks.h"

#include <bit>
#include <cmath>
#include <numeric>

#include "runtime/due_groups.h"

namespace espalier {
namespace {

constexpr size_t kBits = 64;

void Set(size_t bank, uint64_t* runs) { runs[bank / kBits] |= uint64_t{1} << bank % kBits; }

void SetTop(const BankLayer& banks, const float* scores, uint64_t* runs) {
  // NaN is the largest; of equal scores the first.
  const auto is_before = [scores](uint32_t a, uint32_t b) {
    if (std::isnan(scores[a]) || std::isnan(scores[b])) {
      return std::isnan(scores[a]) && (!std::isnan(scores[b]) || a < b);
    }
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  };
  uint32_t* end = banks.order + banks.count;
  std::iota(banks.order, end, 0u);
  std::nth_element(banks.order, banks.order + banks.top, end, is_before);
  for (size_t i = 0; i < banks.top; ++i) Set(banks.order[i], runs);
}

bool Share(const uint64_t* a, const uint64_t* b, size_t words) {
  uint64_t common = 0;
  for (size_t i = 0; i < words; ++i) common |= a[i] & b[i];
  return common != 0;
}

}  // namespace

void ChooseBanks(const BankLayer& banks, RowsAt x, RowsAt h, size_t count,
                 uint64_t* multiply_adds) {
  constexpr ThreadTeam* kAlone = nullptr;
  banks.score_x.Run(kAlone, x, banks.scores, count);
  banks.score_h.Run(kAlone, h, banks.scores_h, count);
  *multiply_adds += count * banks.multiply_adds;
  uint64_t* any = banks.runs + count * banks.words;
  std::fill_n(banks.runs, (count + 1) * banks.words, uint64_t{0});
  for (size_t i = 0; i < count; ++i) {
    float* scores = banks.scores.row(i);
    const float* from_h = banks.scores_h.row(i);
    for (size_t n = 0; n < banks.count; ++n) scores[n] += from_h[n];
    uint64_t* runs = banks.runs + i * banks.words;
    if (banks.top > 0) {
      SetTop(banks, scores, runs);
    } else {
      for (size_t n = 0; n < banks.count; ++n) {
        if (!(scores[n] <= 0.0f)) Set(n, runs);  // NaN runs
      }
    }
    for (size_t w = 0; w < banks.words; ++w) any[w] |= runs[w];
  }
}

size_t MultiplyBanks(const BankLayer& banks, const BankProduct& product, ThreadTeam* team, RowsAt x,
                     RowsAt y, size_t count) {
  const uint64_t* any = banks.runs + count * banks.words;
  size_t running = 0;
  for (size_t w = 0; w < banks.words; ++w) running += static_cast<size_t>(std::popcount(any[w]));
  if (running == banks.count) {
    product.plain.Run(team, x, y, count);
    return count * product.multiply_adds;
  }
  return MultiplyDue(product.plain, product.groups, team, x, y, count, [&](size_t group) {
    return Share(any, product.banks_of_group + group * banks.words, banks.words);
  });
}

}  // namespace espalier
