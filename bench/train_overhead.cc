// Time per epoch of our trainer against the same loop written with libtorch directly: an LSTM of
// 128 units on 28 steps of 28 features, Adam, batches of 128. The two alternate; both start from
// the same weights and see the same sequences.
//   train_overhead [sequences = 5120] [repetitions = 5] [threads = 1]
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/stopwatch.h"
#include "model/build.h"
#include "train/trainer.h"

namespace espalier {
namespace {

constexpr int64_t kSteps = 28, kFeatures = 28, kHidden = 128, kClasses = 10, kBatch = 128;
constexpr double kRate = 1e-3;

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
  builder.Recurrent(CellKind::kLstmCell, kHidden).LastStep().Gemm(kClasses);
  return builder.Finish();
}

// What one would write by hand: the data as one tensor, nn::LSTM, nn::Linear, optim::Adam.
struct ByHandImpl : torch::nn::Module {
  ByHandImpl()
      : lstm(register_module("lstm", torch::nn::LSTM(kFeatures, kHidden))),
        head(register_module("head", torch::nn::Linear(kHidden, kClasses))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    return head->forward(std::get<0>(lstm->forward(x))[-1]);
  }
  torch::nn::LSTM lstm;
  torch::nn::Linear head;
};
TORCH_MODULE(ByHand);

struct Measured {
  double seconds = 0.0;
  double loss = 0.0;
};

Measured TrainByHand(const Graph& graph, const Dataset& data) {
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
  torch::optim::Adam optimizer(net->parameters(), torch::optim::AdamOptions(kRate));
  const torch::Tensor features =
      torch::from_blob(const_cast<float*>(data.features.data()), {data.size(), kSteps, kFeatures});
  const torch::Tensor labels =
      torch::from_blob(const_cast<int32_t*>(data.labels.data()), {data.size()}, torch::kInt)
          .to(torch::kLong);
  Measured measured;
  const Stopwatch watch;
  const torch::Tensor order = torch::randperm(data.size());
  for (int64_t first = 0; first < data.size(); first += kBatch) {
    const torch::Tensor rows = order.narrow(0, first, std::min(kBatch, data.size() - first));
    const torch::Tensor x = features.index_select(0, rows).transpose(0, 1).contiguous();
    optimizer.zero_grad();
    torch::Tensor loss =
        torch::nn::functional::cross_entropy(net->forward(x), labels.index_select(0, rows));
    loss.backward();
    optimizer.step();
    measured.loss += loss.item<double>() * static_cast<double>(rows.size(0));
  }
  measured.seconds = watch.ElapsedSeconds();
  measured.loss /= static_cast<double>(data.size());
  return measured;
}

Result<Measured> TrainOurs(const Graph& graph, const Dataset& data, int threads, Pruner* pruner) {
  TrainJob job;
  job.graph = graph;
  job.train = &data;
  job.pruner = pruner;
  TrainOptions options;
  options.epochs = 1;
  options.batch_size = kBatch;
  options.learning_rate.peak = kRate;
  options.threads = threads;
  ESPALIER_ASSIGN_OR_RETURN(const TrainResult result, Train(job, options, {}));
  return Measured{result.seconds, result.epochs[0].train_loss};
}

Status Main(int64_t count, int repetitions, int threads) {
  torch::set_num_threads(threads);
  const Dataset data = MakeData(count);
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, MakeGraph(data));
  PruneSpec spec;
  ScheduleSpec schedule{"cubic", 0, (count - 1) / kBatch - 1, 10, 0.0};
  std::vector<double> by_hand, ours, pruned;
  std::printf("%8s %12s %12s %12s\n", "", "by hand s", "ours s", "pruning s");
  for (int i = 0; i < repetitions; ++i) {
    const Measured a = TrainByHand(graph, data);
    ESPALIER_ASSIGN_OR_RETURN(const Measured b, TrainOurs(graph, data, threads, nullptr));
    ESPALIER_ASSIGN_OR_RETURN(Pruner pruner, Pruner::Create(graph, spec, schedule, {}));
    ESPALIER_ASSIGN_OR_RETURN(const Measured c, TrainOurs(graph, data, threads, &pruner));
    std::printf("%8d %12.3f %12.3f %12.3f   losses %.4f %.4f %.4f\n", i, a.seconds, b.seconds,
                c.seconds, a.loss, b.loss, c.loss);
    by_hand.push_back(a.seconds);
    ours.push_back(b.seconds);
    pruned.push_back(c.seconds);
  }
  const auto median = [](std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  const double scale = 55000.0 / static_cast<double>(count);
  std::printf(
      "medians, an epoch of 55000 sequences, %d threads: by hand %.2f s, ours %.2f s (%.2fx "
      "the time), with a cubic schedule %.2f s (%+.1f %%)\n",
      threads, median(by_hand) * scale, median(ours) * scale, median(ours) / median(by_hand),
      median(pruned) * scale, 100.0 * (median(pruned) / median(ours) - 1.0));
  return Ok();
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) {
  const auto argument = [&](int i, int64_t otherwise) {
    return argc > i ? std::atoll(argv[i]) : otherwise;
  };
  const espalier::Status status = espalier::Main(
      argument(1, 5120), static_cast<int>(argument(2, 5)), static_cast<int>(argument(3, 1)));
  if (status.ok()) return 0;
  std::fprintf(stderr, "train_overhead: %s\n", status.message().c_str());
  return 1;
}
