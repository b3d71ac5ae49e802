// What the benches share: ending on an error, and matrices that look pruned.
#ifndef ESPALIER_BENCH_BENCH_SUPPORT_H_
#define ESPALIER_BENCH_BENCH_SUPPORT_H_

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "formats/format.h"
#include "model/tensor.h"

namespace espalier {

// Ends the program on an error of its own making: a bench without a check measures nothing.
[[noreturn]] inline void Die(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

template <typename T>
T ValueOrDie(Result<T> result) {
  if (!result.ok()) Die(result.status().message());
  return *std::move(result);
}

// A random matrix pruned in slots of this tile to about `nnz` weights; dense for other formats.
inline Tensor RandomMatrix(const FormatSpec& spec, int64_t rows, int64_t cols, double density,
                           Rng* rng) {
  Tensor tensor({rows, cols});
  if (spec.id != FormatId::k_slot) {
    for (float& value : tensor.values) {
      const bool keep = spec.id == FormatId::k_dense || rng->Uniform() < density;
      if (keep) value = static_cast<float>(rng->Normal());
    }
    return tensor;
  }
  for (int64_t strip = 0; strip < rows; strip += spec.strip_rows) {
    for (int64_t bank = 0; bank < cols; bank += spec.bank_cols) {
      const int64_t width = std::min<int64_t>(spec.bank_cols, cols - bank);
      int64_t slots = 0;
      for (int64_t j = 0; j < width; ++j) slots += rng->Uniform() < density ? 1 : 0;
      for (int64_t row = strip; row < std::min(rows, strip + spec.strip_rows); ++row) {
        std::vector<int64_t> columns(static_cast<size_t>(width));
        for (size_t c = 0; c < columns.size(); ++c) columns[c] = static_cast<int64_t>(c);
        rng->Shuffle(columns);
        for (int64_t j = 0; j < slots; ++j) {
          const int64_t col = bank + columns[static_cast<size_t>(j)];
          tensor.values[static_cast<size_t>(row * cols + col)] = static_cast<float>(rng->Normal());
        }
      }
    }
  }
  return tensor;
}

}  // namespace espalier

#endif  // ESPALIER_BENCH_BENCH_SUPPORT_H_
