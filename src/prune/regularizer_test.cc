// Every regularizer over several granularities: its gradients against finite differences of what it
// says it adds to the loss, and what it folds to.
#include "prune/regularizer.h"

#include <cmath>

#include "prune/plan_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::Digits;
using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::Words;

// A graph's weights side by side, and the pieces of one granularity over them.
struct Flat {
  explicit Flat(const Graph& graph, const std::string& granularity) {
    for (const auto& [name, tensor] : graph.weights) {
      offsets[name] = weights.size();
      weights.insert(weights.end(), tensor.values.begin(), tensor.values.end());
    }
    RegularizerSpec spec;
    spec.name = "dropout";
    spec.granularity = granularity;
    pieces = ValueOrDie(PiecesFor(graph, spec, PruneSpec(), offsets));
  }
  std::map<std::string, size_t> offsets;
  std::vector<float> weights;
  Pieces pieces;
};

// A regularizer at work: parameters away from where they start, so that nothing is at an edge.
struct Work {
  Work(const Regularizer& regularizer, const Graph& graph, const std::string& granularity)
      : kind(regularizer),
        flat(graph, granularity),
        spreads(PoolSpreads(flat.pieces, flat.weights)) {
    spec.name = kind.name;
    spec.strength = kind.strength == StrengthKind::kRate ? 0.4 : 0.3;
    if (kind.parameter_count == nullptr) return;
    parameters.resize(kind.parameter_count(flat.pieces));
    kind.start(Context(), flat.weights, parameters);
    Rng rng(11);
    for (float& parameter : parameters) parameter += rng.Uniform(-0.3f, 0.3f);
  }
  RegularizerContext Context() const {
    return {flat.pieces, spec, spec.strength, kSequences, spreads};
  }
  // With the same draws each time.
  std::vector<float> Sampled(std::vector<float> weights, std::vector<float>* noise) const {
    Rng rng(3);
    if (kind.sample != nullptr) kind.sample(Context(), parameters, &rng, weights, noise);
    return weights;
  }

  static constexpr double kSequences = 7.0;
  const Regularizer& kind;
  Flat flat;
  std::vector<double> spreads;
  RegularizerSpec spec;
  std::vector<float> parameters;
};

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// Molchanov et al. 2017, eq. 14, with the sign of a penalty.
double Kl(double log_alpha) {
  const double k1 = 0.63576, k2 = 1.87320, k3 = 1.48695;
  return -(k1 * Sigmoid(k2 + k3 * log_alpha) - 0.5 * std::log(1.0 + std::exp(-log_alpha)) - k1);
}

double Square(double x) { return x * x; }

// What the regularizer adds to the loss, in the words of the papers.
double Penalty(const Work& work, const std::vector<float>& weights) {
  const Pieces& pieces = work.flat.pieces;
  const std::string name = work.kind.name;
  double sum = 0.0;
  if (name == "group_lasso") {
    for (const double norm : PieceNorms(pieces, weights)) sum += std::sqrt(norm * norm + 1e-8);
    return work.spec.strength * sum;
  }
  if (name == "hard_concrete") {
    for (const float a : work.parameters) {
      sum += Sigmoid(static_cast<double>(a) - 2.0 / 3.0 * std::log(0.1 / 1.1));
    }
    return work.spec.strength * sum;
  }
  if (name != "sparse_vd") return 0.0;
  for (size_t i = 0; i < pieces.count(); ++i) {
    const float mean =
        pieces.is_single ? weights[pieces.members[i].element] : work.parameters[pieces.count() + i];
    const double log_alpha =
        static_cast<double>(work.parameters[i]) - std::log(Square(static_cast<double>(mean)));
    if (log_alpha < 8.0) sum += Kl(log_alpha);
  }
  return work.spec.strength / Work::kSequences * sum;
}

// A smooth loss of the sampled weights, 1/2 sum_i (c_i s_i^2) + d_i s_i.
struct Loss {
  explicit Loss(size_t size) {
    Rng rng(5);
    for (size_t i = 0; i < size; ++i) {
      c.push_back(rng.Uniform(-1.0f, 1.0f));
      d.push_back(rng.Uniform(-1.0f, 1.0f));
    }
  }
  double At(const std::vector<float>& sampled) const {
    double sum = 0.0;
    for (size_t i = 0; i < c.size(); ++i) {
      const auto s = static_cast<double>(sampled[i]);
      sum += 0.5 * static_cast<double>(c[i]) * s * s + static_cast<double>(d[i]) * s;
    }
    return sum;
  }
  std::vector<float> Gradient(const std::vector<float>& sampled) const {
    std::vector<float> gradient;
    for (size_t i = 0; i < c.size(); ++i) gradient.push_back(c[i] * sampled[i] + d[i]);
    return gradient;
  }
  std::vector<float> c, d;
};

double Objective(const Work& work, const Loss& loss, const std::vector<float>& weights) {
  std::vector<float> noise;
  return loss.At(work.Sampled(weights, &noise)) + Penalty(work, weights);
}

// (value(+step) - value(-step)) / (2 step), changing *what.
template <typename Value>
double Difference(float* what, float step, const Value& value) {
  const float before = *what;
  *what = before + step;
  const double up = value();
  const double high = static_cast<double>(*what);
  *what = before - step;
  const double down = value();
  const double low = static_cast<double>(*what);
  *what = before;
  return (up - down) / (high - low);
}

using Case = std::tuple<const Regularizer*, const char*>;
class EveryRegularizer : public ::testing::TestWithParam<Case> {
 protected:
  static const Regularizer& Kind() { return *std::get<0>(GetParam()); }
  static std::string Granularity() { return std::get<1>(GetParam()); }
  Graph graph_ = Granularity() == "embedding_column" ? Words() : Digits();
};
INSTANTIATE_TEST_SUITE_P(
    List, EveryRegularizer,
    ::testing::Combine(::testing::ValuesIn(AllRegularizers().begin(), AllRegularizers().end()),
                       ::testing::Values("element", "blocked_4x4", "row", "gate_row",
                                         "input_feature", "unit", "embedding_column", "layer")),
    [](const auto& each) {
      return std::string(std::get<0>(each.param)->name) + "_" + std::get<1>(each.param);
    });

TEST_P(EveryRegularizer, PullsTheGradientOfLossAndPenaltyBack) {
  // Straight-through: tested below.
  if (&Kind() == &regularizers::learned_threshold || &Kind() == &regularizers::soft_movement) {
    return;
  }
  Work work(Kind(), graph_, Granularity());
  const Loss loss(work.flat.weights.size());
  std::vector<float> noise;
  std::vector<float> gradient = loss.Gradient(work.Sampled(work.flat.weights, &noise));
  std::vector<float> parameter_gradient(work.parameters.size());
  if (Kind().pull != nullptr) {
    Kind().pull(work.Context(), work.parameters, {work.flat.weights, noise}, gradient,
                parameter_gradient);
  }
  const auto objective = [&] { return Objective(work, loss, work.flat.weights); };
  const auto expect = [&](float* what, float found, const std::string& name) {
    const double expected = Difference(what, 1e-3f * std::max(0.05f, std::abs(*what)), objective);
    EXPECT_NEAR(static_cast<double>(found), expected, 2e-3 * std::max(1.0, std::abs(expected)))
        << name;
  };
  for (size_t i = 0; i < gradient.size(); i += 97) {
    expect(&work.flat.weights[i], gradient[i], "weight " + std::to_string(i));
  }
  const size_t stride = work.parameters.size() > 60 ? 41 : 1;
  for (size_t i = 0; i < parameter_gradient.size(); i += stride) {
    expect(&work.parameters[i], parameter_gradient[i], "parameter " + std::to_string(i));
  }
}

TEST_P(EveryRegularizer, BeginsAsTheNetworkThatItIsGiven) {
  Work work(Kind(), graph_, Granularity());
  if (Kind().fold == nullptr) return;
  Kind().start(work.Context(), work.flat.weights, work.parameters);
  std::vector<float> folded = work.flat.weights;
  Kind().fold(work.Context(), work.parameters, folded);
  size_t zeros = 0;
  for (size_t i = 0; i < folded.size(); ++i) {
    if (folded[i] == 0.0f) {  // sparse_vd: a weight below sigma / e^1.5 is noise from the start
      zeros += work.flat.weights[i] != 0.0f;
      continue;
    }
    EXPECT_EQ(folded[i], work.flat.weights[i]) << i;
  }
  EXPECT_LT(zeros, folded.size() / 100);
}

TEST_P(EveryRegularizer, TouchesNothingButItsPieces) {
  Work work(Kind(), graph_, Granularity());
  std::vector<uint8_t> is_member(work.flat.weights.size(), 0);
  for (const PieceMember& member : work.flat.pieces.members) is_member[member.element] = 1;
  std::vector<float> noise;
  std::vector<float> changed = work.Sampled(work.flat.weights, &noise);
  if (Kind().project != nullptr) Kind().project(work.Context(), 0.1, changed);
  if (Kind().fold != nullptr) Kind().fold(work.Context(), work.parameters, changed);
  for (size_t i = 0; i < changed.size(); ++i) {
    if (is_member[i] != 0) continue;
    EXPECT_EQ(changed[i], work.flat.weights[i]) << i;
  }
}

// x minimises 1/2 |x - w|^2 + t sum_G |x_G| if x_G - w_G + t x_G / |x_G| = 0 where it is not 0, and
// |w_G| <= t where it is.
TEST(ProximalGroupLasso, TakesTheProximalStepWherePiecesDoNotOverlap) {
  for (const char* granularity : {"element", "blocked_4x4", "gate_row", "input_feature"}) {
    Work work(regularizers::proximal_group_lasso, Digits(), granularity);
    const Pieces& pieces = work.flat.pieces;
    const std::vector<double> norms = PieceNorms(pieces, work.flat.weights);
    std::vector<double> sorted = norms;
    std::sort(sorted.begin(), sorted.end());
    const double threshold = 0.5 * (sorted[sorted.size() / 2 - 1] + sorted[sorted.size() / 2]);
    std::vector<float> x = work.flat.weights;
    work.kind.project(work.Context(), threshold / work.spec.strength, x);
    const std::vector<double> after = PieceNorms(pieces, x);
    size_t gone = 0;
    for (size_t i = 0; i < norms.size(); ++i) {
      EXPECT_EQ(after[i] == 0.0, norms[i] <= threshold) << granularity << " piece " << i;
      gone += after[i] == 0.0;
    }
    EXPECT_EQ(gone, norms.size() / 2) << granularity;
    for (const PieceMember& member : pieces.members) {
      const auto norm = after[static_cast<size_t>(member.gate)];
      if (norm == 0.0) continue;
      const auto xi = static_cast<double>(x[member.element]);
      EXPECT_NEAR(
          xi - static_cast<double>(work.flat.weights[member.element]) + threshold * xi / norm, 0.0,
          1e-6);
    }
  }
}

TEST(Pieces, CountAWeightInTheUnitsOfItsRowAndItsColumn) {
  const Graph graph = Digits();  // lstm0: 28 -> 24
  const Flat flat(graph, "unit");
  const size_t first = flat.offsets.at("lstm0.weight_hh");
  const auto member_at = [&](size_t row, size_t col) {
    for (const PieceMember& member : flat.pieces.members) {
      if (member.element == first + row * 24 + col) return member;
    }
    return PieceMember();
  };
  const PieceMember off = member_at(24 + 3, 5);  // gate f of unit 3 reads unit 5
  const PieceMember unit5 = member_at(5, 5);
  const PieceMember unit3 = member_at(3, 3);
  EXPECT_EQ(off.gate, unit5.gate) << "what is read of a unit has its gate";
  EXPECT_EQ(off.also, unit3.gate);
  EXPECT_EQ(unit3.also, -1) << "both are one unit, and it counts once";
  // Rows of 4 gates over 28 inputs, rows and columns of 96x24 but for the diagonals, and what the
  // 3 gates of 20 units of gru0 read.
  EXPECT_EQ(flat.pieces.sizes[static_cast<size_t>(unit3.gate)],
            4 * 28 + (4 * 24 + 96 - 4) + 3 * 20);
}

TEST(Pieces, GateTheColumnOfAnEmbeddingOnceOnItsWay) {
  const Graph graph = Words();
  const Flat flat(graph, "embedding_column");
  const size_t first = flat.offsets.at("embedding0.weight");
  const size_t size = graph.weights.at("embedding0.weight").size();
  for (const PieceMember& member : flat.pieces.members) {
    const bool is_embedding = member.element >= first && member.element < first + size;
    EXPECT_EQ(member.gate >= 0, is_embedding);
    EXPECT_EQ(member.also >= 0, !is_embedding);
  }
}

TEST(Dropout, DropsWholeUnitsInEveryColumnThatReadsThem) {
  Work work(regularizers::dropout, Digits(), "unit");
  std::vector<float> noise;
  const std::vector<float> sampled = work.Sampled(work.flat.weights, &noise);
  size_t dropped = 0;
  for (const float gate : noise) {
    EXPECT_TRUE(gate == 0.0f || gate == static_cast<float>(1.0 / 0.6));
    dropped += gate == 0.0f;
  }
  EXPECT_GT(dropped, 44u / 5);
  EXPECT_LT(dropped, 44u * 3 / 5);
  for (const PieceMember& member : work.flat.pieces.members) {
    const float gate = member.gate < 0 ? 1.0f : noise[static_cast<size_t>(member.gate)];
    EXPECT_EQ(sampled[member.element], work.flat.weights[member.element] * gate);
  }
}

TEST(TargetedDropout, DropsOnlyTheSmallest) {
  Work work(regularizers::targeted_dropout, Digits(), "gate_row");
  work.spec.strength = 0.99;
  work.spec.share = 0.25;
  std::vector<float> noise;
  work.Sampled(work.flat.weights, &noise);
  const std::vector<double> sizes = PieceSizes(work.flat.pieces, work.flat.weights);
  for (int32_t pool = 0; pool < work.flat.pieces.pools; ++pool) {
    double most_dropped = 0.0, least_kept = 1e9;
    size_t dropped = 0, count = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (work.flat.pieces.pool_of[i] != pool) continue;
      ++count;
      if (noise[i] == 0.0f) most_dropped = std::max(most_dropped, sizes[i]);
      dropped += noise[i] == 0.0f;
    }
    EXPECT_LE(dropped, count / 4);
    EXPECT_GT(dropped, count / 5);
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (work.flat.pieces.pool_of[i] == pool && noise[i] != 0.0f) {
        least_kept = std::min(least_kept, sizes[i]);
      }
    }
    // One of the quarter may stay by chance; none larger goes.
    std::vector<double> in_pool;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (work.flat.pieces.pool_of[i] == pool) in_pool.push_back(sizes[i]);
    }
    std::sort(in_pool.begin(), in_pool.end());
    EXPECT_LT(most_dropped, in_pool[count / 4]);
  }
}

// The distribution of the paper: P(z = 0) = sigmoid(b ln(0.1 / 1.1) - a), and half of the mass of
// z lies on either side of the stretched sigmoid of a.
TEST(HardConcrete, DrawsZeroAsOftenAsItsPenaltySays) {
  Work work(regularizers::hard_concrete, Digits(), "element");
  std::fill(work.parameters.begin(), work.parameters.end(), -0.7f);
  std::vector<float> noise;
  work.Sampled(work.flat.weights, &noise);
  const size_t count = work.flat.pieces.count();
  const double zeros = static_cast<double>(std::count(
                           noise.begin(), noise.begin() + static_cast<ptrdiff_t>(count), 0.0f)) /
                       static_cast<double>(count);
  const double expected = 1.0 - Sigmoid(-0.7 - 2.0 / 3.0 * std::log(0.1 / 1.1));
  EXPECT_NEAR(zeros, expected,
              4.0 * std::sqrt(expected * (1.0 - expected) / static_cast<double>(count)));
}

TEST(HardConcrete, FoldsClosedUnitsToZeroesEverywhere) {
  Work work(regularizers::hard_concrete, Digits(), "unit");
  std::fill(work.parameters.begin(), work.parameters.end(), 3.0f);
  work.parameters[5] = -3.0f;
  std::vector<float> folded = work.flat.weights;
  work.kind.fold(work.Context(), work.parameters, folded);
  for (const PieceMember& member : work.flat.pieces.members) {
    const bool is_of_unit = member.gate == 5 || member.also == 5;
    EXPECT_EQ(folded[member.element], is_of_unit ? 0.0f : work.flat.weights[member.element]);
  }
}

TEST(SparseVd, FoldsToZeroWhatIsNoise) {
  Work work(regularizers::sparse_vd, Digits(), "element");
  const auto& members = work.flat.pieces.members;
  std::vector<float> folded = work.flat.weights;
  const auto w = static_cast<double>(folded[members[10].element]);
  work.parameters[10] = static_cast<float>(std::log(w * w) + 3.01);
  work.parameters[11] =
      static_cast<float>(std::log(Square(static_cast<double>(folded[members[11].element]))) + 2.99);
  work.kind.fold(work.Context(), work.parameters, folded);
  EXPECT_EQ(folded[members[10].element], 0.0f);
  EXPECT_EQ(folded[members[11].element], work.flat.weights[members[11].element]);
}

// With the step of each gate replaced by the sigmoid that its gradient is said to be of.
TEST(LearnedThreshold, MovesItsThresholdsAsTheSigmoidSays) {
  for (const char* granularity : {"element", "gate_row", "unit"}) {
    Work work(regularizers::learned_threshold, Digits(), granularity);
    std::fill(work.parameters.begin(), work.parameters.end(), 0.8f);
    const Pieces& pieces = work.flat.pieces;
    const Loss loss(work.flat.weights.size());
    std::vector<float> noise;
    const std::vector<float> sampled = work.Sampled(work.flat.weights, &noise);
    std::vector<float> gradient = loss.Gradient(sampled);
    const std::vector<double> by_gate = GateGradients(pieces, work.flat.weights, gradient);
    std::vector<float> found(work.parameters.size());
    work.kind.pull(work.Context(), work.parameters, {work.flat.weights, noise}, gradient, found);
    const std::vector<double> sizes = PieceSizes(pieces, work.flat.weights);
    const auto surrogate = [&] {
      double sum = 0.0;
      for (size_t i = 0; i < pieces.count(); ++i) {
        const auto pool = static_cast<size_t>(pieces.pool_of[i]);
        const double v = sizes[i] / work.spreads[pool];
        EXPECT_EQ(noise[i], v >= 0.8 - 1e-6 ? 1.0f : 0.0f);
        sum += (by_gate[i] + work.spec.strength * v) *
               Sigmoid((v - static_cast<double>(work.parameters[pool])) / 0.1);
      }
      return sum;
    };
    for (size_t pool = 0; pool < found.size(); ++pool) {
      const double expected = Difference(&work.parameters[pool], 1e-3f, surrogate);
      EXPECT_NEAR(static_cast<double>(found[pool]), expected, 2e-3 * std::abs(expected) + 1e-3)
          << granularity;
    }
  }
}

// dL/dS = sum (dL/dw') w + strength sigmoid'(S), and weights get the gradient of what was masked.
TEST(SoftMovement, MovesScoresAgainstWhatWeightsGainByMoving) {
  for (const char* granularity : {"element", "gate_row", "unit"}) {
    Work work(regularizers::soft_movement, Digits(), granularity);
    const Pieces& pieces = work.flat.pieces;
    Rng rng(3);
    for (float& score : work.parameters) score = rng.Uniform(-4.0f, 1.0f);
    const Loss loss(work.flat.weights.size());
    std::vector<float> noise;
    const std::vector<float> sampled = work.Sampled(work.flat.weights, &noise);
    const std::vector<float> before = loss.Gradient(sampled);
    std::vector<float> gradient = before;
    std::vector<float> found(work.parameters.size());
    work.kind.pull(work.Context(), work.parameters, {work.flat.weights, noise}, gradient, found);
    EXPECT_EQ(gradient, before);
    std::vector<double> expected(pieces.count(), 0.0);
    for (const PieceMember& member : pieces.members) {
      if (member.gate < 0) continue;
      const auto piece = static_cast<size_t>(member.gate);
      expected[piece] += static_cast<double>(before[member.element]) *
                         static_cast<double>(work.flat.weights[member.element]);
      // sigmoid(S) > 0.1 where S > -ln 9.
      const bool is_open = static_cast<double>(work.parameters[piece]) > -std::log(9.0);
      if (!is_open) {
        EXPECT_EQ(sampled[member.element], 0.0f);
      }
    }
    size_t closed = 0;
    std::vector<float> folded = work.flat.weights;
    work.kind.fold(work.Context(), work.parameters, folded);
    for (size_t i = 0; i < pieces.count(); ++i) {
      const auto score = static_cast<double>(work.parameters[i]);
      const double s = Sigmoid(score);
      EXPECT_NEAR(static_cast<double>(found[i]), expected[i] + work.spec.strength * s * (1.0 - s),
                  1e-5);
      closed += score <= -std::log(9.0) ? 1 : 0;
    }
    EXPECT_GT(closed, 0u);
    if (std::string(granularity) != "element") continue;
    EXPECT_EQ(static_cast<size_t>(std::count(folded.begin(), folded.end(), 0.0f)),
              closed + static_cast<size_t>(
                           std::count(work.flat.weights.begin(), work.flat.weights.end(), 0.0f)));
  }
}

TEST(Regularizer, RefusesWhatMakesNoSense) {
  const auto check = [](RegularizerSpec spec) { return ValidateRegularizer(spec); };
  ExpectError(check({.name = "l0", .strength = 1.0}), Code::kInvalidArgument,
              {"regularizer 'l0'", "hard_concrete"});
  ExpectError(check({.name = "group_lasso"}), Code::kInvalidArgument,
              {"strength: a number above 0 expected, 0 found"});
  ExpectError(check({.name = "dropout", .strength = 1.0}), Code::kInvalidArgument,
              {"strength: a rate in (0, 1) expected, 1 found"});
  ExpectError(check({.name = "dropout", .strength = 0.5, .granularity = "unti"}),
              Code::kInvalidArgument, {"'unti'", "unit"});
  ExpectError(check({.name = "dropout", .strength = 0.5, .warmup_epochs = -1.0}),
              Code::kInvalidArgument, {"warmup_epochs", "-1 found"});
  const std::map<std::string, size_t> offsets;
  for (const char* granularity : {"slot_8x16", "nm_4x4x2", "bank_8", "column_balanced_4"}) {
    ExpectError(
        PiecesFor(Digits(), {.name = "dropout", .strength = 0.5, .granularity = granularity},
                  PruneSpec(), offsets)
            .status(),
        Code::kInvalidArgument, {"regularizer dropout", "stay the same", granularity});
  }
}

}  // namespace
}  // namespace espalier
