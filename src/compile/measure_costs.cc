#include "compile/measure_costs.h"

#include <time.h>

#include <algorithm>
#include <exception>
#include <tuple>

#include "base/strings.h"
#include "compile/product.h"
#include "kernels/kernels.h"

namespace espalier {
namespace {

// More of them (6 rows, 8 columns) gave no better choices (Zen 4, 2026-11, 328 matrices).
constexpr int64_t kRows[] = {8, 16, 256, 2048};  // 16: the strips of most formats
constexpr int64_t kCols[] = {8, 64, 256, 1024, 2048};
// Of the least, 3 % of the blocks of 8x8 are left: with 1/64 sparser ones seemed twice as slow.
constexpr double kDensities[] = {1.0 / 256, 1.0 / 16, 1.0};
constexpr int64_t kCounts[] = {1, 16};  // one step; CompileOptions::batched_rows
// Rows that share their zeros, as those of a strip or block do.
constexpr size_t kStripRows = 16;
// All products are timed in each of two rounds, and the least time counts: what disturbs one round
// for a while is over in the other.
constexpr int kRounds = 2;
// Of one sample: reading the thread's clock takes 1.3 us.
constexpr double kSampleNs = 100000.0;

// How long this thread has run. The steady clock also counts what other programs take of the core:
// with four programs a core, products of 1 ms and more then seemed 3 to 10 times as long.
double ThreadNs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Does it store the same bytes whatever weights are 0? (`compact`: of the columns that are left.)
bool StoresAll(const FormatSpec& spec) {
  return spec.id == FormatId::k_dense || spec.id == FormatId::k_rows ||
         spec.id == FormatId::k_compact || spec.id == FormatId::k_nm;
}

struct Shape {
  int64_t rows;
  int64_t cols;
  double density;
};

std::vector<float> RandomWeights(const Shape& shape, Rng* rng) {
  const auto cols = static_cast<size_t>(shape.cols);
  std::vector<float> weights(static_cast<size_t>(shape.rows) * cols);
  std::vector<bool> is_kept(cols);
  for (size_t i = 0; i < weights.size(); ++i) {
    if (i / cols % kStripRows == 0) is_kept[i % cols] = rng->Uniform() < shape.density;
    if (is_kept[i % cols]) weights[i] = rng->Uniform(1.0f, 2.0f);
  }
  return weights;
}

class Bench {
 public:
  Bench(const MeasureCostsOptions& options, const KernelTable* kernels)
      : options_(options), kernels_(kernels), now_ns_(options.now_ns), rng_(options.seed) {
    if (!now_ns_) now_ns_ = ThreadNs;
    costs_.push_back({FormatSpec(), {}});
    for (const FormatSpec& spec : options.formats.empty() ? AllFormats() : options.formats) {
      const auto is_same = [&](const FormatCosts& costs) { return costs.format == spec; };
      if (std::none_of(costs_.begin(), costs_.end(), is_same)) costs_.push_back({spec, {}});
    }
  }

  // Adds a point for each format that can hold such a matrix and each count.
  void Time(const Shape& shape) {
    const auto [rows, cols, density] = shape;
    const std::vector<float> weights = RandomWeights(shape, &rng_);
    for (FormatCosts& costs : costs_) {
      const FormatSpec& spec = costs.format;
      if (StoresAll(spec) && density < 1.0) continue;
      std::vector<float> rounded = weights;
      if (spec.id == FormatId::k_nm) {  // one weight a bank
        for (size_t i = 0; i < rounded.size(); ++i) {
          const int64_t col = static_cast<int64_t>(i) % cols;
          if (col % spec.bank_cols != 0) rounded[i] = 0.0f;
        }
      }
      RoundMatrix(spec.type, cols, rounded);
      const Result<EncodedMatrix> encoded = Encode(spec, {rounded.data(), rows, cols});
      const MatMulFn matmul = kernels_->find_matmul(spec);
      if (!encoded.ok() || matmul == nullptr) continue;
      for (const int64_t count : kCounts) {
        costs.points.push_back({count, rows, cols, static_cast<int64_t>(encoded->bytes.size()),
                                NsOf(*encoded, matmul, static_cast<size_t>(count))});
      }
    }
  }

  // The next matrices are the first ones again.
  void StartAgain() { rng_ = Rng(options_.seed); }

  // Sorted, and of points of equal sizes the one with the least time.
  std::vector<FormatCosts> Take() {
    const auto sizes = [](const CostPoint& p) {
      return std::tuple(p.count, p.rows, p.cols, p.bytes);
    };
    for (FormatCosts& costs : costs_) {
      std::vector<CostPoint>& points = costs.points;
      std::sort(points.begin(), points.end(), [&](const CostPoint& a, const CostPoint& b) {
        return std::tuple(sizes(a), a.ns) < std::tuple(sizes(b), b.ns);
      });
      points.erase(
          std::unique(points.begin(), points.end(),
                      [&](const CostPoint& a, const CostPoint& b) { return sizes(a) == sizes(b); }),
          points.end());
    }
    return std::move(costs_);
  }

 private:
  double NsOf(const EncodedMatrix& matrix, MatMulFn matmul, size_t count) {
    const Rows x = RandomRows(count, static_cast<size_t>(matrix.cols), &rng_);
    Rows y(count, static_cast<size_t>(matrix.rows));
    const MatMulArgs args{x.values.data(), x.stride, nullptr, y.values.data(), y.stride, count};
    const EncodedView view = matrix.view();
    const auto time = [&](int64_t calls) {
      const double start = now_ns_();
      for (int64_t i = 0; i < calls; ++i) matmul(view, args);
      return (now_ns_() - start) / static_cast<double>(calls);
    };
    time(1);  // brings the weights to the caches
    const int64_t calls = CallsPerSample(time(1), kSampleNs);
    double least = time(calls);
    for (int i = 1; i < options_.repetitions; ++i) least = std::min(least, time(calls));
    return least;
  }

  const MeasureCostsOptions& options_;
  const KernelTable* kernels_;
  std::function<double()> now_ns_;
  Rng rng_;
  std::vector<FormatCosts> costs_;
};

Result<CostTable> Measure(const MeasureCostsOptions& options) {
  if (options.repetitions < 1) {
    return InvalidArgument(
        StrCat("repetitions: at least 1 expected, ", options.repetitions, " found"));
  }
  ESPALIER_RETURN_IF_ERROR(CheckCostName("the name of a CPU", options.cpu));
  ESPALIER_ASSIGN_OR_RETURN(const KernelTable* kernels, FindKernels(options.target));
  std::vector<Shape> shapes;
  double all = 0.0;
  for (const int64_t rows : kRows) {
    for (const int64_t cols : kCols) {
      for (const double density : kDensities) shapes.push_back({rows, cols, density});
      all +=
          static_cast<double>(kRounds * std::size(kDensities)) * static_cast<double>(rows * cols);
    }
  }
  Bench bench(options, kernels);
  double done = 0.0;
  for (int round = 0; round < kRounds; ++round) {
    bench.StartAgain();
    for (const Shape& shape : shapes) {
      if (options.cancel != nullptr && options.cancel->load()) {
        return Cancelled("costs: interrupted; nothing was kept");
      }
      bench.Time(shape);
      done += static_cast<double>(shape.rows * shape.cols);
      if (options.on_progress) options.on_progress(done / all);
    }
  }
  CostTable table{options.cpu, kernels->target, bench.Take()};
  ESPALIER_RETURN_IF_ERROR(CheckCosts(table));
  return table;
}

}  // namespace

Result<CostTable> MeasureCosts(const MeasureCostsOptions& options) {
  try {
    return Measure(options);
  } catch (const std::bad_alloc&) {
    return OutOfMemory("costs: memory is exhausted");
  }
}

}  // namespace espalier
