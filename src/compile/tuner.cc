#include "compile/tuner.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/stopwatch.h"
#include "base/strings.h"
#include "compile/product.h"
#include "formats/dense.h"
#include "formats/row_scales.h"
#include "formats/sections.h"
#include "kernels/quantize.h"

namespace espalier {
namespace {

constexpr size_t kVerifyRows = 3;  // of x: more than one, since kernels may treat one apart
// One sample lasts at least this long, so that reading the clock (about 25 ns) does not count.
constexpr double kSampleNs = 20000.0;
// [1, 512] takes a seventh as long by rows as in dense, [4, 512] half, [8, 512] 0.9 (AVX2, Xeon of
// the 5th generation).
constexpr int64_t kMostFewRows = kDenseStripRows / 2;

// What the kernel multiplies: x, or x rounded to 8 bits.
std::vector<double> Multiplied(const EncodedView& matrix, const float* x) {
  std::vector<double> multiplied(x, x + matrix.cols);
  if (matrix.spec.type == WeightType::kI8) RoundX(ViewRowScales(matrix).x_scale, multiplied);
  return multiplied;
}

}  // namespace

Tuner::Tuner(const CompileOptions& options, const KernelTable* kernels)
    : options_(options), kernels_(kernels), now_ns_(options.now_ns), rng_(options.seed) {
  candidates_.push_back(FormatSpec());
  const bool all = tries_all_ = options.candidates.empty();
  for (const FormatSpec& spec : all ? AllFormats() : options.candidates) {
    if (all && spec.type != WeightType::kF32 && spec.type != options.weights) continue;
    if (all && spec.id == FormatId::k_columns) continue;  // for parts by columns: ByColumn
    if (std::find(candidates_.begin(), candidates_.end(), spec) == candidates_.end()) {
      candidates_.push_back(spec);
    }
  }
  if (!now_ns_) {
    now_ns_ = [watch = Stopwatch()] { return watch.ElapsedNs(); };
  }
}

Result<Tuner::Entry> Tuner::Prepare(const TunedPart& part, const FormatSpec& spec) {
  Entry entry;
  entry.spec = spec;
  const auto calibrated = options_.x_scales.find(part.name);
  const float x_scale = calibrated == options_.x_scales.end() ? 0.0f : calibrated->second;
  ESPALIER_ASSIGN_OR_RETURN(entry.encoded,
                            EncodeInSections(spec, part.matrix, part.sections, x_scale));
  entry.matmul = kernels_->find_matmul(spec);
  if (entry.matmul == nullptr) {
    return Unsupported(
        StrCat("target ", kernels_->target, " has no kernel for format ", FormatName(spec)));
  }
  ESPALIER_RETURN_IF_ERROR(Verify(part.name, part.matrix, entry));
  return entry;
}

// Any order of n products and sums in f32 is within n * 2^-24 * sum |w x| of the exact value
// (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1); twice that is allowed
// here.
Status Tuner::Verify(const std::string& name, MatrixView matrix, const Entry& entry) {
  const auto rows = static_cast<size_t>(matrix.rows);
  const auto cols = static_cast<size_t>(matrix.cols);
  const Rows x = RandomRows(kVerifyRows, cols, &rng_);
  const Rows init = RandomRows(1, rows, &rng_);
  Rows y(kVerifyRows, rows);
  entry.matmul(entry.encoded.view(), {x.values.data(), x.stride, init.values.data(),
                                      y.values.data(), y.stride, kVerifyRows});
  const double unit = std::ldexp(static_cast<double>(cols + 2), -23);
  for (size_t n = 0; n < kVerifyRows; ++n) {
    const std::vector<double> multiplied =
        Multiplied(entry.encoded.view(), x.values.data() + n * x.stride);
    for (size_t r = 0; r < rows; ++r) {
      double expected = double{init.values[r]};
      double size = std::abs(expected);
      for (size_t c = 0; c < cols; ++c) {
        const double product = double{matrix.data[r * cols + c]} * multiplied[c];
        expected += product;
        size += std::abs(product);
      }
      const double found = double{y.values[n * y.stride + r]};
      if (std::abs(found - expected) <= unit * size + 1e-30) continue;  // false for NaN
      return Internal(StrCat(name, ": kernel ", kernels_->matmul_name(entry.spec), " gives ", found,
                             " in row ", r, ", ", expected, " expected"));
    }
  }
  return Ok();
}

template <typename Multiply>
double Tuner::TimeOnce(const Multiply& multiply, int64_t calls) {
  if (options_.cache == CacheState::kCold) {
    evictor_.Evict();
  } else {
    multiply();  // the candidates before it took its weights out of the caches
  }
  const double start = now_ns_();
  for (int64_t i = 0; i < calls; ++i) multiply();
  return (now_ns_() - start) / static_cast<double>(calls);
}

template <typename Multiply>
int64_t Tuner::CallsOf(const Multiply& multiply) {
  if (options_.cache == CacheState::kCold) return 1;
  return CallsPerSample(TimeOnce(multiply, 1), kSampleNs);
}

size_t Tuner::RowsOf(MatrixUse use) const {
  return use == MatrixUse::kSingle ? 1 : static_cast<size_t>(options_.batched_rows);
}

void Tuner::Measure(size_t count, std::vector<Entry>* entries) {
  const EncodedMatrix& first = entries->front().encoded;
  const Rows x = RandomRows(count, static_cast<size_t>(first.cols), &rng_);
  Rows y(count, static_cast<size_t>(first.rows));
  const MatMulArgs args{x.values.data(), x.stride, nullptr, y.values.data(), y.stride, count};
  const auto multiply = [&](const Entry& entry) {
    return [&entry, &args, view = entry.encoded.view()] { entry.matmul(view, args); };
  };
  const int64_t calls = CallsOf(multiply(entries->front()));
  for (int i = 0; i < options_.repetitions; ++i) {
    for (Entry& entry : *entries) {
      entry.samples.push_back(TimeOnce(multiply(entry), calls) / static_cast<double>(count));
    }
  }
  for (Entry& entry : *entries) entry.ns = Median(entry.samples);
}

void Tuner::MeasureColumns(const Entry& plain, double plain_ns, size_t count, Entry* entry) {
  constexpr size_t kLists = 64;  // more than a branch predictor learns
  const EncodedView view = entry->encoded.view();
  const AddColumnsFn add = kernels_->find_add_columns(entry->spec);
  const auto cols = static_cast<size_t>(view.cols);
  const size_t half = (cols + 1) / 2;
  std::vector<std::vector<int32_t>> lists(kLists, std::vector<int32_t>(cols));
  for (std::vector<int32_t>& list : lists) {
    std::iota(list.begin(), list.end(), 0);
    for (size_t i = 0; i < half; ++i) std::swap(list[i], list[i + rng_.Below(cols - i)]);
    list.resize(half);
    std::sort(list.begin(), list.end());
  }
  const Rows d = RandomRows(1, half, &rng_);
  const Rows x = RandomRows(count, cols, &rng_);
  Rows sums(1, static_cast<size_t>(view.rows));
  Rows y(count, static_cast<size_t>(view.rows));
  size_t next = 0;
  const auto add_half = [&] {
    const std::vector<int32_t>& list = lists[next++ % kLists];
    add(view, {list.data(), d.values.data(), half, sums.values.data()});
  };
  const auto multiply = [&, plain_view = plain.encoded.view()] {
    plain.matmul(plain_view,
                 {x.values.data(), x.stride, nullptr, y.values.data(), y.stride, count});
  };
  const int64_t calls = CallsOf(add_half), plain_calls = CallsOf(multiply);
  const double of_all = static_cast<double>(cols) / static_cast<double>(half);
  for (int i = 0; i < options_.repetitions; ++i) {
    std::fill(sums.values.begin(), sums.values.end(), 0.0f);
    const double row_ns = TimeOnce(multiply, plain_calls) / static_cast<double>(count);
    entry->samples.push_back(TimeOnce(add_half, calls) * of_all / row_ns);
  }
  entry->ns = Median(entry->samples) * plain_ns;
}

void Tuner::LookUp(int64_t count, std::vector<Entry>* entries, std::vector<Candidate>* refused) {
  std::vector<Entry> known;
  for (Entry& entry : *entries) {
    const std::optional<double> ns = options_.costs->Lookup(entry.encoded.view(), count);
    if (!ns) {
      refused->push_back({entry.spec, 0.0, entry.encoded.bytes.size(), "not among the costs"});
      continue;
    }
    entry.ns = *ns;
    known.push_back(std::move(entry));
  }
  *entries = std::move(known);
}

// Precondition: entries is not empty and starts with dense.
Choice Tuner::Rank(MatrixUse use, double most_by_row, std::vector<Entry> entries,
                   std::vector<Candidate> refused) const {
  const bool is_timed = use != MatrixUse::kLookup && options_.tuning != Tuning::kOff;
  const auto cost = [&](const Entry& entry) {
    return is_timed ? entry.ns : static_cast<double>(entry.encoded.bytes.size());
  };
  const double dense_cost = cost(entries.front());
  std::stable_sort(entries.begin(), entries.end(),
                   [&](const Entry& a, const Entry& b) { return cost(a) < cost(b); });
  const auto is_dense = [](const Entry& entry) { return entry.spec == FormatSpec(); };
  const double limit = dense_cost * (is_timed ? 1.0 - kTieShare : 1.0);
  auto winner = entries.begin();
  if (cost(*winner) >= limit) winner = std::find_if(entries.begin(), entries.end(), is_dense);
  if (most_by_row > 0.0) {
    const auto row = std::find_if(entries.begin(), entries.end(), [](const Entry& entry) {
      const EncodedView view = entry.encoded.view();
      return RowGroups(view) == static_cast<size_t>(view.rows);
    });
    if (row != entries.end() && cost(*row) <= most_by_row * cost(*winner)) winner = row;
  }

  Choice choice{winner->spec, kernels_->matmul_name(winner->spec), winner->ns, {}};
  for (const Entry& entry : entries) {
    if (&entry == &*winner) continue;
    const bool is_tie = is_dense(*winner) && cost(entry) <= cost(*winner);
    const bool is_less = cost(entry) < cost(*winner);  // than one by row
    const char* reason = is_tie     ? "no gain over dense"
                         : is_less  ? "not by row"
                         : is_timed ? "slower"
                                    : "larger";
    choice.runners_up.push_back({entry.spec, entry.ns, entry.encoded.bytes.size(), reason});
  }
  choice.runners_up.insert(choice.runners_up.end(), refused.begin(), refused.end());
  return choice;
}

Result<Choice> Tuner::Choose(const TunedPart& part, MatrixUse use) {
  std::vector<Entry> entries;
  std::vector<Candidate> refused;
  for (const FormatSpec& spec : candidates_) {
    // No faster than dense for one x, and slower for several, but where dense fills its strips up
    // with zeros; of 5 to 8 rows it is about as fast, and half as large.
    const bool tries_rows = part.most_by_row > 0.0 || part.matrix.rows <= kMostFewRows;
    if (tries_all_ && spec.id == FormatId::k_rows && !tries_rows) continue;
    Result<Entry> entry = Prepare(part, spec);
    if (entry.ok()) {
      entries.push_back(*std::move(entry));
      continue;
    }
    const bool may_be_missing = entry.status().code() == Code::kUnsupported && !entries.empty();
    if (!may_be_missing) return entry.status().WithContext(part.name);
    if (!options_.log.Wants(LogLevel::kDebug)) continue;
    options_.log.Debug(StrCat("candidate matrix=", part.name, " format=", FormatName(spec),
                              " refused=\"", entry.status().message(), "\""));
  }
  if (use != MatrixUse::kLookup && options_.tuning == Tuning::kMeasure) {
    Measure(RowsOf(use), &entries);
  }
  if (use != MatrixUse::kLookup && options_.tuning == Tuning::kCosts) {
    LookUp(static_cast<int64_t>(RowsOf(use)), &entries, &refused);
  }
  for (const Entry& entry : entries) {
    if (!options_.log.Wants(LogLevel::kDebug)) break;
    options_.log.Debug(StrCat("candidate matrix=", part.name, " format=", FormatName(entry.spec),
                              " ns=", entry.ns, " bytes=", entry.encoded.bytes.size()));
  }
  return Rank(use, part.most_by_row, std::move(entries), std::move(refused));
}

Result<Choice> Tuner::ByColumn(const TunedPart& part, const Choice& plain, MatrixUse use) {
  FormatSpec spec = kColumnsSpec;
  if (options_.weights == WeightType::kBf16) spec.type = WeightType::kBf16;
  Result<Entry> entry = Prepare(part, spec);
  if (!entry.ok()) return entry.status().WithContext(part.name);
  if (plain.ns > 0.0 && options_.tuning == Tuning::kMeasure) {
    const Result<Entry> whole = Prepare(part, plain.spec);
    if (!whole.ok()) return whole.status().WithContext(part.name);
    MeasureColumns(*whole, plain.ns, RowsOf(use), &*entry);
  }
  return Choice{spec, kernels_->matmul_name(spec), entry->ns, {}};
}

Result<Choice> Tuner::Force(const TunedPart& part, const FormatSpec& spec, double ns) {
  const Result<Entry> entry = Prepare(part, spec);
  if (!entry.ok()) return entry.status().WithContext(part.name);
  return Choice{spec, kernels_->matmul_name(spec), ns, {}};
}

}  // namespace espalier
