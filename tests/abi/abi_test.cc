// The header-only C++ layer: abi_cxx_test MODEL.esp
#include <cstdio>
#include <cstring>
#include <vector>

#include "espalier/runtime.hpp"

namespace er = espalier::runtime;

namespace {

int failures = 0;

void Expect(bool condition, const char* what) {
  if (condition) return;
  std::printf("FAILED: %s\n", what);
  ++failures;
}

void Runs(const er::Model& model) {
  er::Session session(model, {1, 2, nullptr, 1});
  const std::vector<float> x(12, 0.25f);
  session.Run({2, 1, x.data(), nullptr, nullptr});
  const er::Values whole = session.Output(0);
  Expect(whole.count == 3, "three outputs");
  const std::vector<float> expected(whole.begin(), whole.end());
  std::vector<float> h(static_cast<size_t>(session.State(0).width));
  session.GetState(session.State(0).name, &h);
  session.Reset();
  session.Run({1, 1, x.data(), nullptr, nullptr});
  session.Run({1, 1, x.data() + 6, nullptr, nullptr});
  for (size_t i = 0; i < 3; ++i) Expect(session.Output(0)[i] == expected[i], "same as whole");
  session.SetState("lstm0.h", h);
  session.ResetStream(0);
}

void RunsInGivenMemory(const er::Model& model) {
  alignas(64) static char memory[1 << 16];
  const er::SessionOptions options = {1, 1, nullptr, 1};
  Expect(er::Session::SizeOf(model, options) <= sizeof(memory), "a small session is small");
  er::Session session = er::Session::InitAt(model, options, memory, sizeof(memory));
  const std::vector<float> x(6, 0.25f);
  session.Run({1, 1, x.data(), nullptr, nullptr});
  Expect(session.Output(0).count == 3 && session.Threads() == 1, "outputs");
}

void RunsAPool(const er::Model& model) {
  er::Pool pool(model, {3, nullptr, 1});
  Expect(er::Pool::SizeOf(model, {3, nullptr, 1}) > 0, "size");
  const std::vector<float> x(12, 0.25f);
  const int32_t streams[] = {pool.Add(), pool.Add()};
  pool.Step({2, streams, x.data(), nullptr});
  Expect(pool.Output(0).count == 6 && pool.Output(0)[0] == pool.Output(0)[3], "outputs");
  std::vector<float> h(5);
  pool.GetState(streams[0], "lstm0.h", &h);
  pool.SetState(streams[1], "lstm0.h", h);
  pool.ResetStream(streams[1]);
  pool.Remove(streams[0]);
}

void PrunesOverTime(const er::Model& model) {
  er::Session session(model, {1, 1, nullptr, 1});
  Expect(session.DynamicCount() == 1, "one dynamic layer");
  session.SetRules("lstm0", {0.5f, 0.25f, 0, 0, 0.0f, 0.0f});
  const std::vector<float> x(6, 1.0f);
  er::Batch batch{1, 1, x.data(), nullptr, nullptr};
  session.Run(batch);
  session.Run(batch);
  const er::LayerActivity activity = session.Activity(0);
  Expect(activity.rules.delta_x == 0.5f && activity.rules.delta_h == 0.25f, "rules");
  Expect(activity.steps == 2 && activity.x_sent == 6, "x is sent once");
  session.ResetCounters();
  Expect(session.Activity(0).steps == 0, "counters");
}

void StopsWhenSure(const er::Model& model) {
  er::Session session(model, {1, 2, nullptr, 1});
  const std::vector<float> x(6 * 8, 0.5f);
  const er::ExitResult result = session.RunUntil({8, 1, x.data(), nullptr, nullptr}, {0.2f, 2, 2});
  Expect(result.is_settled == 1 && result.looks >= 2, "sure");
  Expect(result.steps == 2 * result.looks, "steps");
  er::ExitWatch watch({0.2f, 2, 1});
  Expect(!watch.Update(session.Output(0)) && watch.Update(session.Output(0)), "held twice");
  Expect(watch.State().best == result.best, "the same class");
}

void KeepsABudget(const er::Model& model) {
  Expect(model.LeastStep() > 0, "least step");
  er::Session session(model, {1, 1, nullptr, 1});
  const std::vector<float> x(6, 1.0f);
  session.SetBudget({1, 4.0f, 0.05f, 0.05f});
  session.Run({1, 1, x.data(), nullptr, nullptr});
  Expect(session.GetBudget().late == 1 && session.GetBudget().factor == 1.25f, "late");
  session.ClearBudget();
  Expect(session.GetBudget().step_ns == 0, "no budget");
  Expect(session.Activity(0).rules.delta_x == 100.0f, "the rules as compiled");
}

void ThrowsWhatTheLibrarySays() {
  try {
    er::Model::Open("/nowhere/x.esp");
    Expect(false, "an exception");
  } catch (const er::Error& error) {
    Expect(error.code() == ESPALIER_IO, "its code");
    Expect(std::strstr(error.what(), "/nowhere/x.esp") != nullptr, "its text");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const er::Model model = er::Model::Open(argv[1]);
  model.Check();
  Expect(model.Input().features == 6, "input");
  Expect(model.OutputCount() == 1 && model.Output(0).features == 3, "output");
  Expect(model.Metadata("nothing") == nullptr, "metadata");
  Runs(model);
  RunsInGivenMemory(model);
  RunsAPool(model);
  PrunesOverTime(er::Model::Open(argv[2]));
  StopsWhenSure(model);
  KeepsABudget(er::Model::Open(argv[2]));
  ThrowsWhatTheLibrarySays();
  std::printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
