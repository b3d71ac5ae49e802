// Banks of units (model/graph.h, UnitBanks) at run time: which run, and products of their rows
// only.
#ifndef ESPALIER_RUNTIME_BANKS_H_
#define ESPALIER_RUNTIME_BANKS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "runtime/operation.h"

namespace espalier {

// Sets in banks.runs which banks of each of `count` rows run, row by row, and in the row after them
// which run in any. `x`: [count, I], `h`: [count, H]. Counts multiply-adds.
void ChooseBanks(const BankLayer& banks, RowsAt x, RowsAt h, size_t count, uint64_t* multiply_adds);

// y = W x + b of `count` rows, for the rows of W that belong to banks that run in any of them;
// others of y may be written, too. Returns the multiply-adds.
size_t MultiplyBanks(const BankLayer& banks, const BankProduct& product, ThreadTeam* team, RowsAt x,
                     RowsAt y, size_t count);

inline bool Runs(const BankLayer& banks, size_t row, size_t bank) {
  constexpr size_t kBits = 64;
  return (banks.runs[row * banks.words + bank / kBits] >> bank % kBits & 1) != 0;
}

// Calls visit(first, end) for the units of [first, end) that run in row `row`, piece by piece.
template <typename Visit>
void EachRunningUnits(const BankLayer& banks, size_t row, size_t first, size_t end,
                      const Visit& visit) {
  while (first < end) {
    size_t bank = first / banks.size;
    if (!Runs(banks, row, bank)) {
      first = (bank + 1) * banks.size;
      continue;
    }
    while (bank * banks.size < end && Runs(banks, row, bank)) ++bank;
    const size_t stop = std::min(end, bank * banks.size);
    visit(first, stop);
    first = stop;
  }
}

inline size_t CountRunningUnits(const BankLayer& banks, size_t row) {
  size_t count = 0;
  EachRunningUnits(banks, row, 0, banks.units,
                   [&](size_t first, size_t end) { count += end - first; });
  return count;
}

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_BANKS_H_
