// dynamic_bench TASK[:OPTIONS] DATA NET.onnx... [--repetitions N] [--sequences N]
//               [--against NET.onnx] [--delta-x X] [--delta-h H] [--idle EPSILON]
//               [--predicted EPSILON] [--skip 1] [--banks SIZE [--top K]] [--budget-us US]
//               [--exit-confidence C [--exit-hold N] [--exit-every N]] [--json 1]
//
// Times networks with dynamic pruning against a baseline, one stream, one thread: whole sequences
// and, where a network can stream, single steps, on the first --sequences of the validation split,
// each from zero states. The baseline is the same network without its rules, or the one of
// --against. --delta-x and --delta-h give every recurrent layer delta with these thresholds, in the
// place of its own (0: all is sent, the worst case). --idle gives every one idle candidates;
// --predicted is for those that have predicted rows. --skip and --banks put these rules in as they
// are before any training, when nothing is left out: their worst case; with --top K the first K
// banks run. With --budget-us the network has that budget in single steps, once it is verified, and
// the share of steps that take longer is printed of both, and of how many sequences both say the
// same. With --exit-confidence the network's sequences end where it is sure, the baseline's do not:
// a step is then one that was run, with the look at its output.
//
// Verifies first: the last outputs of sequences against the reference executor, and the predictions
// of all of them against libtorch's. Then both sessions run each sequence in turn, once untimed and
// once timed, since the other one took the caches. Of a sequence the median over --repetitions of
// all sequences counts, so that other programs that took the core do not. Prints how many times as
// fast as the baseline the mean of these is, and the quartiles of that over sequences; the mean by
// call, and three quantiles of all calls that were timed, whatever the method.
#include <array>
#include <memory>
#include <numeric>
#include <optional>

#include "base/machine.h"
#include "base/stopwatch.h"
#include "bench_support.h"
#include "compile/compile.h"
#include "exchange/onnx.h"
#include "model/without_rules.h"
#include "pipeline/activity.h"
#include "pipeline/evaluate.h"
#include "prune/dynamic.h"
#include "report/json.h"
#include "report/text.h"
#include "runtime/session.h"
#include "tasks/task.h"
#include "train/trainer.h"

namespace espalier {
namespace {

struct Options {
  std::vector<std::string> positional;  // task, folder of its data, networks
  int repetitions = 15;
  int64_t sequences = 200;
  std::optional<double> delta_x, delta_h, predicted;
  std::vector<DynamicSpec> added;
  double budget_us = 0.0;  // 0: none
  std::optional<ExitRule> exit;
  std::string against;
  bool json = false;
};

// How a session is called.
enum class Way : uint8_t { kSequences, kSteps };

// What is timed in turn.
constexpr size_t kBaseline = 0;
constexpr size_t kOwn = 1;

struct Times {
  std::vector<double> us[2];         // of each call that was timed
  std::vector<double> sequences[2];  // us of each sequence, the median over repetitions
  size_t calls[2] = {0, 0};          // of all sequences, once
  int64_t steps_run = 0;             // of kOwn, in all repetitions
  std::vector<ActivityRecord> activity;
  std::string target;
  size_t same = 0;  // sequences, of all repetitions, for which both have the same largest output
};

Graph Load(const std::string& path, const Options& options) {
  Graph graph = ValueOrDie(WithDynamic(ValueOrDie(ImportOnnxFile(path)), options.added));
  for (Node& node : graph.nodes) {
    if (node.op != Op::kRecurrent) continue;
    if (options.predicted && node.predicted) node.predicted->epsilon = *options.predicted;
    if (!options.delta_x && !options.delta_h) continue;
    if (!node.delta) node.delta.emplace();
    node.delta->x = options.delta_x.value_or(node.delta->x);
    node.delta->h = options.delta_h.value_or(node.delta->h);
  }
  if (!IsDynamic(graph) && options.against.empty() && !options.exit) {
    Die(path +
        ": a network with dynamic pruning, an option that adds some, --exit-confidence or "
        "--against expected");
  }
  return graph;
}

std::unique_ptr<Artifact> CompileFor(const Graph& graph, Way way) {
  CompileOptions options;
  if (way == Way::kSteps) options.batched_rows = 1;
  auto bytes = ValueOrDie(Compile(graph, options));
  return std::make_unique<Artifact>(ValueOrDie(Artifact::FromBytes(std::move(bytes))));
}

std::vector<BatchView> CallsOf(const Dataset& data, int64_t sequence, Way way) {
  if (way == Way::kSequences) return {SequenceOf(data, sequence)};
  std::vector<BatchView> calls(static_cast<size_t>(data.length(sequence)));
  const int64_t first = data.offsets[static_cast<size_t>(sequence)];
  for (size_t t = 0; t < calls.size(); ++t) {
    calls[t] = StepsOf(data, first + static_cast<int64_t>(t), 1);
  }
  return calls;
}

// By sequences from the first on; the reference executor is slow.
void VerifyOutputs(const Graph& graph, const Dataset& data, Way way, Session* session) {
  constexpr int64_t kVerifiedSteps = 500;
  for (int64_t i = 0, steps = 0; i < data.size() && steps < kVerifiedSteps; ++i) {
    if (data.length(i) == 0) continue;
    DieUnlessOk(CheckAgainstReference(graph, CallsOf(data, i, way), session));
    steps += data.length(i);
  }
}

Agreement VerifyPredictions(const Graph& graph, const Artifact& artifact, const Dataset& data) {
  const Evaluation expected = ValueOrDie(Evaluate(graph, data, {}));
  const Agreement agreement = Compare(expected, ValueOrDie(EvaluateArtifact(artifact, data, {})));
  const double most = kMostByThresholds * static_cast<double>(agreement.count);
  if (static_cast<double>(agreement.unexplained) > most) Die(AgreementText(agreement));
  return agreement;
}

// Where the sequences of a session end.
struct Exit {
  Way way = Way::kSequences;
  ExitWatch watch;  // that has seen nothing yet
};

// One call, and with an exit the look after it. Returns how many steps were run.
int64_t Call(const BatchView& call, const Exit* exit, ExitWatch* watch, Session* session) {
  if (exit != nullptr && exit->way == Way::kSequences) {
    ExitResult result;
    DieUnlessOk(session->RunUntil(call, exit->watch.rule, &result));
    return result.steps;
  }
  DieUnlessOk(session->Run(call));
  if (watch != nullptr) watch->Update(session->Output(0));
  return call.steps;
}

// What came of one sequence.
struct Ran {
  double us = 0.0;
  int64_t steps = 0;
};

// Adds the time of each call to *us, if it is there. exit: nullptr runs to the end.
Ran RunSequence(const std::vector<BatchView>& calls, const Exit* exit, Session* session,
                std::vector<double>* us) {
  session->Reset();
  ExitWatch watch = exit == nullptr ? ExitWatch() : exit->watch;
  Ran ran;
  for (size_t t = 0; t < calls.size(); ++t) {
    const bool looks = exit != nullptr && exit->way == Way::kSteps &&
                       (static_cast<int64_t>(t) + 1) % watch.rule.every == 0;
    const Stopwatch stopwatch;
    ran.steps += Call(calls[t], exit, looks ? &watch : nullptr, session);
    const double time = stopwatch.ElapsedNs() / 1e3;
    ran.us += time;
    if (us != nullptr) us->push_back(time);
    if (looks && watch.is_settled()) break;
  }
  return ran;
}

size_t Prediction(const Session& session) {
  const std::span<const float> output = session.Output(0);
  return static_cast<size_t>(std::max_element(output.begin(), output.end()) - output.begin());
}

// Sequences that are shorter than from one look to the next have one at their end.
std::optional<Exit> ExitOf(const Options& options, Way way, int64_t longest,
                           const Session& session) {
  if (!options.exit) return std::nullopt;
  ExitRule rule = *options.exit;
  if (way == Way::kSequences) rule.every = std::min(rule.every, longest);
  return Exit{way, ValueOrDie(session.WatchFor(rule))};
}

// graphs: by kBaseline and kOwn.
Times TimeInTurn(const std::array<Graph, 2>& graphs, const Dataset& data, Way way,
                 const Options& given) {
  const int repetitions = given.repetitions;
  SessionOptions options;
  for (int64_t i = 0; way == Way::kSequences && i < data.size(); ++i) {
    options.max_steps = std::max(options.max_steps, data.length(i));
  }
  std::vector<std::unique_ptr<Artifact>> artifacts;
  std::vector<Session> sessions;
  for (const Graph& each : graphs) {
    artifacts.push_back(CompileFor(each, way));
    sessions.push_back(ValueOrDie(Session::Create(*artifacts.back(), options)));
    VerifyOutputs(each, data, way, &sessions.back());
  }
  sessions[kOwn].ResetCounters();
  if (given.budget_us > 0.0 && way == Way::kSteps) {
    BudgetOptions budget;
    budget.step_ns = static_cast<int64_t>(given.budget_us * 1e3);
    DieUnlessOk(sessions[kOwn].SetBudget(budget));
  }
  const std::optional<Exit> exit = ExitOf(given, way, options.max_steps, sessions[kOwn]);
  Times times;
  times.target = sessions[kOwn].target();
  std::vector<std::vector<double>> sums[2];  // [sequence][repetition]
  for (auto& each : sums) each.resize(static_cast<size_t>(data.size()));
  for (int r = 0; r < repetitions; ++r) {
    for (int64_t i = 0; i < data.size(); ++i) {
      const std::vector<BatchView> calls = CallsOf(data, i, way);
      for (size_t s = 0; s < 2; ++s) {
        const Exit* ends = s == kOwn && exit ? &*exit : nullptr;
        RunSequence(calls, ends, &sessions[s], nullptr);
        const Ran ran = RunSequence(calls, ends, &sessions[s], &times.us[s]);
        sums[s][static_cast<size_t>(i)].push_back(ran.us);
        if (s == kOwn) times.steps_run += ran.steps;
      }
      if (Prediction(sessions[kBaseline]) == Prediction(sessions[kOwn])) ++times.same;
    }
  }
  for (size_t s = 0; s < 2; ++s) {
    times.calls[s] = times.us[s].size() / static_cast<size_t>(repetitions);
    for (const auto& of_sequence : sums[s]) {
      times.sequences[s].push_back(Quantile(of_sequence, 0.5));
    }
  }
  for (size_t i = 0; i < sessions[kOwn].dynamic_layers(); ++i) {
    times.activity.push_back(RecordOf(sessions[kOwn].Activity(i)));
  }
  return times;
}

double SumOf(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

Json UsJson(const Times& times, size_t session) {
  const std::vector<double>& us = times.us[session];
  return {{"mean", SumOf(times.sequences[session]) / static_cast<double>(times.calls[session])},
          {"p50", Quantile(us, 0.5)},
          {"p95", Quantile(us, 0.95)},
          {"p99", Quantile(us, 0.99)}};
}

Json ActivityJson(const ActivityRecord& layer) {
  const auto share = [](int64_t part, int64_t whole) {
    return static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, whole));
  };
  return {{"layer", LayerName(layer)},
          {"idle", layer.idle},
          {"predicted", layer.predicted},
          {"rows", layer.rows},
          {"rows_run", layer.rows_run},
          {"delta_x", layer.delta_x},
          {"delta_h", layer.delta_h},
          {"units", layer.units},
          {"units_run", layer.units_run},
          {"skipped", share(layer.skipped, layer.steps)},
          {"x_sent", share(layer.x_sent, layer.x_columns)},
          {"h_sent", share(layer.h_sent, layer.h_columns)},
          {"multiply_adds", share(layer.multiply_adds, layer.multiply_adds_without)}};
}

Json TimesJson(const Times& times) {
  const std::vector<double>& baseline = times.sequences[kBaseline];
  const std::vector<double>& own = times.sequences[kOwn];
  std::vector<double> ratios;
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i] > 0.0) ratios.push_back(baseline[i] / own[i]);  // not a sequence of no steps
  }
  return {{"ratio",
           {{"mean", SumOf(baseline) / SumOf(own)},
            {"p25", Quantile(ratios, 0.25)},
            {"p75", Quantile(ratios, 0.75)}}},
          {"us_baseline", UsJson(times, kBaseline)},
          {"us", UsJson(times, kOwn)}};
}

// Of the sequences, of which both sessions say the same.
double SameShare(const Times& times, const Options& options) {
  const size_t sequences = times.sequences[kOwn].size() * static_cast<size_t>(options.repetitions);
  return static_cast<double>(times.same) / static_cast<double>(sequences);
}

Json BudgetJson(const Times& times, const Options& options) {
  const auto late = [&](size_t session) {
    const std::vector<double>& us = times.us[session];
    const auto count =
        std::count_if(us.begin(), us.end(), [&](double each) { return each > options.budget_us; });
    return static_cast<double>(count) / static_cast<double>(us.size());
  };
  return {{"us", options.budget_us},
          {"late_baseline", late(kBaseline)},
          {"late", late(kOwn)},
          {"same", SameShare(times, options)}};
}

Json ExitJson(const Times& times, const Dataset& data, const Options& options) {
  const auto steps = static_cast<double>(data.offsets.back() * options.repetitions);
  return {{"confidence", options.exit->confidence},
          {"hold", options.exit->hold},
          {"every", options.exit->every},
          {"steps_run", static_cast<double>(times.steps_run) / std::max(1.0, steps)},
          {"same", SameShare(times, options)}};
}

void PrintTimes(const char* what, const Json& times) {
  const auto of = [&](const std::string& part, const char* key) {
    return times[part][key].get<double>();
  };
  std::printf("  %s: %.2fx (%.2f-%.2f)", what, of("ratio", "mean"), of("ratio", "p25"),
              of("ratio", "p75"));
  for (const std::string part : {"us_baseline", "us"}) {
    std::printf("; %s mean %.2f us, p50 %.2f, p95 %.2f, p99 %.2f",
                part == "us" ? "own" : "baseline", of(part, "mean"), of(part, "p50"),
                of(part, "p95"), of(part, "p99"));
  }
  std::printf("\n");
  if (times.contains("exit")) {
    std::printf("  early exit: %.2f %% of the steps run; %.2f %% of the sequences say the same\n",
                100.0 * of("exit", "steps_run"), 100.0 * of("exit", "same"));
  }
  if (!times.contains("budget")) return;
  std::printf(
      "  a budget of %.2f us: %.2f %% late, %.2f %% of the baseline; %.2f %% of the "
      "sequences say the same\n",
      of("budget", "us"), 100.0 * of("budget", "late"), 100.0 * of("budget", "late_baseline"),
      100.0 * of("budget", "same"));
}

void Bench(const std::string& path, const Dataset& data, const Options& options) {
  const Graph own = Load(path, options);
  const std::array<Graph, 2> graphs = {
      options.against.empty() ? WithoutRules(own) : ValueOrDie(ImportOnnxFile(options.against)),
      own};
  const Agreement agreement = VerifyPredictions(own, *CompileFor(own, Way::kSequences), data);
  const Times sequences = TimeInTurn(graphs, data, Way::kSequences, options);
  Json json = {{"network", path},
               {"against", options.against},
               {"task", options.positional[0]},
               {"cpu", CpuName()},
               {"target", sequences.target},
               {"sequences", data.size()},
               {"repetitions", options.repetitions},
               {"agreement", agreement.share},
               {"sequence", TimesJson(sequences)}};
  if (options.exit) json["sequence"]["exit"] = ExitJson(sequences, data, options);
  if (IsStreamable(graphs[kBaseline]) && IsStreamable(own)) {
    const Times steps = TimeInTurn(graphs, data, Way::kSteps, options);
    json["step"] = TimesJson(steps);
    if (options.exit) json["step"]["exit"] = ExitJson(steps, data, options);
    if (options.budget_us > 0.0) json["step"]["budget"] = BudgetJson(steps, options);
  }
  for (const ActivityRecord& layer : sequences.activity) {
    json["layers"].push_back(ActivityJson(layer));
  }
  if (options.json) {
    std::printf("%s\n", PrintJson(json, -1).c_str());
  } else {
    std::printf("%s: %s\n", path.c_str(), AgreementText(agreement).c_str());
    PrintTimes("whole sequences", json["sequence"]);
    if (json.contains("step")) PrintTimes("single steps", json["step"]);
    for (const ActivityRecord& layer : sequences.activity) {
      std::printf("  %s\n", ActivityText(layer).c_str());
    }
  }
  std::fflush(stdout);
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  UnitBanks banks{.size = 0};  // 0: none
  ExitRule exit;
  bool exits = false, looks = false;  // with a confidence; with how it looks
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (!name.starts_with("--")) {
      options.positional.push_back(name);
      continue;
    }
    if (++i == argc) Die("dynamic_bench: a value of '" + name + "' expected, none found");
    const std::string value = argv[i];
    if (name == "--repetitions") {
      options.repetitions = std::max(1, std::stoi(value));
    } else if (name == "--sequences") {
      options.sequences = std::max(1LL, std::stoll(value));
    } else if (name == "--delta-x") {
      options.delta_x = std::stod(value);
    } else if (name == "--delta-h") {
      options.delta_h = std::stod(value);
    } else if (name == "--idle") {
      options.added.push_back({.name = "idle", .epsilon = std::stod(value)});
    } else if (name == "--skip") {
      if (value == "1") options.added.push_back({.name = "skip"});
    } else if (name == "--banks") {
      banks.size = std::stoll(value);
    } else if (name == "--top") {
      banks.top = std::stoll(value);
    } else if (name == "--exit-confidence") {
      exit.confidence = std::stof(value);
      exits = true;
    } else if (name == "--exit-hold") {
      exit.hold = std::stoll(value);
      looks = true;
    } else if (name == "--exit-every") {
      exit.every = std::stoll(value);
      looks = true;
    } else if (name == "--budget-us") {
      options.budget_us = std::stod(value);
    } else if (name == "--predicted") {
      options.predicted = std::stod(value);
    } else if (name == "--against") {
      options.against = value;
    } else if (name == "--json") {
      options.json = value == "1";
    } else {
      Die("dynamic_bench: unknown option '" + name + "'");
    }
  }
  if (banks.size == 0 && banks.top != 0) Die("dynamic_bench: --banks beside --top expected");
  if (banks.size != 0) options.added.push_back({.name = "banks", .banks = banks});
  if (looks && !exits) {
    Die("dynamic_bench: --exit-confidence beside --exit-hold and --exit-every expected");
  }
  if (exits) {
    DieUnlessOk(ValidateExitRule(exit));
    options.exit = exit;
  }
  if (options.positional.size() < 3) {
    Die("dynamic_bench: a task, the folder of its data and a network (.onnx) expected");
  }
  return options;
}

void Main(const Options& options) {
  const TaskInfo task = ValueOrDie(FindTask(options.positional[0]));
  const TaskData data = ValueOrDie(task.load(options.positional[1]));
  const Dataset sequences = FirstOf(data.valid, options.sequences);
  if (!options.json) std::printf("%s\n", CpuName().c_str());
  for (size_t i = 2; i < options.positional.size(); ++i) {
    Bench(options.positional[i], sequences, options);
  }
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) {
  espalier::Main(espalier::ParseOptions(argc, argv));
  return 0;
}
