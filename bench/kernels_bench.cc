// kernels_bench [--target NAME] [--repetitions N] [--filter TEXT] [--json]
//
// Times the kernels on matrices of real sizes, after checking every result against the generic
// kernel. All cases of a group are timed in turn, again and again, in one process, so that the load
// of a shared machine falls on all of them. Prints the best, the median and its median absolute
// deviation, and what share of the limit `bytes of the encoding / 32 bytes a cycle` (L2 to L1 on
// Zen 3) was reached.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/machine.h"
#include "base/rng.h"
#include "base/stopwatch.h"
#include "bench_support.h"
#include "kernels/generic.h"
#include "kernels/kernels.h"
#include "kernels/tolerance.h"

namespace espalier {
namespace {

constexpr double kBytesPerCycle = 32.0;

// ns per cycle of the core now, from a chain of dependent additions.
double CycleNs() {
  double best = 1e9;
  for (int round = 0; round < 50; ++round) {
    uint64_t value = 1;
    const Stopwatch watch;
    for (int i = 0; i < 10000; ++i) {
      for (int k = 0; k < 10; ++k) {
        value += 3;
        asm volatile("" : "+r"(value));
      }
    }
    best = std::min(best, watch.ElapsedNs() / 1e5);
  }
  return best;
}

AlignedBuffer<float> RandomFloats(size_t size, Rng* rng) {
  AlignedBuffer<float> values(size);
  for (float& value : values) value = rng->Uniform(-1.0f, 1.0f);
  return values;
}

struct BenchCase {
  std::string name;
  double bytes;  // of weights read per call
  std::function<void()> run;
  std::vector<double> ns = {};
};

void CheckProduct(const KernelTable& table, const EncodedMatrix& w, const MatMulArgs& args) {
  const auto rows = static_cast<size_t>(w.rows);
  const auto cols = static_cast<size_t>(w.cols);
  AlignedBuffer<float> want(rows);
  for (size_t n = 0; n < args.count; ++n) {
    MatMulArgs one = args;
    one.x += n * args.x_stride;
    one.y += n * args.y_stride;
    one.count = 1;
    table.find_matmul(w.spec)(w.view(), one);
    MatMulArgs generic = one;
    generic.y = want.data();
    MatVecGeneric(w.view(), generic);
    double norm = 0.0;  // |w| < 6, |x| <= 1
    for (size_t c = 0; c < cols; ++c) norm += 6.0 * std::abs(one.x[c]);
    for (size_t r = 0; r < rows; ++r) {
      if (std::abs(one.y[r] - want[r]) > 2.0 * Tolerance(norm, cols)) {
        Die(FormatName(w.spec) + ": the kernel and the generic kernel disagree");
      }
    }
  }
}

// A matrix product with `count` rows of x.
BenchCase MatMulCase(const KernelTable& table, const std::string& name, const FormatSpec& spec,
                     std::array<int64_t, 3> shape, double density, Rng* rng) {
  struct Data {
    EncodedMatrix w;
    AlignedBuffer<float> x, y;
  };
  const auto [rows, cols, count] = shape;
  auto data = std::make_shared<Data>();
  const Tensor matrix = RandomMatrix(spec, rows, cols, density, rng);
  data->w = ValueOrDie(Encode(spec, ViewOf(matrix)));
  const size_t x_stride = RoundUp(static_cast<size_t>(cols), 16) + 16;
  data->x = RandomFloats(x_stride * static_cast<size_t>(count), rng);
  data->y = AlignedBuffer<float>(static_cast<size_t>(rows * count));
  MatMulArgs args;
  args.x = data->x.data();
  args.x_stride = x_stride;
  args.y = data->y.data();
  args.y_stride = static_cast<size_t>(rows);
  args.count = static_cast<size_t>(count);
  CheckProduct(table, data->w, args);
  const MatMulFn kernel = table.find_matmul(spec);
  return {name + " " + table.matmul_name(spec), static_cast<double>(data->w.bytes.size()),
          [data, args, kernel] { kernel(data->w.view(), args); }};
}

BenchCase GateCase(const KernelTable& table, const CellInfo& cell, size_t hidden, Rng* rng) {
  struct Data {
    AlignedBuffer<float> ax, ah, h, c, peephole;
  };
  const size_t gates = static_cast<size_t>(cell.gates);
  auto data = std::make_shared<Data>(
      Data{RandomFloats(gates * hidden, rng), RandomFloats(gates * hidden, rng),
           RandomFloats(hidden, rng), RandomFloats(hidden, rng), RandomFloats(3 * hidden, rng)});
  const GateStepArgs args{data->ax.data(),       data->ah.data(), hidden,
                          data->h.data(),        data->c.data(),  hidden,
                          data->peephole.data(), hidden};
  const GateStepFn step = table.gate_step[static_cast<size_t>(cell.kind)];
  return {"gate_step_" + std::string(cell.name) + " H=" + std::to_string(hidden), 0.0,
          [data, args, step] { step(args); }};
}

// A whole LSTM sequence of `steps` steps, as the runtime runs it: the input product for all steps
// at once, then the recurrent product and the gates step by step.
BenchCase LstmCase(const KernelTable& table, const FormatSpec& spec, std::array<int64_t, 3> shape,
                   double density, Rng* rng) {
  struct Data {
    EncodedMatrix w_ih, w_hh;
    AlignedBuffer<float> x, ax, ah, h, c, bias;
  };
  const auto [input, hidden, steps] = shape;
  const auto i = static_cast<size_t>(input);
  const auto h = static_cast<size_t>(hidden);
  const auto t = static_cast<size_t>(steps);
  auto data = std::make_shared<Data>();
  const Tensor w_ih = RandomMatrix(spec, 4 * hidden, input, density, rng);
  const Tensor w_hh = RandomMatrix(spec, 4 * hidden, hidden, density, rng);
  data->w_ih = ValueOrDie(Encode(spec, ViewOf(w_ih)));
  data->w_hh = ValueOrDie(Encode(spec, ViewOf(w_hh)));
  const size_t x_stride = RoundUp(i, 16) + 16;
  data->x = RandomFloats(t * x_stride, rng);
  data->ax = AlignedBuffer<float>(t * 4 * h);
  data->ah = AlignedBuffer<float>(4 * h);
  data->h = AlignedBuffer<float>(h + 16);
  data->c = AlignedBuffer<float>(h);
  data->bias = RandomFloats(4 * h, rng);
  const MatMulFn kernel = table.find_matmul(spec);
  const GateStepFn gate_step = table.gate_step[static_cast<size_t>(CellKind::kLstmCell)];
  const double nnz = static_cast<double>(CountNonzeros(w_ih.values) + CountNonzeros(w_hh.values));
  const double bytes = static_cast<double>(data->w_ih.bytes.size()) +
                       static_cast<double>(data->w_hh.bytes.size() * t);
  char name[96];
  std::snprintf(name, sizeof(name), "lstm I=%zu H=%zu T=%zu nnz=%.0f %s", i, h, t, nnz,
                table.matmul_name(spec));
  return {name, bytes, [=] {
            Data& d = *data;
            std::fill(d.h.begin(), d.h.end(), 0.0f);
            std::fill(d.c.begin(), d.c.end(), 0.0f);
            kernel(d.w_ih.view(), {d.x.data(), x_stride, d.bias.data(), d.ax.data(), 4 * h, t});
            for (size_t step = 0; step < t; ++step) {
              kernel(d.w_hh.view(), {d.h.data(), 0, d.bias.data(), d.ah.data(), 0, 1});
              gate_step({d.ax.data() + step * 4 * h, d.ah.data(), h, d.h.data(), d.c.data(), h});
            }
          }};
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

struct Options {
  std::string target;
  std::string filter;
  int repetitions = 51;
  bool json = false;
};

// Times all cases in turn; each sample is long enough for the clock.
void Time(const Options& options, std::vector<BenchCase>* cases) {
  constexpr double kSampleNs = 200e3;
  std::vector<int> calls;
  for (BenchCase& c : *cases) {
    c.run();
    const Stopwatch watch;
    c.run();
    calls.push_back(std::max(1, static_cast<int>(kSampleNs / (watch.ElapsedNs() + 1.0))));
  }
  for (int repetition = 0; repetition < options.repetitions; ++repetition) {
    for (size_t i = 0; i < cases->size(); ++i) {
      BenchCase& c = (*cases)[i];
      c.run();  // bring its weights back into the cache
      const Stopwatch watch;
      for (int call = 0; call < calls[i]; ++call) c.run();
      c.ns.push_back(watch.ElapsedNs() / calls[i]);
    }
  }
}

void Print(const Options& options, const KernelTable& table, double cycle_ns,
           const std::vector<BenchCase>& cases) {
  for (const BenchCase& c : cases) {
    const double median = Median(c.ns);
    std::vector<double> deviations;
    for (const double ns : c.ns) deviations.push_back(std::abs(ns - median));
    const double best = *std::min_element(c.ns.begin(), c.ns.end());
    const double limit = c.bytes / kBytesPerCycle * cycle_ns;
    if (options.json) {
      std::printf(
          "{\"case\": \"%s\", \"cpu\": \"%s\", \"target\": \"%s\", \"best_ns\": %.1f, "
          "\"median_ns\": %.1f, "
          "\"mad_ns\": %.1f, \"bytes\": %.0f, \"limit_ns\": %.1f, \"cycle_ns\": %.3f}\n",
          c.name.c_str(), CpuName().c_str(), table.target, best, median, Median(deviations),
          c.bytes, limit, cycle_ns);
    } else {
      std::printf("%-58s %11.1f %11.1f %9.1f %6.0f%%\n", c.name.c_str(), best, median,
                  Median(deviations), 100.0 * limit / best);
    }
  }
}

Options ParseOrDie(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) Die(flag + ": a value expected after it");
      return argv[++i];
    };
    if (flag == "--target") {
      options.target = value();
    } else if (flag == "--filter") {
      options.filter = value();
    } else if (flag == "--repetitions") {
      options.repetitions = std::max(1, std::atoi(value().c_str()));
    } else if (flag == "--json") {
      options.json = true;
    } else {
      Die("unknown flag " + flag);
    }
  }
  return options;
}

int Main(int argc, char** argv) {
  const Options options = ParseOrDie(argc, argv);
  const KernelTable& table = *ValueOrDie(FindKernels(options.target));
  const double cycle_ns = CycleNs();
  Rng rng(1);
  std::vector<std::vector<BenchCase>> groups;

  std::vector<BenchCase> lstm;
  lstm.push_back(LstmCase(table, {}, {28, 128, 28}, 1.0, &rng));
  for (const FormatSpec& spec : AllFormats()) {
    if (spec.id == FormatId::k_dense || FitRows(spec, 4 * 64, 28) != 4 * 64) continue;
    for (const int64_t hidden : {64, 80, 96}) {
      const double density = 7500.0 / static_cast<double>(4 * hidden * (28 + hidden));
      lstm.push_back(LstmCase(table, spec, {28, hidden, 28}, density, &rng));
    }
  }
  groups.push_back(std::move(lstm));

  std::vector<BenchCase> gates;
  for (const size_t hidden : {80u, 83u, 128u, 1024u}) {
    for (const CellInfo& cell : kCells) gates.push_back(GateCase(table, cell, hidden, &rng));
  }
  groups.push_back(std::move(gates));

  for (const int64_t hidden : {128, 256, 512, 1024}) {
    for (const int64_t count : {1, 28}) {
      std::vector<BenchCase> products;
      for (const FormatSpec& spec : AllFormats()) {
        const std::string name =
            "[4H, H] 10% H=" + std::to_string(hidden) + " x" + std::to_string(count);
        products.push_back(MatMulCase(table, name, spec, {4 * hidden, hidden, count}, 0.1, &rng));
      }
      groups.push_back(std::move(products));
    }
  }

  if (!options.json) {
    std::printf("target %s, cycle %.3f ns, ns per call\n%-58s %11s %11s %9s %7s\n", table.target,
                cycle_ns, "case", "best", "median", "mad", "limit");
  }
  for (std::vector<BenchCase>& group : groups) {
    std::erase_if(group, [&](const BenchCase& c) {
      return c.name.find(options.filter) == std::string::npos;
    });
    Time(options, &group);
    Print(options, table, cycle_ns, group);
  }
  return 0;
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) { return espalier::Main(argc, argv); }
