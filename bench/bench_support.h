// What the benches share: ending on an error, quantiles, and matrices that look pruned.
#ifndef ESPALIER_BENCH_BENCH_SUPPORT_H_
#define ESPALIER_BENCH_BENCH_SUPPORT_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "formats/fit.h"
#include "formats/format.h"
#include "model/tensor.h"

namespace espalier {

// Ends the program on an error of its own making: a bench without a check measures nothing.
[[noreturn]] inline void Die(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

inline void DieUnlessOk(const Status& status) {
  if (!status.ok()) Die(status.message());
}

template <typename T>
T ValueOrDie(Result<T> result) {
  if (!result.ok()) Die(result.status().message());
  return *std::move(result);
}

// Precondition: not empty.
inline double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

// A random matrix of which about `density` is kept, in the pieces that the format stores. Full for
// dense and rows, at N / M for nm; diagonals are kept, too.
inline Tensor RandomPieces(const FormatSpec& spec, int64_t rows, int64_t cols, double density,
                           Rng* rng) {
  const auto keeps = [rng](int64_t count, double share) {
    std::vector<bool> kept(static_cast<size_t>(count));
    for (size_t i = 0; i < kept.size(); ++i) kept[i] = rng->Uniform() < share;
    return kept;
  };
  const bool is_full =
      spec.id == FormatId::k_dense || spec.id == FormatId::k_rows || spec.id == FormatId::k_nm;
  const bool is_compact = spec.id == FormatId::k_compact;
  const int64_t piece_rows = std::max(1, spec.strip_rows);
  const int64_t piece_cols = std::max(1, spec.bank_cols);
  const int64_t across = (cols + piece_cols - 1) / piece_cols;
  const std::vector<bool> pieces =
      keeps((rows + piece_rows - 1) / piece_rows * across, is_full || is_compact ? 1.0 : density);
  const std::vector<bool> kept_rows = keeps(rows, is_compact ? std::sqrt(density) : 1.0);
  const std::vector<bool> kept_cols = keeps(cols, is_compact ? std::sqrt(density) : 1.0);
  Tensor tensor({rows, cols});
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      const bool on_diagonal = spec.id == FormatId::k_diagonal && row % cols == col;
      const auto piece = static_cast<size_t>(row / piece_rows * across + col / piece_cols);
      const bool is_kept = kept_rows[static_cast<size_t>(row)] &&
                           kept_cols[static_cast<size_t>(col)] && pieces[piece];
      if (!is_kept && !on_diagonal) continue;
      tensor.values[static_cast<size_t>(row * cols + col)] = static_cast<float>(rng->Normal());
    }
  }
  FitMatrix(spec, cols, tensor.values);
  return tensor;
}

inline Tensor RandomMatrix(const FormatSpec& spec, int64_t rows, int64_t cols, double density,
                           Rng* rng) {
  if (spec.id != FormatId::k_slot) return RandomPieces(spec, rows, cols, density, rng);
  Tensor tensor({rows, cols});
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
  FitMatrix(spec, cols, tensor.values);
  return tensor;
}

}  // namespace espalier

#endif  // ESPALIER_BENCH_BENCH_SUPPORT_H_
