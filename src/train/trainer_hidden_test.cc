// Distillation of hidden states: what it adds to the loss, its gradient, and which of the teacher's
// units those of a smaller student are compared with.
#include <cmath>

#include "prune/compact.h"
#include "train/train_options.h"
#include "train/trainer_test_support.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

class HiddenTest : public TrainerTest {
 protected:
  HiddenTest() : student_(MakeGraph(0.0, 0.0)), teacher_(student_) {
    Rng rng(12);
    for (auto& [name, tensor] : teacher_.weights) {
      for (float& value : tensor.values) value += rng.Uniform(-0.3f, 0.3f);
    }
    MakeBatch(train_, std::vector<int64_t>{0, 3, 5, 7, 11, 12}, &batch_);
  }
  Distillation FromTeacher(const Graph& teacher) const {
    Distillation distillation;
    distillation.teacher = &teacher;
    distillation.hidden_weight = 1.0;
    return distillation;
  }
  Teaching Teach(const Graph& teacher, const FeatureChoice& choice) {
    Teaching teaching;
    EXPECT_TRUE(ValueOrDie(Autograd::Create(teacher))->Teach(batch_.batch, choice, &teaching).ok());
    return teaching;
  }
  // What hidden states add to the loss of `student` at this weight.
  double Added(Autograd* student, const Teaching& teaching, double weight) {
    Rng rng(1);
    LossOptions loss;
    const double without = ValueOrDie(student->LossAndGradient(batch_, loss, &rng));
    loss.hidden = &teaching;
    loss.hidden_weight = weight;
    return ValueOrDie(student->LossAndGradient(batch_, loss, &rng)) - without;
  }
  // The mean over layers of the mean over valid steps and features, by the reference executor.
  double Expected(const Graph& student, const Graph& teacher) {
    StateSet a = ZeroStates(student, batch_.batch.size), b = ZeroStates(teacher, batch_.batch.size);
    const auto x = ValueOrDie(RunReference(student, batch_.batch, &a));
    const auto y = ValueOrDie(RunReference(teacher, batch_.batch, &b));
    double total = 0.0;
    for (const Node& node : student.nodes) {
      if (node.op != Op::kRecurrent) continue;
      double sum = 0.0, count = 0.0;
      for (int64_t s = 0; s < batch_.batch.size; ++s) {
        for (int64_t t = 0; t < batch_.batch.lengths[static_cast<size_t>(s)]; ++t) {
          for (int64_t f = 0; f < node.hidden_size; ++f) {
            const double gap = static_cast<double>(x.at(node.output).row(t, s)[f]) -
                               static_cast<double>(y.at(node.output).row(t, s)[f]);
            sum += gap * gap;
            count += 1.0;
          }
        }
      }
      total += sum / count / 2.0;
    }
    return total;
  }

  Graph student_;
  Graph teacher_;
  LabelledBatch batch_;
};

TEST_F(HiddenTest, AddsTheMeanSquaredDifferenceOverValidSteps) {
  const Teaching teaching =
      Teach(teacher_, ValueOrDie(HiddenFeatures(student_, FromTeacher(teacher_))));
  const auto autograd = ValueOrDie(Autograd::Create(student_));
  const double expected = Expected(student_, teacher_);
  EXPECT_GT(expected, 1e-3);
  EXPECT_NEAR(Added(autograd.get(), teaching, 1.0), expected, 1e-5);
  EXPECT_NEAR(Added(autograd.get(), teaching, 10.0), 10.0 * expected, 1e-4);
}

TEST_F(HiddenTest, HasTheGradientOfThatDifference) {
  const Teaching teaching =
      Teach(teacher_, ValueOrDie(HiddenFeatures(student_, FromTeacher(teacher_))));
  const auto autograd = ValueOrDie(Autograd::Create(student_));
  const double weight = 100.0;  // so that rounding of the loss does not matter
  Added(autograd.get(), teaching, 0.0);
  const std::vector<float> plain(autograd->gradient().begin(), autograd->gradient().end());
  Added(autograd.get(), teaching, weight);
  const std::vector<float> both(autograd->gradient().begin(), autograd->gradient().end());
  double largest = 0.0;
  for (const WeightSlice& slice : autograd->slices()) {
    for (size_t i = slice.offset; i < slice.offset + slice.size; i += 29) {
      float& w = autograd->weights()[i];
      const float before = w;
      w = before + 1e-2f;
      const double up = Expected(autograd->ToGraph(), teacher_);
      w = before - 1e-2f;
      const double down = Expected(autograd->ToGraph(), teacher_);
      w = before;
      const double expected = weight * (up - down) / 2e-2;
      const double found = static_cast<double>(both[i]) - static_cast<double>(plain[i]);
      EXPECT_NEAR(found, expected, 2e-3 + 1e-2 * std::abs(expected)) << slice.name << " " << i;
      largest = std::max(largest, std::abs(expected));
    }
  }
  EXPECT_GT(largest, 0.1);
}

// The student is the teacher without units that influence nothing, so with the right selector their
// states are the same.
TEST_F(HiddenTest, ComparesASmallerStudentWithTheUnitsThatItHasKept) {
  PruneSpec spec;
  spec.granularity = "unit";
  spec.sparsity = 0.4;
  const Plan plan = ValueOrDie(MakePlan(teacher_, spec));
  const MaskSet masks =
      ValueOrDie(MakeMasks(plan, spec.sparsity, StatisticsOf(teacher_.weights), {}));
  ASSERT_TRUE(ApplyMasks(masks, &teacher_.weights).ok());
  const Compacted compacted = ValueOrDie(CompactZeros(teacher_));
  const Graph& small = compacted.graph;
  Distillation distillation = FromTeacher(teacher_);
  ExpectError(HiddenFeatures(small, distillation).status(), Code::kInvalidArgument,
              {"distillation.hidden", "lstm0", "record of which were kept", "12"});
  distillation.kept_units = KeptUnits(compacted.coupling, compacted.keep);
  const FeatureChoice choice = ValueOrDie(HiddenFeatures(small, distillation));
  const auto autograd = ValueOrDie(Autograd::Create(small));
  EXPECT_NEAR(Added(autograd.get(), Teach(teacher_, choice), 1000.0), 0.0, 1e-5);
  FeatureChoice wrong = choice;
  std::reverse(wrong.begin()->second.begin(), wrong.begin()->second.end());
  EXPECT_GT(Added(autograd.get(), Teach(teacher_, wrong), 1000.0), 1.0);
}

// What others see of an LSTMP is its projection, not its cells.
TEST_F(HiddenTest, ComparesTheProjectedStates) {
  Rng rng(3);
  GraphBuilder builder("projected", {"x", kInput}, &rng);
  builder.Recurrent(CellKind::kLstmCell, 12, {.projection_size = 5}).LastStep().Gemm(kClasses);
  Graph teacher = ValueOrDie(builder.Finish());
  PruneSpec spec;
  spec.granularity = "unit";
  spec.sparsity = 0.4;
  const Plan plan = ValueOrDie(MakePlan(teacher, spec));
  const MaskSet masks =
      ValueOrDie(MakeMasks(plan, spec.sparsity, StatisticsOf(teacher.weights), {}));
  ASSERT_TRUE(ApplyMasks(masks, &teacher.weights).ok());
  const Compacted compacted = ValueOrDie(CompactZeros(teacher));
  ASSERT_LT(compacted.graph.nodes[0].projection_size, 5);
  Distillation distillation = FromTeacher(teacher);
  ExpectError(HiddenFeatures(compacted.graph, distillation).status(), Code::kInvalidArgument,
              {"lstm0_projection", "units expected in the teacher", "5 of 5 found"});
  distillation.kept_units = KeptUnits(compacted.coupling, compacted.keep);
  const FeatureChoice choice = ValueOrDie(HiddenFeatures(compacted.graph, distillation));
  const auto autograd = ValueOrDie(Autograd::Create(compacted.graph));
  EXPECT_NEAR(Added(autograd.get(), Teach(teacher, choice), 1000.0), 0.0, 1e-5);
}

TEST_F(HiddenTest, RefusesANetworkWithoutHiddenStates) {
  Rng rng(3);
  GraphBuilder builder("plain", {"x", kInput}, &rng);
  const Graph plain = ValueOrDie(builder.MeanOverTime().Gemm(kClasses).Finish());
  ExpectError(HiddenFeatures(plain, FromTeacher(plain)).status(), Code::kInvalidArgument,
              {"distillation.hidden: a recurrent layer in graph 'plain' expected"});
}

TEST_F(HiddenTest, DrawsTheStatesOfAStudentToItsTeachers) {
  job_.graph = student_;
  const double before = Expected(student_, teacher_);
  options_.learning_rate.peak = 3e-3;
  options_.epochs = 5;
  job_.distillation = FromTeacher(teacher_);
  job_.distillation.weight = 0.0;
  const Graph without = [&] {
    job_.distillation.hidden_weight = 0.0;
    return ValueOrDie(Train(job_, options_, {})).graph;
  }();
  job_.distillation.hidden_weight = 30.0;
  const Graph with = ValueOrDie(Train(job_, options_, {})).graph;
  EXPECT_LT(Expected(with, teacher_), 0.5 * before);
  EXPECT_LT(Expected(with, teacher_), 0.5 * Expected(without, teacher_));
}

// A projected layer gives P features, not H.
TEST_F(HiddenTest, ComparesTheFeaturesThatAProjectionGives) {
  Rng rng(5);
  GraphBuilder builder("projected", {"x", kInput}, &rng);
  builder.Recurrent(CellKind::kLstmCell, 5, {Direction::kBidirectional, 0.0, 3});
  const Graph graph = ValueOrDie(builder.Gemm(kClasses).Finish());
  Distillation distillation = FromTeacher(graph);
  EXPECT_EQ(ValueOrDie(HiddenFeatures(graph, distillation)).at("lstm0.out"),
            (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  Keep keep(coupling.groups.size(), 1);
  for (const auto& [layer, unit] : {std::pair{0, 4}, {1, 1}, {2, 0}, {3, 2}}) {
    keep[static_cast<size_t>(coupling.layers.at(layer).groups.at(unit))] = 0;
  }
  const Graph small = ValueOrDie(Compact(graph, coupling, keep));
  distillation.kept_units = KeptUnits(coupling, keep);
  EXPECT_EQ(ValueOrDie(HiddenFeatures(small, distillation)).at("lstm0.out"),
            (std::vector<int64_t>{0, 2, 3, 4}));
}

TEST_F(HiddenTest, RefusesATeacherOfOtherLayers) {
  Rng rng(4);
  GraphBuilder builder("other", {"x", kInput}, &rng);
  builder.Recurrent(CellKind::kGruCell, 5).LastStep().Gemm(kClasses);
  const Graph other = ValueOrDie(builder.Finish());
  ExpectError(HiddenFeatures(student_, FromTeacher(other)).status(), Code::kInvalidArgument,
              {"distillation.hidden", "lstm0", "none found"});
}

}  // namespace
}  // namespace espalier
