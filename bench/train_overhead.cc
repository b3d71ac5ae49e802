// train_overhead [--sequences N] [--repetitions N] [--threads N] [--json]
//
// Time per epoch of our trainer against the same loop written with libtorch directly: the network
// and options of the quickstart (an LSTM of 128 units on 28 steps of 28 features, dropout 0.2,
// Adam, batches of 128, one cycle, the gradient clipped to 1). All start from the same weights and
// see the same sequences. They run in turn, in an order that rotates, after one round that is not
// counted; a ratio is taken within a round, so that the load of a shared machine falls on both.
// Before anything is printed, the mean losses of all must agree: who learns nothing has measured
// nothing.
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/machine.h"
#include "base/stopwatch.h"
#include "base/strings.h"
#include "model/build.h"
#include "train/trainer.h"

namespace espalier {
namespace {

constexpr int64_t kSteps = 28, kFeatures = 28, kHidden = 128, kClasses = 10, kBatch = 128;
constexpr double kDropout = 0.2, kClipNorm = 1.0;

struct Options {
  int64_t sequences = 5120;
  int64_t repetitions = 9;
  int64_t threads = 1;
  bool json = false;
};

Dataset MakeData(int64_t count) {
  Rng rng(1);
  Dataset data;
  data.input = {Element::kF32, Layout::kSequence, kFeatures};
  data.classes = kClasses;
  data.offsets = {0};
  for (int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<int32_t>(rng.Below(kClasses));
    for (int64_t k = 0; k < kSteps * kFeatures; ++k) {
      data.features.push_back(rng.Uniform(-1.0f, 1.0f) + (k % kClasses == label ? 1.0f : 0.0f));
    }
    data.offsets.push_back(data.offsets.back() + kSteps);
    data.labels.push_back(label);
  }
  return data;
}

Result<Graph> MakeGraph(const Dataset& data) {
  Rng rng(2);
  GraphBuilder builder("digits", {"x", data.input}, &rng);
  builder.Recurrent(CellKind::kLstmCell, kHidden).LastStep().Dropout(kDropout).Gemm(kClasses);
  return builder.Finish();
}

TrainOptions OptionsFor(int threads) {
  TrainOptions options;
  options.epochs = 1;
  options.batch_size = kBatch;
  options.learning_rate = {.schedule = LrSchedule::kOneCycle, .peak = 5e-3};
  options.clip_norm = kClipNorm;
  options.threads = threads;
  return options;
}

// What one would write by hand: the data as one tensor, nn::LSTM, nn::Linear, optim::Adam.
struct ByHandImpl : torch::nn::Module {
  ByHandImpl()
      : lstm(register_module("lstm", torch::nn::LSTM(kFeatures, kHidden))),
        dropout(register_module("dropout", torch::nn::Dropout(kDropout))),
        head(register_module("head", torch::nn::Linear(kHidden, kClasses))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    return head->forward(dropout->forward(std::get<0>(lstm->forward(x))[-1]));
  }
  torch::nn::LSTM lstm;
  torch::nn::Dropout dropout;
  torch::nn::Linear head;
};
TORCH_MODULE(ByHand);

struct Measured {
  double seconds = 0.0;
  double loss = 0.0;  // mean over the epoch
};

Measured TrainByHand(const Graph& graph, const Dataset& data, const TrainOptions& options) {
  ByHand net;
  {
    const torch::NoGradGuard no_gradient;
    for (auto& item : net->named_parameters()) {
      std::string name = item.key();  // lstm.weight_ih_l0, head.bias
      name = name.starts_with("lstm.") ? "lstm0." + name.substr(5, name.size() - 8)
                                       : "gemm0." + name.substr(5);
      item.value().copy_(torch::tensor(graph.weights.at(name).values).view(item.value().sizes()));
    }
  }
  torch::optim::Adam optimizer(net->parameters(), torch::optim::AdamOptions());
  const torch::Tensor features =
      torch::from_blob(const_cast<float*>(data.features.data()), {data.size(), kSteps, kFeatures});
  const torch::Tensor labels =
      torch::from_blob(const_cast<int32_t*>(data.labels.data()), {data.size()}, torch::kInt)
          .to(torch::kLong);
  const int64_t steps = (data.size() + kBatch - 1) / kBatch;
  Measured measured;
  const Stopwatch watch;
  const torch::Tensor order = torch::randperm(data.size());
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t first = step * kBatch;
    const torch::Tensor rows = order.narrow(0, first, std::min(kBatch, data.size() - first));
    const torch::Tensor x = features.index_select(0, rows).transpose(0, 1).contiguous();
    static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options())
        .lr(LearningRateAt(options.learning_rate, step, steps, steps));
    optimizer.zero_grad();
    torch::Tensor loss =
        torch::nn::functional::cross_entropy(net->forward(x), labels.index_select(0, rows));
    loss.backward();
    torch::nn::utils::clip_grad_norm_(net->parameters(), kClipNorm);
    optimizer.step();
    measured.loss += loss.item<double>() * static_cast<double>(rows.size(0));
  }
  measured.seconds = watch.ElapsedSeconds();
  measured.loss /= static_cast<double>(data.size());
  return measured;
}

Result<Measured> TrainOurs(const Graph& graph, const Dataset& data, const TrainOptions& options,
                           Pruner* pruner) {
  TrainJob job;
  job.graph = graph;
  job.train = &data;
  job.pruner = pruner;
  ESPALIER_ASSIGN_OR_RETURN(const TrainResult result, Train(job, options, {}));
  return Measured{result.seconds, result.epochs[0].train_loss};
}

enum System { kByHand = 0, kOurs = 1, kPruning = 2, kSystems = 3 };
constexpr const char* kSystemNames[kSystems] = {"by_hand", "ours", "ours_pruning"};

Result<Measured> TrainOne(System system, const Graph& graph, const Dataset& data,
                          const TrainOptions& options) {
  if (system == kByHand) return TrainByHand(graph, data, options);
  if (system == kOurs) return TrainOurs(graph, data, options, nullptr);
  PruneSpec spec;
  const ScheduleSpec schedule{"cubic", 0, (data.size() - 1) / kBatch - 1, 10, 0.0};
  ESPALIER_ASSIGN_OR_RETURN(Pruner pruner, Pruner::Create(graph, spec, schedule, {}));
  return TrainOurs(graph, data, options, &pruner);
}

struct Spread {
  double median = 0.0;
  double mad = 0.0;  // median absolute deviation
};

Spread SpreadOf(std::vector<double> values) {
  const auto median_of = [](std::vector<double>& v) {
    std::nth_element(v.begin(), v.begin() + static_cast<ptrdiff_t>(v.size() / 2), v.end());
    return v[v.size() / 2];
  };
  Spread spread;
  spread.median = median_of(values);
  for (double& value : values) value = std::abs(value - spread.median);
  spread.mad = median_of(values);
  return spread;
}

using Times = std::array<std::vector<double>, kSystems>;

void Print(const Options& options, const Times& seconds) {
  const auto ratio = [&](System a, System b) {
    std::vector<double> ratios;
    for (size_t i = 0; i < seconds[a].size(); ++i) ratios.push_back(seconds[a][i] / seconds[b][i]);
    return SpreadOf(std::move(ratios));
  };
  const Spread ours = ratio(kOurs, kByHand);
  const Spread pruning = ratio(kPruning, kOurs);
  if (options.json) {
    std::printf(
        "{\"bench\": \"train_overhead\", \"cpu\": \"%s\", \"compiler\": \"%s\", "
        "\"threads\": %d, \"sequences\": %d, \"repetitions\": %d",
        CpuName().c_str(), __VERSION__, static_cast<int>(options.threads),
        static_cast<int>(options.sequences), static_cast<int>(options.repetitions));
    for (size_t i = 0; i < kSystems; ++i) {
      const Spread spread = SpreadOf(seconds[i]);
      std::printf(", \"%s_s\": {\"median\": %.4f, \"mad\": %.4f}", kSystemNames[i], spread.median,
                  spread.mad);
    }
    std::printf(
        ", \"ours_by_hand_ratio\": {\"median\": %.4f, \"mad\": %.4f}"
        ", \"pruning_ours_ratio\": {\"median\": %.4f, \"mad\": %.4f}}\n",
        ours.median, ours.mad, pruning.median, pruning.mad);
    return;
  }
  std::printf("%s, %d threads, %d sequences, %d repetitions\n", CpuName().c_str(),
              static_cast<int>(options.threads), static_cast<int>(options.sequences),
              static_cast<int>(options.repetitions));
  for (size_t i = 0; i < kSystems; ++i) {
    const Spread spread = SpreadOf(seconds[i]);
    std::printf("%-14s %8.3f s (MAD %.3f)\n", kSystemNames[i], spread.median, spread.mad);
  }
  std::printf("ours / by hand %8.3f (MAD %.3f)\npruning / ours %8.3f (MAD %.3f)\n", ours.median,
              ours.mad, pruning.median, pruning.mad);
}

Status Measure(const Options& options) {
  torch::set_num_threads(static_cast<int>(options.threads));
  torch::manual_seed(1);
  const Dataset data = MakeData(options.sequences);
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, MakeGraph(data));
  const TrainOptions train_options = OptionsFor(static_cast<int>(options.threads));
  Times seconds;
  for (int64_t round = 0; round <= options.repetitions; ++round) {
    std::array<double, kSystems> loss = {};
    for (int64_t turn = 0; turn < kSystems; ++turn) {
      const auto system = static_cast<size_t>((round + turn) % kSystems);
      ESPALIER_ASSIGN_OR_RETURN(const Measured measured,
                                TrainOne(static_cast<System>(system), graph, data, train_options));
      loss[system] = measured.loss;
      if (round > 0) seconds[system].push_back(measured.seconds);
    }
    // The order of the sequences and the dropout differ; pruning may cost.
    if (std::abs(loss[kOurs] - loss[kByHand]) > 0.1 * loss[kByHand]) {
      return Internal(StrCat("round ", round, ": the mean loss of the loop by hand, ",
                             loss[kByHand], ", expected within 10 %, ", loss[kOurs], " found"));
    }
  }
  Print(options, seconds);
  return Ok();
}

Result<Options> Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--json") {
      options.json = true;
      continue;
    }
    int64_t* value = flag == "--sequences"     ? &options.sequences
                     : flag == "--repetitions" ? &options.repetitions
                     : flag == "--threads"     ? &options.threads
                                               : nullptr;
    if (value == nullptr) return InvalidArgument("unknown flag " + flag);
    *value = i + 1 < argc ? std::atoll(argv[++i]) : 0;
    if (*value < 1) return InvalidArgument(flag + ": a number of at least 1 expected after it");
  }
  // The schedule of the pruning ends before the last of at least 2 steps.
  if (options.sequences <= 2 * kBatch) {
    return InvalidArgument(
        StrCat("--sequences: more than ", 2 * kBatch, " expected, ", options.sequences, " found"));
  }
  return options;
}

Status Main(int argc, char** argv) {
  ESPALIER_ASSIGN_OR_RETURN(const Options options, Parse(argc, argv));
  return Measure(options);
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) {
  const espalier::Status status = espalier::Main(argc, argv);
  if (status.ok()) return 0;
  std::fprintf(stderr, "train_overhead: %s\n", status.message().c_str());
  return 1;
}
