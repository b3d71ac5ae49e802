// costs_bench [--target NAME]: how good are the choices of `compile --costs`?
//
// Measures the costs of this machine as `espalier tune` does, then chooses for matrices of other
// shapes, in the pieces of each format, once by measuring and once by the costs. Prints how far the
// costs are from the measured times of all formats (|costs / measured - 1|), and what the choices
// by costs lose: the measured time of what they choose / the least measured time - 1.
#include <algorithm>
#include <cstring>
#include <map>

#include "bench_support.h"
#include "compile/measure_costs.h"
#include "compile/tuner.h"

namespace espalier {
namespace {

struct Shape {
  int64_t rows, cols, count;
};
// Gates of LSTMs and GRUs, streamed and by 16 steps; input matrices and an output layer.
constexpr Shape kShapes[] = {{384, 128, 1},  {512, 28, 16},   {1024, 256, 1},  {1024, 256, 16},
                             {2048, 512, 1}, {2048, 512, 16}, {3072, 1024, 1}, {40, 200, 1}};
constexpr double kDensities[] = {0.05, 0.2};
constexpr WeightType kTypes[] = {WeightType::kF32, WeightType::kI8};

struct Numbers {
  std::vector<double> values;
  std::string worst;  // where the largest was seen

  void Add(double value, const std::string& where) {
    if (values.empty() || value > *std::max_element(values.begin(), values.end())) worst = where;
    values.push_back(value);
  }
  void Print(const char* what) {
    std::sort(values.begin(), values.end());
    const auto at = [&](size_t percent) {
      return 100.0 * values[(values.size() - 1) * percent / 100];
    };
    std::printf("%-8s %5zu  median %5.1f %%  90th %5.1f %%  99th %5.1f %%  worst %5.1f %% (%s)\n",
                what, values.size(), at(50), at(90), at(99), at(100), worst.c_str());
  }
};

using Times = std::map<std::string, double>;  // ns by format

Times TimesOf(const Choice& choice) {
  Times times{{FormatName(choice.spec), choice.ns}};
  for (const Candidate& other : choice.runners_up) {
    if (other.ns > 0.0) times[FormatName(other.spec)] = other.ns;
  }
  return times;
}

void Compare(const CostTable& costs, const KernelTable* kernels, Numbers* errors, Numbers* losses) {
  Rng rng(1);
  for (const WeightType type : kTypes) {
    CompileOptions options;
    options.weights = type;
    options.costs = &costs;
    options.repetitions = 11;
    for (const Shape& shape : kShapes) {
      options.batched_rows = shape.count;
      for (const FormatSpec& pieces : AllFormats()) {
        if (pieces.type != type) continue;
        for (const double density : kDensities) {
          Tensor weights = RandomMatrix(pieces, shape.rows, shape.cols, density, &rng);
          RoundMatrix(type, shape.cols, weights.values);
          const TunedPart part{"w", {weights.values.data(), shape.rows, shape.cols}, {}};
          const auto choose = [&](Tuning tuning) {
            options.tuning = tuning;
            return ValueOrDie(Tuner(options, kernels).Choose(part, MatrixUse::kBatched));
          };
          const Times measured = TimesOf(choose(Tuning::kMeasure));
          const Choice chosen = choose(Tuning::kCosts);
          const std::string where = std::to_string(shape.rows) + "x" + std::to_string(shape.cols) +
                                    ", " + std::to_string(shape.count) + " of x, " +
                                    std::to_string(density).substr(0, 4) + " in " +
                                    FormatName(pieces) + ": ";
          double least = measured.begin()->second;
          for (const auto& [format, ns] : TimesOf(chosen)) {
            errors->Add(std::abs(ns / measured.at(format) - 1.0), where + format);
            least = std::min(least, measured.at(format));
          }
          const std::string name = FormatName(chosen.spec);
          losses->Add(measured.at(name) / least - 1.0, where + name);
        }
      }
    }
  }
}

int Main(int argc, char** argv) {
  MeasureCostsOptions options;
  options.cpu = "this";
  if (argc == 3 && std::strcmp(argv[1], "--target") == 0) {
    options.target = argv[2];
  } else if (argc > 1) {
    Die("usage: costs_bench [--target NAME]");
  }
  const KernelTable* kernels = ValueOrDie(FindKernels(options.target));
  const CostTable costs = ValueOrDie(MeasureCosts(options));
  Numbers errors;
  Numbers losses;
  Compare(costs, kernels, &errors, &losses);
  std::printf("target %s\n", kernels->target);
  errors.Print("error");
  losses.Print("loss");
  return 0;
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) { return espalier::Main(argc, argv); }
