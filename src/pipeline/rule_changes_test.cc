#include "pipeline/rule_changes.h"

#include <limits>

#include "artifact/artifact.h"
#include "compile/compile.h"
#include "pipeline/layers.h"
#include "prune/dynamic.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

class ChangeRulesTest : public ::testing::Test {
 protected:
  void Use(const std::string& layers, const std::vector<DynamicSpec>& rules) {
    Rng rng(3);
    const Graph graph = ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                                                ValueOrDie(ParseLayers(layers)), &rng));
    CompileOptions options;
    options.tuning = Tuning::kOff;
    const Graph ruled = ValueOrDie(WithDynamic(graph, rules));
    artifact_ = ValueOrDie(Artifact::FromBytes(ValueOrDie(Compile(ruled, options))));
    session_ = ValueOrDie(Session::Create(*artifact_, SessionOptions()));
  }
  Status Change(const RuleChanges& changes) {
    return ChangeRules(artifact_->graph(), changes, &*session_);
  }
  template <typename Set>
  void ExpectRefused(const Set& set, const std::string& part) {
    RuleChanges changes;
    set(&changes);
    ExpectError(Change(changes), Code::kInvalidArgument, {part});
  }

  std::optional<Artifact> artifact_;
  std::optional<Session> session_;
};

TEST_F(ChangeRulesTest, SetsEachWhereALayerCanFollowIt) {
  Use("gru:6 lstm:6 gru:6 last_step gemm:3",
      {{"delta", {"gru0"}, 0.1, 0.2},
       {.name = "idle", .layers = {"lstm0"}},
       {.name = "banks", .layers = {"gru1"}, .banks = {3, 1}},
       {"skip", {"gru*"}}});
  RuleChanges changes;
  changes.delta_h = 0.5f;
  changes.idle = 0.25f;
  changes.no_banks = true;
  ASSERT_OK(Change(changes));
  const LayerRules delta = session_->Activity(0).rules;
  EXPECT_EQ(delta.delta_x, 0.1f);  // its own
  EXPECT_EQ(delta.delta_h, 0.5f);
  EXPECT_EQ(delta.idle, 0.0f);
  const LayerRules idle = session_->Activity(1).rules;
  EXPECT_EQ(idle.idle, 0.25f);
  EXPECT_EQ(idle.delta_h, 0.0f);
  EXPECT_FALSE(session_->Activity(2).rules.banks);
  EXPECT_TRUE(session_->Activity(2).rules.skip);
}

TEST_F(ChangeRulesTest, TakesTheRulesOfALayerBeforeThoseOfAll) {
  Use("gru:6 gru:6 last_step gemm:3", {{"delta", {"*"}, 0.1, 0.2}});
  RuleChanges changes;
  changes.rules["gru1"] = {0.7f, 0.8f};
  changes.delta_x = 0.3f;
  ASSERT_OK(Change(changes));
  EXPECT_EQ(session_->Activity(0).rules.delta_h, 0.2f);
  EXPECT_EQ(session_->Activity(1).rules.delta_h, 0.8f);
  EXPECT_EQ(session_->Activity(1).rules.delta_x, 0.3f);
}

TEST_F(ChangeRulesTest, RefusesWhatNoLayerCanFollow) {
  Use("gru:6 last_step gemm:3", {});
  EXPECT_OK(Change({}));
  ExpectRefused([](RuleChanges* c) { c->delta_x = 0.0f; },
                "--delta-x: a network with a layer that has delta expected");
  ExpectRefused([](RuleChanges* c) { c->delta_h = 0.1f; },
                "--delta-h: a network with a layer that has delta expected");
  ExpectRefused([](RuleChanges* c) { c->no_skip = true; },
                "--no-skip: a network with a layer that skips expected");
  ExpectRefused([](RuleChanges* c) { c->no_banks = true; },
                "--no-banks: a network with a layer that has banks expected");
  ExpectRefused([](RuleChanges* c) { c->idle = 0.1f; },
                "--idle: a network with a layer that has idle candidates");
  ExpectRefused([](RuleChanges* c) { c->predicted = 0.1f; },
                "--predicted: a network with a layer that has predicted rows");
}

TEST_F(ChangeRulesTest, RefusesValuesOutOfRange) {
  Use("gru:6 lstm:6 last_step gemm:3",
      {{"delta", {"gru0"}}, {.name = "idle", .layers = {"lstm0"}}});
  ExpectRefused([](RuleChanges* c) { c->delta_x = -1.0f; },
                "--delta-x: a finite threshold of at least 0 expected, -1 found");
  ExpectRefused([](RuleChanges* c) { c->delta_h = std::numeric_limits<float>::quiet_NaN(); },
                "--delta-h: a finite threshold of at least 0 expected, nan found");
  ExpectRefused([](RuleChanges* c) { c->idle = 0.6f; },
                "--idle: an epsilon in [0, 0.5] expected, 0.6 found");
  ExpectRefused([](RuleChanges* c) { c->rules["gru0"].delta_x = -1.0f; },
                "layer 'gru0': delta_x: a finite threshold of at least 0 expected, -1 found");
}

}  // namespace
}  // namespace espalier
