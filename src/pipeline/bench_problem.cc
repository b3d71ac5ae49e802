#include "pipeline/bench_problem.h"

#include <algorithm>
#include <memory>
#include <set>
#include <span>

#include "base/file.h"
#include "base/machine.h"
#include "base/stopwatch.h"
#include "base/strings.h"
#include "compile/compile.h"
#include "kernels/kernels.h"
#include "model/build.h"
#include "pipeline/bench.h"
#include "pipeline/stages.h"
#include "pipeline/yaml_reader.h"

namespace espalier {
namespace {

struct Case {
  int64_t hidden = 0;
  int64_t input = 0;
  int64_t steps = 0;
  int64_t batch = 0;
  double density = 0.0;
};

// A network of ours on the bench: `graph` is what `artifact` was made from.
struct Entrant {
  Graph graph;
  Artifact artifact;
};

std::string NameOf(const Case& c) {
  return StrCat("H = ", c.hidden, ", I = ", c.input, ", T = ", c.steps, ", B = ", c.batch,
                ", density ", c.density);
}

std::vector<Case> CasesOf(const BenchProblem& problem) {
  std::vector<Case> cases;
  for (const int64_t hidden : problem.hidden) {
    for (const int64_t steps : problem.steps) {
      for (const int64_t batch : problem.batch) {
        for (const double density : problem.density) {
          cases.push_back({hidden, problem.input.value_or(hidden), steps, batch, density});
        }
      }
    }
  }
  return cases;
}

// Without the type, which has a column of its own.
std::string TileName(FormatSpec format) {
  format.type = WeightType::kF32;
  return FormatName(format);
}

// The pieces that a format stores without padding; slot and blocked are spelt alike.
std::string GranularityOf(const FormatSpec& format) {
  return format.strip_rows > 0 ? TileName(format) : "element";
}

Result<Graph> PrunedFor(const Graph& dense, const FormatSpec& format, double density) {
  StageSpec stage;
  stage.kind = StageKind::kPrune;
  stage.train.epochs = 0;
  stage.prune.granularity = GranularityOf(format);
  stage.prune.sparsity = 1.0 - density;
  ESPALIER_ASSIGN_OR_RETURN(PruneOutcome outcome,
                            PruneNetwork(dense, stage, PruneInputs(), TrainHooks()));
  return RoundMatrices(outcome.graph, format.type);
}

Result<Entrant> MakeEntrant(Graph graph, const FormatSpec& format, const std::string& target) {
  CompileOptions options;
  options.target = target;
  options.tuning = Tuning::kOff;
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<MatrixPart> parts, MatrixPartsOf(graph));
  for (const MatrixPart& part : parts) options.forced[part.name] = format;
  ESPALIER_ASSIGN_OR_RETURN(auto bytes, Compile(graph, options));
  ESPALIER_ASSIGN_OR_RETURN(Artifact artifact, Artifact::FromBytes(std::move(bytes)));
  return Entrant{std::move(graph), std::move(artifact)};
}

// The layer pruned for the format, in the format.
Result<Entrant> MakePruned(const Graph& dense, const FormatSpec& format, double density,
                           const std::string& target) {
  ESPALIER_ASSIGN_OR_RETURN(Graph pruned, PrunedFor(dense, format, density));
  return MakeEntrant(std::move(pruned), format, target);
}

// Is the error one of a format that a layer of this size or density has no use for?
bool DoesNotSuit(const Status& status) {
  return status.code() == Code::kInvalidArgument || status.code() == Code::kUnsupported;
}

// Reads all words, and the next time from the last 128 KB to the first, as sessions do (Turns).
class ThereAndBack {
 public:
  uint64_t Read(const KernelTable& kernels, std::span<const uint64_t> words) {
    constexpr size_t kPieceWords = (size_t{128} << 10) / sizeof(uint64_t);
    const size_t pieces = (words.size() + kPieceWords - 1) / kPieceWords;
    uint64_t sum = 0;
    for (size_t i = 0; i < pieces; ++i) {
      const size_t first = (back_ ? pieces - 1 - i : i) * kPieceWords;
      sum ^= kernels.read_all(words.data() + first, std::min(kPieceWords, words.size() - first));
    }
    back_ = !back_;
    return sum;
  }

 private:
  bool back_ = false;
};

// Time to read `count` bytes, the best of many, since other work can only add to it, and of two
// ways: always forward, or there and back.
// `evictor`: of cold reads; nullptr for warm ones.
double LeastReadUs(const KernelTable& kernels, CacheEvictor* evictor, uint64_t count) {
  constexpr uint64_t kBytesPerRound = uint64_t{1} << 20;
  AlignedBuffer<uint64_t> words(static_cast<size_t>(count / sizeof(uint64_t)));
  const bool is_cold = evictor != nullptr;
  const int rounds = is_cold ? 8 : 30;
  const auto calls =
      is_cold ? 1 : std::max<uint64_t>(1, kBytesPerRound / std::max<uint64_t>(1, count));
  const std::span<const uint64_t> all(words.data(), words.size());
  ThereAndBack there_and_back;
  double best = 0.0;
  uint64_t sum = 0;
  for (int round = 0; round < rounds; ++round) {
    if (is_cold) evictor->Evict();
    const bool turns = !is_cold && round % 2 == 1;
    const uint64_t reads = turns ? std::max<uint64_t>(calls, 4) : calls;
    const Stopwatch watch;
    for (uint64_t read = 0; read < reads; ++read) {
      sum ^= turns ? there_and_back.Read(kernels, all) : kernels.read_all(all.data(), all.size());
    }
    const double us = watch.ElapsedNs() / 1e3 / static_cast<double>(reads);
    if (round == 0 || us < best) best = us;
  }
  return sum == 0 ? best : 0.0;  // the words are 0: that it is looked at keeps the loop
}

// Says each thing once.
class Notes {
 public:
  explicit Notes(const std::function<void(const std::string&)>& sink) : sink_(sink) {}
  void Add(const std::string& note) {
    if (said_.insert(note).second && sink_) sink_(note);
  }

 private:
  const std::function<void(const std::string&)>& sink_;
  std::set<std::string> said_;
};

// Bytes of the matrices, biases aside, that a step multiplies.
struct StepBytes {
  uint64_t input = 0;      // weight_ih
  uint64_t recurrent = 0;  // weight_hh

  uint64_t& Of(const std::string& weight) {
    return weight.find("weight_ih") != std::string::npos ? input : recurrent;
  }
  uint64_t all() const { return input + recurrent; }
};

// What a peer reads of its weights: values, and CSR's 32-bit indices.
StepBytes BytesOf(const Graph& graph, const Peer& peer) {
  const std::string_view dtype = peer.dtype;
  const uint64_t value_bytes = dtype == "i8" ? 1 : dtype == "bf16" ? 2 : 4;
  StepBytes bytes;
  for (const std::string& name : PrunableWeights(graph)) {
    const Tensor& weight = graph.weights.at(name);
    if (std::string_view(peer.format) == "dense") {
      bytes.Of(name) += weight.size() * value_bytes;
      continue;
    }
    const auto nnz = static_cast<uint64_t>(
        std::count_if(weight.values.begin(), weight.values.end(), [](float w) { return w != 0; }));
    bytes.Of(name) += nnz * (value_bytes + 4) + 4 * (static_cast<uint64_t>(weight.dim(0)) + 1);
  }
  return bytes;
}

class CaseRunner {
 public:
  CaseRunner(const BenchProblem& problem, const BenchProblemOptions& options,
             const KernelTable& kernels, const OnnxRuntime* onnxruntime, Notes* notes,
             const Case& c)
      : problem_(problem),
        options_(options),
        kernels_(kernels),
        onnxruntime_(onnxruntime),
        notes_(notes),
        case_(c),
        shape_{c.steps, c.batch} {}

  Result<std::vector<BenchRow>> Run() {
    Rng rng(problem_.seed);
    GraphBuilder builder(problem_.name, {"x", {Element::kF32, Layout::kSequence, case_.input}},
                         &rng);
    ESPALIER_ASSIGN_OR_RETURN(const Graph dense,
                              builder.Recurrent(problem_.cell, case_.hidden).Finish());
    ESPALIER_ASSIGN_OR_RETURN(Entrant yardstick, MakeEntrant(dense, FormatSpec(), options_.target));
    ESPALIER_RETURN_IF_ERROR(AddOwn(std::move(yardstick), FormatSpec(), 1.0));
    for (const FormatSpec& format : problem_.formats) {
      const double density = format.id == FormatId::k_dense ? 1.0 : case_.density;
      Result<Entrant> made = MakePruned(dense, format, density, options_.target);
      if (made.ok()) {
        ESPALIER_RETURN_IF_ERROR(AddOwn(*std::move(made), format, density));
      } else if (DoesNotSuit(made.status())) {
        notes_->Add(StrCat(FormatName(format), " is not timed at H = ", case_.hidden, ", I = ",
                           case_.input, ", density ", density, ": ", made.status().message()));
      } else {
        return made.status();
      }
    }
    for (const Peer* peer : problem_.peers) {
      for (const int64_t threads : problem_.threads) {
        ESPALIER_RETURN_IF_ERROR(AddPeer(*peer, static_cast<int>(threads)));
      }
    }
    return Time();
  }

 private:
  BenchRow NewRow(const std::string& system, const std::string& format, double density) const {
    BenchRow row;
    row.system = system;
    row.cell = std::string(InfoOf(problem_.cell).name);
    row.hidden = case_.hidden;
    row.input = case_.input;
    row.batch = case_.batch;
    row.steps = case_.steps;
    row.density = density;
    row.format = format;
    row.cache = problem_.cache;
    return row;
  }

  // Who has all steps of a sequence may read weight_ih once for all of them, and finds weight_hh
  // where the step before left it.
  double LeastStepUs(const StepBytes& bytes) {
    CacheEvictor* evictor = problem_.cache == CacheState::kCold ? &evictor_ : nullptr;
    if (case_.steps == 1) return LeastReadUs(kernels_, evictor, bytes.all());
    return LeastReadUs(kernels_, nullptr, bytes.recurrent) +
           LeastReadUs(kernels_, evictor, bytes.input) / static_cast<double>(case_.steps);
  }

  Status AddOwn(Entrant made, const FormatSpec& format, double density) {
    entrants_.push_back(std::make_unique<Entrant>(std::move(made)));
    const Entrant& entrant = *entrants_.back();
    BenchRow row = NewRow("espalier", TileName(format), density);
    row.dtype = WeightTypeName(format.type);
    row.target = kernels_.target;
    StepBytes bytes;
    for (const ArtifactMatrix& matrix : entrant.artifact.matrices()) {
      bytes.Of(matrix.part.weight) += matrix.view.bytes.size();
    }
    row.bytes = bytes.all();
    for (const int64_t threads : problem_.threads) {
      SessionOptions session;
      session.target = options_.target;
      session.threads = threads;
      ESPALIER_ASSIGN_OR_RETURN(
          BenchSystem system,
          EspalierSystem(StrCat("espalier ", FormatName(format), ", ", threads, " threads"),
                         entrant.artifact, entrant.graph, shape_, session));
      row.threads = static_cast<int64_t>(system.threads);
      systems_.push_back(std::move(system));
      rows_.push_back(row);
      bytes_.push_back(bytes);
    }
    return Ok();
  }

  // A peer that cannot run this layer here is left out, with a note.
  Status AddPeer(const Peer& peer, int threads) {
    const bool is_pruned = std::string_view(peer.format) != "dense";
    const Graph* graph = &entrants_[0]->graph;  // dense
    if (is_pruned) {
      ESPALIER_ASSIGN_OR_RETURN(const FormatSpec csr, FindFormat(peer.format));
      ESPALIER_ASSIGN_OR_RETURN(Graph pruned, PrunedFor(*graph, csr, case_.density));
      peer_graphs_.push_back(std::make_unique<Graph>(std::move(pruned)));
      graph = peer_graphs_.back().get();
    }
    Result<BenchSystem> system = peer.make(peer, {*graph, shape_, onnxruntime_, threads});
    if (!system.ok() && system.status().code() == Code::kUnsupported) {
      notes_->Add(StrCat(peer.name, threads == 1 ? "" : StrCat(" with ", threads, " threads"),
                         " is not timed: ", system.status().message()));
      return Ok();
    }
    if (!system.ok()) return system.status();
    BenchRow row = NewRow(peer.system, peer.format, is_pruned ? case_.density : 1.0);
    row.dtype = peer.dtype;
    const StepBytes bytes = BytesOf(*graph, peer);
    row.bytes = bytes.all();
    row.threads = threads;
    systems_.push_back(*std::move(system));
    rows_.push_back(std::move(row));
    bytes_.push_back(bytes);
    return Ok();
  }

  Result<std::vector<BenchRow>> Time() {
    const bool streams = case_.steps == 1;
    BenchOptions bench;
    bench.shape = shape_;
    bench.what = streams ? BenchWhat::kSteps : BenchWhat::kSequences;
    bench.repetitions = problem_.repetitions;
    bench.seed = problem_.seed;
    bench.cache = problem_.cache;
    // The reference that each is verified against takes a second for 1e9 multiply-adds.
    const int64_t products =
        case_.steps * case_.batch * case_.hidden * (case_.hidden + case_.input);
    bench.sequence_count = std::clamp<int64_t>(int64_t{100'000'000} / products, 2, 32);
    bench.cancel = options_.cancel;
    // Before and after, since a shared machine is not as fast at all times.
    for (size_t i = 0; i < rows_.size(); ++i) rows_[i].roofline_us = LeastStepUs(bytes_[i]);
    ESPALIER_ASSIGN_OR_RETURN(const std::vector<SystemTiming> timings,
                              TimeSystems(systems_, bench));
    for (size_t i = 0; i < rows_.size(); ++i) {
      BenchRow& row = rows_[i];
      row.roofline_us = std::min(row.roofline_us, LeastStepUs(bytes_[i]));
      const auto& timing = streams ? timings[i].us_per_step : timings[i].us_per_sequence;
      if (!timing) return Unsupported(systems_[i].name + ": cannot stream");
      const auto steps = static_cast<double>(case_.steps);
      row.us = {timing->median / steps, timing->p25 / steps, timing->p75 / steps};
      row.error = timings[i].error;
    }
    return rows_;
  }

  const BenchProblem& problem_;
  const BenchProblemOptions& options_;
  const KernelTable& kernels_;
  const OnnxRuntime* onnxruntime_;
  Notes* notes_;
  CacheEvictor evictor_;
  const Case case_;
  const BenchShape shape_;
  std::vector<std::unique_ptr<Entrant>> entrants_;   // systems_ point into them
  std::vector<std::unique_ptr<Graph>> peer_graphs_;  // and into these
  std::vector<BenchSystem> systems_;
  std::vector<BenchRow> rows_;    // of systems_
  std::vector<StepBytes> bytes_;  // of rows_
};

// A list of numbers, or one number.
template <typename T>
void ReadNumbers(YamlMap* map, const std::string& key, T least, T most, std::vector<T>* values) {
  std::vector<std::string> words;
  if (!map->Has(key)) return;
  map->ReadStrings(key, &words);
  values->clear();
  for (const std::string& word : words) {
    T value{};
    if (!YAML::convert<T>::decode(YAML::Node(word), value) || !(value >= least && value <= most)) {
      map->Fail(map->PathOf(key), StrCat(least, " to ", most, " expected, '", word, "' found"));
      return;
    }
    values->push_back(value);
  }
  if (values->empty()) map->Fail(map->PathOf(key), "at least 1 number expected, none found");
}

}  // namespace

Result<BenchProblem> ParseBenchProblem(const std::string& yaml) {
  constexpr int64_t kMost = 100'000;
  ESPALIER_ASSIGN_OR_RETURN(const YAML::Node root, ParseYaml(yaml));
  BenchProblem problem;
  YamlMap map(root, "");
  map.Read("name", &problem.name);
  std::string cell(InfoOf(problem.cell).name);
  map.Read("cell", &cell);
  ReadNumbers<int64_t>(&map, "hidden", 1, kMost, &problem.hidden);
  if (map.Has("input")) {
    int64_t input = 0;
    map.Read("input", &input);
    if (input < 1 || input > kMost) {
      map.Fail("input", StrCat("1 to ", kMost, " expected, ", input, " found"));
    }
    problem.input = input;
  }
  ReadNumbers(&map, "density", 0.001, 1.0, &problem.density);
  ReadNumbers<int64_t>(&map, "steps", 1, kMost, &problem.steps);
  ReadNumbers<int64_t>(&map, "batch", 1, kMost, &problem.batch);
  ReadNumbers<int64_t>(&map, "threads", 1, kMostThreads, &problem.threads);
  std::vector<std::string> formats;
  map.ReadStrings("formats", &formats);
  std::vector<std::string> peers;
  const bool has_peers = map.Has("peers");
  map.ReadStrings("peers", &peers);
  std::string cache(CacheStateName(problem.cache));
  map.Read("cache", &cache);
  map.Read("repetitions", &problem.repetitions);
  map.Read("seed", &problem.seed);
  ESPALIER_RETURN_IF_ERROR(map.Finish());
  if (problem.hidden.empty()) return InvalidArgument("hidden: at least 1 number expected");
  if (problem.repetitions < 1) {
    return InvalidArgument(
        StrCat("repetitions: at least 1 expected, ", problem.repetitions, " found"));
  }
  const std::optional<CacheState> state = FindCacheState(cache);
  if (!state) return InvalidArgument(StrCat("cache: warm or cold expected, '", cache, "' found"));
  problem.cache = *state;
  const CellInfo* info = FindCell(cell);
  if (info == nullptr) {
    std::vector<std::string> names;
    for (const CellInfo& known : kCells) names.emplace_back(known.name);
    return InvalidArgument(StrCat("cell: one of ", StrJoin(names, ", "), " expected, '", cell,
                                  "' found", DidYouMean(cell, names)));
  }
  problem.cell = info->kind;
  for (const std::string& name : formats) {
    Result<FormatSpec> format = FindFormat(name);
    if (!format.ok()) return format.status().WithContext("formats");
    if (*format != FormatSpec()) problem.formats.push_back(*format);  // dense always runs
  }
  if (!has_peers) {
    for (const Peer& peer : AllPeers()) problem.peers.push_back(&peer);
  }
  for (const std::string& name : peers) {
    Result<const Peer*> peer = FindPeer(name);
    if (!peer.ok()) return peer.status().WithContext("peers");
    problem.peers.push_back(*peer);
  }
  return problem;
}

Result<BenchProblem> ReadBenchProblem(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  Result<BenchProblem> problem = ParseBenchProblem(text);
  if (!problem.ok()) return problem.status().WithContext(path);
  return problem;
}

Result<std::vector<BenchRow>> RunBenchProblem(const BenchProblem& problem,
                                              const BenchProblemOptions& options) {
  ESPALIER_ASSIGN_OR_RETURN(const KernelTable* kernels, FindKernels(options.target));
  std::optional<OnnxRuntime> onnxruntime;
  if (!options.onnxruntime.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(onnxruntime, OnnxRuntime::Open(options.onnxruntime));
  }
  Notes notes(options.on_note);
  std::vector<BenchRow> all;
  for (const Case& c : CasesOf(problem)) {
    CaseRunner runner(problem, options, *kernels, onnxruntime ? &*onnxruntime : nullptr, &notes, c);
    Result<std::vector<BenchRow>> rows = runner.Run();
    if (!rows.ok()) return rows.status().WithContext(NameOf(c));
    for (const BenchRow& row : *rows) {
      if (options.on_row) options.on_row(row);
      all.push_back(row);
    }
  }
  return all;
}

}  // namespace espalier
