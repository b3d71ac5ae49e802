#include "train/statistics.h"

#include <cmath>

#include "train/trainer_test_support.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

constexpr char kName[] = "lstm0.weight_hh";

class StatisticsTest : public ::testing::Test {
 protected:
  StatisticsTest() {
    options_.sequences = 24;
    options_.batch_size = 5;
  }

  // One field of one weight.
  std::vector<float> Field(Needs flag, const std::string& name, const Graph& graph) {
    const auto autograd = ValueOrDie(Autograd::Create(graph));
    const auto gathered =
        ValueOrDie(CalibrationStatistics::Gather(flag, data_, options_, autograd.get()));
    EXPECT_EQ(autograd->ToGraph(), graph) << "weights must be left as they are";
    StatisticsSet set;
    gathered.Fill(&set);
    for (const StatisticsField& field : StatisticsFields()) {
      if (field.flag != flag) continue;
      const std::span<const float> found = set[name].*field.field;
      return {found.begin(), found.end()};
    }
    return {};
  }

  Plan FisherPlan(const std::string& granularity) const {
    PruneSpec spec;
    spec.criterion = "fisher";
    spec.granularity = granularity;
    spec.sparsity = 0.5;
    return ValueOrDie(MakePlan(graph_, spec));
  }

  std::vector<std::vector<int64_t>> Sequences() const {
    return SampleBatches(data_, options_.sequences, 1, options_.seed);
  }
  double MeanLoss(const Graph& graph) const {
    const auto autograd = ValueOrDie(Autograd::Create(graph));
    double sum = 0.0;
    LabelledBatch batch;
    for (const auto& indices : Sequences()) {
      MakeBatch(data_, indices, &batch);
      sum += ValueOrDie(autograd->LossAndGradient(batch, LossOptions(), nullptr));
    }
    return sum / static_cast<double>(Sequences().size());
  }

  // What `weight` multiplies over all valid steps of the sequences, [count][cols].
  std::vector<std::vector<double>> InputsOf(const Graph& graph, const std::string& weight,
                                            int64_t first_row) const {
    std::vector<std::vector<double>> rows;
    const MatrixInputFn look = [&](const std::string& name, int64_t first, std::span<double> x) {
      if (name == weight && first == first_row) rows.emplace_back(x.begin(), x.end());
    };
    LabelledBatch batch;
    for (const auto& indices : Sequences()) {
      MakeBatch(data_, indices, &batch);
      StateSet states = ZeroStates(graph, 1);
      EXPECT_TRUE(RunReference(graph, batch.batch, &states, look).ok());
    }
    return rows;
  }

  // What the rows of both matrices of a layer multiply, side by side.
  std::vector<std::vector<double>> InputsOfBoth(const Graph& graph,
                                                const std::string& layer) const {
    auto rows = InputsOf(graph, layer + ".weight_ih", 0);
    const auto of_h = InputsOf(graph, layer + ".weight_hh", 0);
    EXPECT_EQ(rows.size(), of_h.size());
    for (size_t t = 0; t < rows.size(); ++t) {
      rows[t].insert(rows[t].end(), of_h[t].begin(), of_h[t].end());
    }
    return rows;
  }

  const Dataset data_ = MakeData(60, 3);
  const Graph graph_ = MakeGraph(0.3, 0.2);  // dropout, which must be off
  CalibrationOptions options_;
};

TEST_F(StatisticsTest, GradientIsThatOfTheMeanLoss) {
  const std::vector<float> gradient = Field(kNeedsGradient, kName, graph_);
  for (const size_t i : {size_t{0}, size_t{77}, size_t{500}}) {
    constexpr float kStep = 0.02f;
    Graph up = graph_, down = graph_;
    up.weights[kName].values[i] += kStep;
    down.weights[kName].values[i] -= kStep;
    const double expected = (MeanLoss(up) - MeanLoss(down)) / (2.0 * kStep);
    EXPECT_NEAR(gradient[i], expected, 2e-5) << i;
  }
}

TEST_F(StatisticsTest, SquaredGradientIsOfSingleSequences) {
  const std::vector<float> found = Field(kNeedsSquaredGradient, kName, graph_);
  const auto autograd = ValueOrDie(Autograd::Create(graph_));
  std::vector<double> expected(found.size(), 0.0);
  LabelledBatch batch;
  for (const auto& indices : Sequences()) {
    MakeBatch(data_, indices, &batch);
    ASSERT_TRUE(autograd->LossAndGradient(batch, LossOptions(), nullptr).ok());
    for (const WeightSlice& slice : autograd->slices()) {
      if (slice.name != kName) continue;
      for (size_t i = 0; i < slice.size; ++i) {
        expected[i] += std::pow(autograd->gradient()[slice.offset + i], 2.0) / 24.0;
      }
    }
  }
  double largest = 0.0;
  for (const double value : expected) largest = std::max(largest, value);
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-6 * largest);
}

// By the slope of each sequence's loss along one factor of all weights of the group.
TEST_F(StatisticsTest, UnitGradientIsTheSquareOfWhatAllWeightsOfAUnitDoTogether) {
  const Plan plan = FisherPlan("unit");
  const Coupling& coupling = plan.coupling;
  const auto autograd = ValueOrDie(Autograd::Create(graph_));
  const auto gathered = ValueOrDie(CalibrationStatistics::Gather(
      kNeedsSquaredGradient | kNeedsGroupGradient, data_, options_, autograd.get(), &plan));
  StatisticsSet set;
  gathered.Fill(&set);
  ASSERT_EQ(set.squared_group_gradient.size(), coupling.groups.size());
  LabelledBatch batch;
  const auto loss_with = [&](int32_t group, float factor) {
    TensorStore weights = graph_.weights;
    for (const auto& [name, axes] : coupling.weights) {
      for (size_t i = 0; i < weights.at(name).size() && !axes.cols.empty(); ++i) {
        const bool is_its =
            axes.rows[i / axes.cols.size()] == group || axes.cols[i % axes.cols.size()] == group;
        if (is_its) weights.at(name).values[i] *= factor;
      }
    }
    autograd->SetWeights(weights);
    return ValueOrDie(autograd->LossAndGradient(batch, LossOptions(), nullptr));
  };
  for (const UnitLayer& layer : coupling.layers) {
    const int32_t group = layer.groups[2];
    double expected = 0.0;
    for (const auto& indices : Sequences()) {
      MakeBatch(data_, indices, &batch);
      constexpr float kStep = 0.02f;
      const double slope =
          (loss_with(group, 1.0f + kStep) - loss_with(group, 1.0f - kStep)) / (2.0 * kStep);
      expected += slope * slope / 24.0;
    }
    const double found = set.squared_group_gradient[static_cast<size_t>(group)];
    EXPECT_NEAR(found, expected, 0.01 * expected) << layer.name();
  }
}

// The same of what other granularities cut: by the slope along one factor of a piece's weights.
TEST_F(StatisticsTest, GroupGradientIsTheSquareOfWhatAllWeightsOfAPieceDoTogether) {
  for (const char* granularity : {"blocked_4x3", "row", "column", "gate_row"}) {
    const Plan plan = FisherPlan(granularity);
    const auto autograd = ValueOrDie(Autograd::Create(graph_));
    const auto gathered = ValueOrDie(CalibrationStatistics::Gather(
        kNeedsSquaredGradient | kNeedsGroupGradient, data_, options_, autograd.get(), &plan));
    StatisticsSet set;
    gathered.Fill(&set);
    ASSERT_EQ(set.squared_group_gradient.size(), static_cast<size_t>(plan.groups)) << granularity;
    // The one that matters most, so that its slope is not rounding.
    const auto most =
        std::max_element(set.squared_group_gradient.begin(), set.squared_group_gradient.end());
    const auto group = static_cast<int32_t>(most - set.squared_group_gradient.begin());
    size_t members = 0;
    LabelledBatch batch;
    const auto loss_with = [&](float factor) {
      TensorStore weights = graph_.weights;
      members = 0;
      for (const auto& [name, group_of] : plan.group_of) {
        for (size_t i = 0; i < group_of.size(); ++i) {
          if (group_of[i] != group) continue;
          weights.at(name).values[i] *= factor;
          ++members;
        }
      }
      autograd->SetWeights(weights);
      return ValueOrDie(autograd->LossAndGradient(batch, LossOptions(), nullptr));
    };
    double expected = 0.0;
    for (const auto& indices : Sequences()) {
      MakeBatch(data_, indices, &batch);
      constexpr float kStep = 0.02f;
      const double slope = (loss_with(1.0f + kStep) - loss_with(1.0f - kStep)) / (2.0 * kStep);
      expected += slope * slope / 24.0;
    }
    EXPECT_GT(members, 1u) << granularity;
    EXPECT_NEAR(*most, expected, 0.01 * expected) << granularity;
  }
}

TEST_F(StatisticsTest, HessianGradientIsTheGradientsSlopeAlongItself) {
  const std::vector<float> found = Field(kNeedsHessianGradient, kName, graph_);
  // Of all weights, biases too.
  const auto gradient_at = [&](const TensorStore& weights) {
    const auto autograd = ValueOrDie(Autograd::Create(graph_));
    autograd->SetWeights(weights);
    TensorStore sum = weights;
    for (auto& [name, weight] : sum) std::fill(weight.values.begin(), weight.values.end(), 0.0f);
    LabelledBatch batch;
    for (const auto& indices : Sequences()) {
      MakeBatch(data_, indices, &batch);
      EXPECT_TRUE(autograd->LossAndGradient(batch, LossOptions(), nullptr).ok());
      for (const WeightSlice& slice : autograd->slices()) {
        std::vector<float>& values = sum.at(slice.name).values;
        for (size_t i = 0; i < slice.size; ++i) {
          values[i] += autograd->gradient()[slice.offset + i] / 24.0f;
        }
      }
    }
    return sum;
  };
  const TensorStore gradient = gradient_at(graph_.weights);
  constexpr float kStep = 0.2f;
  TensorStore up = graph_.weights, down = graph_.weights;
  for (const auto& [name, g] : gradient) {
    for (size_t i = 0; i < g.size(); ++i) {
      up.at(name).values[i] += kStep * g.values[i];
      down.at(name).values[i] -= kStep * g.values[i];
    }
  }
  const TensorStore above = gradient_at(up), below = gradient_at(down);
  double error = 0.0, size = 0.0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double expected = (above.at(kName).values[i] - below.at(kName).values[i]) / (2.0 * kStep);
    error += (found[i] - expected) * (found[i] - expected);
    size += expected * expected;
  }
  EXPECT_GT(size, 0.0);
  EXPECT_LT(std::sqrt(error / size), 0.02);
}

TEST_F(StatisticsTest, InputPowerIsTheMeanSquareOfWhatARowMultiplies) {
  const auto rows = InputsOf(graph_, kName, 0);
  const std::vector<float> found = Field(kNeedsInputPower, kName, graph_);
  ASSERT_EQ(found.size(), 48u * 12u);
  for (size_t c = 0; c < 12; ++c) {
    double power = 0.0;
    for (const auto& row : rows) power += row[c] * row[c] / static_cast<double>(rows.size());
    EXPECT_NEAR(found[c], power, 1e-6 * power);
    EXPECT_EQ(found[47 * 12 + c], found[c]) << "the same for every row";
  }
}

TEST_F(StatisticsTest, ARowOfACandidateThatResetsBeforeHasItsOwnInputs) {
  Rng rng(4);
  GraphBuilder builder("g", {"x", kInput}, &rng);
  const Graph graph = ValueOrDie(
      builder.Recurrent(CellKind::kGruResetBeforeCell, 6).LastStep().Gemm(kClasses).Finish());
  const std::string name = graph.nodes[0].name + ".weight_hh";
  const std::vector<float> found = Field(kNeedsInputPower, name, graph);
  const auto resets = InputsOf(graph, name, 12);
  double power = 0.0;
  for (const auto& row : resets) power += row[0] * row[0] / static_cast<double>(resets.size());
  EXPECT_NEAR(found[12 * 6], power, 1e-6 * power);
  EXPECT_NE(found[12 * 6], found[0]);
}

// 1 / [M^-1]_cc is what the elimination of all other columns leaves of column c. The products of x
// and h are added up, so they are columns of one matrix.
TEST_F(StatisticsTest, InverseMomentIsWhatTheOtherColumnsDoNotTell) {
  const auto rows = InputsOfBoth(graph_, "lstm0");
  ASSERT_EQ(rows[0].size(), 15u);
  std::vector<std::vector<double>> moment(15, std::vector<double>(15, 0.0));
  double power = 0.0;
  for (const auto& z : rows) {
    for (size_t i = 0; i < 15; ++i) {
      for (size_t j = 0; j < 15; ++j) {
        moment[i][j] += z[i] * z[j] / static_cast<double>(rows.size());
      }
      power += z[i] * z[i] / static_cast<double>(rows.size());
    }
  }
  for (size_t i = 0; i < 15; ++i) moment[i][i] += 0.01 * power / 15.0;
  const auto left_of = [&](size_t column) {
    auto m = moment;
    for (size_t k = 0; k < 15; ++k) {
      for (size_t i = 0; i < 15 && k != column; ++i) {
        if (i == k) continue;
        const double factor = m[i][k] / m[k][k];
        for (size_t j = 0; j < 15; ++j) m[i][j] -= factor * m[k][j];
      }
    }
    return m[column][column];
  };
  const std::vector<float> of_x = Field(kNeedsInverseMoment, "lstm0.weight_ih", graph_);
  const std::vector<float> of_h = Field(kNeedsInverseMoment, "lstm0.weight_hh", graph_);
  EXPECT_NEAR(of_x[47 * 3 + 1], left_of(1), 1e-5 * left_of(1));
  EXPECT_NEAR(of_h[47 * 12 + 4], left_of(3 + 4), 1e-5 * left_of(3 + 4));
}

// Where r scales the second product of a GRU's candidate, neither tells of the other.
TEST_F(StatisticsTest, ACandidateWhoseProductIsScaledHasMatricesByThemselves) {
  const std::vector<float> found = Field(kNeedsInverseMoment, "gru0.weight_hh", graph_);
  const size_t row = 9;
  EXPECT_EQ(found[0], found[(2 * row - 1) * row]) << "r and z";
  EXPECT_GT(found[2 * row * row], found[0]) << "the candidate";
}

// Both matrices at once: what is left of one makes up for what went of the other.
TEST_F(StatisticsTest, ReconstructLeavesNoSmallerErrorOverBothMatrices) {
  MaskSet masks;
  Rng rng(9);
  for (const auto& [name, cols] : {std::pair{"lstm0.weight_ih", 3}, {"lstm0.weight_hh", 12}}) {
    Mask& mask = masks[name] = Mask({48, cols});
    for (uint8_t& keep : mask.keep) keep = rng.Uniform() < 0.5;
  }
  TensorStore masked = graph_.weights;
  ASSERT_TRUE(ApplyMasks(masks, &masked).ok());
  const auto rows = InputsOfBoth(graph_, "lstm0");
  const auto error = [&](const TensorStore& found) {
    double sum = 0.0;
    for (const auto& z : rows) {
      for (size_t row = 0; row < 48; ++row) {
        double y = 0.0;
        for (const char* bias : {"lstm0.bias_ih", "lstm0.bias_hh"}) {
          y += double{found.at(bias).values[row]} - graph_.weights.at(bias).values[row];
        }
        for (size_t c = 0; c < 15; ++c) {
          const std::string name = c < 3 ? "lstm0.weight_ih" : "lstm0.weight_hh";
          const size_t i = c < 3 ? row * 3 + c : row * 12 + c - 3;
          y += z[c] * (double{found.at(name).values[i]} - graph_.weights.at(name).values[i]);
        }
        sum += y * y;
      }
    }
    return sum;
  };
  TensorStore together = masked;
  ASSERT_TRUE(Reconstruct(graph_, data_, options_, masks, &together).ok());
  // By one matrix and then the other, each against its own products.
  TensorStore apart = masked;
  for (const auto& [name, mask] : masks) {
    ASSERT_TRUE(Reconstruct(graph_, data_, options_, {{name, mask}}, &apart).ok());
  }
  EXPECT_LT(error(apart), error(masked));
  EXPECT_LT(error(together), 0.98 * error(apart));
  Rng moves(3);
  for (int repetition = 0; repetition < 20; ++repetition) {
    TensorStore other = together;
    for (const auto& [name, mask] : masks) {
      for (size_t i = 0; i < mask.keep.size(); ++i) {
        EXPECT_TRUE(mask.keep[i] != 0 || together.at(name).values[i] == 0.0f) << name;
        if (mask.keep[i] != 0) other.at(name).values[i] += moves.Uniform(-0.02f, 0.02f);
      }
    }
    EXPECT_GT(error(other), error(together));
  }
}

TEST_F(StatisticsTest, ReconstructLeavesNoSmallerErrorToBeFound) {
  MaskSet masks;
  Mask& mask = masks[kName] = Mask({48, 12});
  Rng rng(9);
  for (uint8_t& keep : mask.keep) keep = rng.Uniform() < 0.5;
  TensorStore weights = graph_.weights;
  ASSERT_TRUE(ApplyMasks(masks, &weights).ok());
  const TensorStore masked = weights;
  ASSERT_TRUE(Reconstruct(graph_, data_, options_, masks, &weights).ok());
  const auto rows = InputsOf(graph_, kName, 0);
  const auto error = [&](const TensorStore& found, size_t row) {
    double sum = 0.0;
    for (const auto& z : rows) {
      double y =
          found.at("lstm0.bias_hh").values[row] - graph_.weights.at("lstm0.bias_hh").values[row];
      for (size_t c = 0; c < 12; ++c) {
        y += z[c] * (double{found.at(kName).values[row * 12 + c]} -
                     graph_.weights.at(kName).values[row * 12 + c]);
      }
      sum += y * y;
    }
    return sum;
  };
  double before = 0.0, after = 0.0;
  for (size_t row = 0; row < 48; ++row) {
    before += error(masked, row);
    after += error(weights, row);
    for (size_t c = 0; c < 12; ++c) {
      if (mask.keep[row * 12 + c] != 0) continue;
      EXPECT_EQ(weights.at(kName).values[row * 12 + c], 0.0f);
    }
    // The bias is not damped: no shift of it helps.
    for (const float shift : {-0.01f, 0.01f}) {
      TensorStore other = weights;
      other.at("lstm0.bias_hh").values[row] += shift;
      EXPECT_GT(error(other, row), error(weights, row));
    }
  }
  EXPECT_LT(after, 0.5 * before);
  for (const auto& [name, weight] : weights) {
    if (name == kName || name == "lstm0.bias_hh") continue;
    EXPECT_EQ(weight, graph_.weights.at(name)) << name << " has no mask";
  }
}

// Both matrices of an LSTM add to one sum, whose bias_ih takes up all; the second product of a
// GRU's candidate, which r scales, has bias_hh.
TEST_F(StatisticsTest, CorrectBiasesKeepsTheMeanOfEachRowAndAllWeights) {
  MaskSet masks;
  Rng rng(9);
  const std::pair<const char*, std::vector<int64_t>> shapes[] = {
      {"lstm0.weight_ih", {48, 3}}, {"lstm0.weight_hh", {48, 12}}, {"gru0.weight_hh", {27, 9}}};
  for (const auto& [name, shape] : shapes) {
    Mask& mask = masks[name] = Mask(shape);
    for (uint8_t& keep : mask.keep) keep = rng.Uniform() < 0.5;
  }
  TensorStore weights = graph_.weights;
  ASSERT_TRUE(ApplyMasks(masks, &weights).ok());
  const TensorStore masked = weights;
  ASSERT_TRUE(CorrectBiases(graph_, data_, options_, masks, &weights).ok());
  for (const auto& [name, weight] : weights) {
    if (name == "lstm0.bias_ih" || name == "gru0.bias_hh") continue;
    EXPECT_EQ(weight, masked.at(name)) << name;
  }
  const auto lost = [&](const std::string& name, size_t row) {
    const auto inputs = InputsOf(graph_, name, 0);
    const size_t cols = inputs[0].size();
    double sum = 0.0;
    for (const auto& z : inputs) {
      for (size_t c = 0; c < cols; ++c) {
        const bool is_gone = masks.at(name).keep[row * cols + c] == 0;
        if (is_gone) sum += z[c] * double{graph_.weights.at(name).values[row * cols + c]};
      }
    }
    return sum / static_cast<double>(inputs.size());
  };
  const auto change = [&](const std::string& bias, size_t row) {
    return double{weights.at(bias).values[row]} - double{masked.at(bias).values[row]};
  };
  double most = 0.0;
  for (const size_t row : {0, 13, 26, 47}) {
    const double expected = lost("lstm0.weight_ih", row) + lost("lstm0.weight_hh", row);
    EXPECT_NEAR(change("lstm0.bias_ih", row), expected, 1e-6) << row;
    if (row < 27) {
      EXPECT_NEAR(change("gru0.bias_hh", row), lost("gru0.weight_hh", row), 1e-6) << row;
    }
    most = std::max(most, std::abs(expected));
  }
  EXPECT_GT(most, 0.01);
}

// An LSTM-12 with a projection to 3.
Graph Projected(const ValueType& input, int64_t classes) {
  Rng rng(4);
  GraphBuilder builder("projected", {"x", input}, &rng);
  GraphBuilder::RecurrentOptions recurrent;
  recurrent.projection_size = 3;
  builder.Recurrent(CellKind::kLstmCell, 12, recurrent).LastStep();
  return ValueOrDie(builder.Gemm(classes).Finish());
}

TEST_F(StatisticsTest, CorrectBiasesChangesNothingOfWhatHasNoBias) {
  const Graph graph = Projected(graph_.inputs[0].type, data_.classes);
  MaskSet masks;
  masks["lstm0.weight_hr"] = Mask({3, 12});
  masks["lstm0.weight_hr"].keep[7] = 0;
  TensorStore weights = graph.weights;
  ASSERT_TRUE(ApplyMasks(masks, &weights).ok());
  const TensorStore masked = weights;
  ASSERT_TRUE(CorrectBiases(graph, data_, options_, masks, &weights).ok());
  EXPECT_EQ(weights, masked);
  PruneSpec spec;
  spec.weights = {"*.weight_hr"};
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  EXPECT_OK(CheckReconstruction(graph, plan, Reconstruction::kWeights));
  ExpectError(CheckReconstruction(graph, plan, Reconstruction::kBias), Code::kInvalidArgument,
              {"reconstruct", "lstm0.weight_hr has no bias"});
  spec.weights = {"lstm0.*"};
  EXPECT_OK(CheckReconstruction(graph, ValueOrDie(MakePlan(graph, spec)), Reconstruction::kBias));
}

// A projection has no bias that could take up what its mean changes.
TEST_F(StatisticsTest, ReconstructLeavesNoSmallerErrorWithoutABias) {
  const Graph graph = Projected(graph_.inputs[0].type, data_.classes);
  const std::string name = "lstm0.weight_hr";
  MaskSet masks;
  Mask& mask = masks[name] = Mask({3, 12});
  for (size_t i = 0; i < mask.keep.size(); ++i) mask.keep[i] = i % 3 == 0 ? 0 : 1;
  TensorStore weights = graph.weights;
  ASSERT_TRUE(ApplyMasks(masks, &weights).ok());
  ASSERT_TRUE(Reconstruct(graph, data_, options_, masks, &weights).ok());
  const auto rows = InputsOf(graph, name, 0);
  const auto error = [&](const TensorStore& found) {
    double sum = 0.0;
    for (const auto& z : rows) {
      for (size_t row = 0; row < 3; ++row) {
        double y = 0.0;
        for (size_t c = 0; c < 12; ++c) {
          y += z[c] * (double{found.at(name).values[row * 12 + c]} -
                       graph.weights.at(name).values[row * 12 + c]);
        }
        sum += y * y;
      }
    }
    return sum;
  };
  const double least = error(weights);
  for (const double factor : {0.9, 1.1}) {
    TensorStore other = weights;
    for (float& value : other.at(name).values) value = static_cast<float>(value * factor);
    EXPECT_GT(error(other), least) << factor;
  }
}

TEST_F(StatisticsTest, ReconstructLeavesRemovedUnitsAtZero) {
  MaskSet masks;
  masks["lstm0.bias_hh"] = Mask({48});
  masks["lstm0.weight_hh"] = Mask({48, 12});
  for (size_t c = 0; c < 12; ++c) masks["lstm0.weight_hh"].keep[c] = 0;
  masks["lstm0.bias_hh"].keep[0] = 0;
  TensorStore weights = graph_.weights;
  ASSERT_TRUE(ApplyMasks(masks, &weights).ok());
  ASSERT_TRUE(Reconstruct(graph_, data_, options_, masks, &weights).ok());
  EXPECT_EQ(weights.at("lstm0.bias_hh").values[0], 0.0f);
}

TEST_F(StatisticsTest, NamesTheOptionThatIsOutOfRange) {
  options_.sequences = 0;
  ExpectError(ValidateCalibration(options_), Code::kInvalidArgument,
              {"calibration.sequences", "at least 1", "0 found"});
}

}  // namespace
}  // namespace espalier
