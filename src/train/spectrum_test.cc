#include "train/spectrum.h"

#include <cmath>

#include "model/reference.h"
#include "prune/units.h"
#include "train/trainer_test_support.h"

namespace espalier {
namespace {

using ::espalier::testing::ValueOrDie;

// h has 5 features, of a projection those of 7 units.
struct Layer {
  CellKind cell;
  int64_t projection = 0;
};

Graph OneLayer(const Layer& layer, Direction direction) {
  Rng rng(7);
  GraphBuilder builder("g", {"x", kInput}, &rng);
  builder.Recurrent(layer.cell, layer.projection > 0 ? 7 : 5, {direction, 0.0, layer.projection});
  return ValueOrDie(builder.LastStep().Gemm(kClasses).Finish());
}

// |J_t|^2 / H by differences of the reference executor, over all steps of the sequences.
double MeanSquare(const Graph& graph, const Dataset& data, const CalibrationOptions& options) {
  Graph cell = graph;
  cell.nodes.resize(1);
  cell.outputs = {cell.nodes[0].output};
  std::erase_if(cell.weights,
                [&](const auto& w) { return !w.first.starts_with(cell.nodes[0].name); });
  const std::string h = DirectionsOf(cell.nodes[0])[0].h;
  double sum = 0.0;
  int64_t count = 0;
  for (const auto& indices : SampleBatches(data, options.sequences, 1, options.seed)) {
    LabelledBatch batch;
    MakeBatch(data, indices, &batch);
    StateSet states = ZeroStates(cell, 1);
    for (int64_t t = 0; t < batch.batch.steps; ++t) {
      const auto begin = batch.batch.features.begin() + t * 3;
      const Batch step{1, 1, {begin, begin + 3}, {}, {1}};
      for (size_t j = 0; j < 5; ++j) {
        constexpr float kStep = 0.01f;
        StateSet up = states, down = states;
        up[h][j] += kStep;
        down[h][j] -= kStep;
        EXPECT_TRUE(RunReference(cell, step, &up).ok());
        EXPECT_TRUE(RunReference(cell, step, &down).ok());
        for (size_t k = 0; k < 5; ++k) {
          const double slope = (double{up[h][k]} - down[h][k]) / (2.0 * kStep);
          sum += slope * slope;
        }
      }
      EXPECT_TRUE(RunReference(cell, step, &states).ok());
      ++count;
    }
  }
  return sum / (5.0 * static_cast<double>(count));
}

class SpectrumTest : public ::testing::TestWithParam<Layer> {
 protected:
  SpectrumTest() { options_.sequences = 400; }
  // The first step of each sequence.
  Dataset FirstSteps() const {
    Dataset single = data_;
    single.offsets = {0};
    single.features.clear();
    for (int64_t i = 0; i < data_.size(); ++i) {
      const auto begin = data_.features.begin() + data_.offsets[static_cast<size_t>(i)] * 3;
      single.features.insert(single.features.end(), begin, begin + 3);
      single.offsets.push_back(i + 1);
    }
    return single;
  }
  // dchi/dw by differences.
  double SlopeOf(const Graph& graph, const Dataset& data, const std::string& name, size_t i) const {
    constexpr float kStep = 0.01f;
    const auto chi_at = [&](float shift) {
      Graph moved = graph;
      moved.weights[name].values[i] += shift;
      return ValueOrDie(FindSpectrum(moved, data, options_)).chi.begin()->second;
    };
    return (chi_at(kStep) - chi_at(-kStep)) / (2.0 * kStep);
  }
  const Dataset data_ = MakeData(400, 3);
  CalibrationOptions options_;
};
INSTANTIATE_TEST_SUITE_P(Cells, SpectrumTest,
                         ::testing::Values(Layer{CellKind::kLstmCell}, Layer{CellKind::kGruCell},
                                           Layer{CellKind::kGruResetBeforeCell},
                                           Layer{CellKind::kRnnTanhCell},
                                           Layer{CellKind::kLstmCell, 5}));

// The estimator's own spread is about 1 % over 1,800 steps.
TEST_P(SpectrumTest, EstimatesTheMeanSquaredSingularValue) {
  const Graph graph = OneLayer(GetParam(), Direction::kForward);
  const Spectrum spectrum = ValueOrDie(FindSpectrum(graph, data_, options_));
  const double chi = spectrum.chi.begin()->second;
  EXPECT_NEAR(chi / MeanSquare(graph, data_, options_), 1.0, 0.04);
}

// With states before it, h_{t-1} moves with the weights, too, which the gradient leaves out.
TEST_P(SpectrumTest, GradientIsExactWhereNoStateCameBefore) {
  const Dataset single = FirstSteps();
  const Graph graph = OneLayer(GetParam(), Direction::kForward);
  options_.sequences = 50;
  const Spectrum spectrum = ValueOrDie(FindSpectrum(graph, single, options_));
  for (const auto& [name, gradient] : spectrum.gradient) {
    double largest = 0.0;
    for (const float g : gradient.values) largest = std::max(largest, std::abs(double{g}));
    for (const size_t i : {size_t{0}, gradient.size() / 2, gradient.size() - 1}) {
      const double expected = SlopeOf(graph, single, name, i);
      EXPECT_NEAR(gradient.values[i], expected, 0.01 * largest + 1e-6) << name << " " << i;
    }
  }
}

// The matrices of a step, and rows and columns of unit k in each: what criterion `jacobian` sums
// up; no chi depends on the Gemm.
TEST_P(SpectrumTest, UnitScoreSumsWhatChiLosesByEachWeightOfTheUnit) {
  if (GetParam().projection > 0) GTEST_SKIP() << "two kinds of units: scored_test.cc";
  const Dataset single = FirstSteps();
  const Graph graph = OneLayer(GetParam(), Direction::kForward);
  options_.sequences = 10;
  PruneSpec spec;
  spec.criterion = "jacobian";
  spec.granularity = "unit";
  spec.sparsity = 0.4;
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  const Spectrum spectrum = ValueOrDie(FindSpectrum(graph, single, options_));
  StatisticsSet statistics = StatisticsOf(graph.weights);
  for (const auto& [name, gradient] : spectrum.gradient) {
    statistics[name].spectrum_gradient = gradient.values;
  }
  const std::vector<float> scores =
      UnitScores(plan.coupling, plan.criterion->grouping,
                 ValueOrDie(SaliencyOfAll(plan, *plan.criterion, 1, statistics)));
  std::vector<double> expected(5, 0.0);
  for (const auto& [name, gradient] : spectrum.gradient) {
    const size_t cols = static_cast<size_t>(gradient.dim(1));
    for (size_t i = 0; i < gradient.size(); ++i) {
      const double change =
          std::abs(SlopeOf(graph, single, name, i) * double{graph.weights.at(name).values[i]});
      const size_t row = i / cols % 5;
      expected[row] += change;
      if (name.ends_with("weight_hh") && i % cols != row) expected[i % cols] += change;
    }
  }
  for (size_t k = 0; k < 5; ++k) {
    const auto group = static_cast<size_t>(plan.coupling.layers[0].groups[k]);
    EXPECT_NEAR(scores[group], expected[k], 0.01 * expected[k] + 1e-6) << k;
  }
}

TEST(Spectrum, CoversBothDirections) {
  const Graph graph = OneLayer({CellKind::kLstmCell}, Direction::kBidirectional);
  CalibrationOptions options;
  options.sequences = 4;
  const Spectrum spectrum = ValueOrDie(FindSpectrum(graph, MakeData(10, 3), options));
  EXPECT_EQ(spectrum.chi.size(), 2u);
  EXPECT_EQ(spectrum.gradient.size(), 4u);
}

}  // namespace
}  // namespace espalier
