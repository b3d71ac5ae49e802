// What a checkpoint belongs to.
#include <iomanip>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/strings.h"
#include "model/serialize.h"
#include "train/train_options.h"

namespace espalier {
namespace {

// All digits that a double has.
std::string Exact(double value) {
  std::ostringstream out;
  out << std::setprecision(17) << value;
  return std::move(out).str();
}

std::string ChecksumOf(const ByteWriter& writer) {
  std::ostringstream out;
  out << std::hex << std::setw(8) << std::setfill('0') << Crc32c(writer.bytes());
  return std::move(out).str();
}

std::string ChecksumOf(const Graph& graph) {
  ByteWriter writer;
  WriteGraph(graph, &writer);
  return ChecksumOf(writer);
}

std::string ChecksumOf(const TensorStore& weights) {
  ByteWriter writer;
  WriteTensors(weights, &writer);
  return ChecksumOf(writer);
}

std::string ChecksumOf(const std::vector<int64_t>& units) {
  ByteWriter writer;
  writer.WriteBytes(std::as_bytes(std::span(units)));
  return ChecksumOf(writer);
}

std::string ChecksumOf(const MaskSet& masks) {
  ByteWriter writer;
  for (const auto& [name, mask] : masks) {
    writer.WriteString(name);
    writer.WriteBytes(std::as_bytes(std::span<const uint8_t>(mask.keep)));
  }
  return ChecksumOf(writer);
}

// Labels and lengths, not the features: 170 MB for the digits.
std::string ChecksumOf(const Dataset& dataset) {
  ByteWriter writer;
  writer.WriteBytes(std::as_bytes(std::span<const int64_t>(dataset.offsets)));
  writer.WriteBytes(std::as_bytes(std::span<const int32_t>(dataset.labels)));
  writer.WriteBytes(std::as_bytes(std::span<const float>(dataset.targets)));
  return ChecksumOf(writer);
}

std::string DescribeLayers(const Graph& graph) {
  std::vector<std::string> layers;
  for (const Node& node : graph.nodes) {
    std::string layer = node.name;
    if (node.op == Op::kRecurrent) {
      layer += StrCat(
          "(", node.hidden_size, " ", DirectionName(node.direction), " recurrent_dropout ",
          node.recurrent_dropout,
          node.projection_size > 0 ? StrCat(" projection ", node.projection_size) : "",
          node.skip ? " skip" : "",
          node.banks.has_value() ? StrCat(" banks ", node.banks->size, " top ", node.banks->top)
                                 : "",
          node.idle.has_value() ? StrCat(" idle ", Exact(node.idle->epsilon)) : "",
          node.predicted.has_value() ? StrCat(" predicted ", node.predicted->size, " epsilon ",
                                              Exact(node.predicted->epsilon))
                                     : "",
          node.delta.has_value() ? StrCat(" delta ", Exact(node.delta->x), " ",
                                          Exact(node.delta->h), " bank ", node.delta->bank)
                                 : "",
          ")");
    } else if (node.op == Op::kConv1d) {
      layer += StrCat("(", node.kernel_size, " dilation ", node.dilation, ")");
    } else if (node.op == Op::kLayerNorm) {
      layer += StrCat("(", node.epsilon, ")");
    } else if (node.op == Op::kSlice) {
      layer += StrCat("(", node.first, " count ", node.count, ")");
    } else if (!node.tied.empty()) {
      layer += StrCat("(tied ", node.tied, ")");
    } else if (node.op == Op::kDropout) {
      layer += StrCat("(", node.rate, ")");
    }
    layers.push_back(layer);
  }
  return StrJoin(layers, " ");
}

void DescribePruner(const Pruner& pruner, TrainIdentity* identity) {
  const Plan& plan = pruner.plan();
  const ScheduleSpec& schedule = pruner.schedule();
  std::vector<std::string> targets;
  for (const Plan::Target& target : plan.targets) targets.push_back(target.name);
  const auto add = [&](const char* key, const std::string& value) {
    identity->emplace_back(key, value);
  };
  add("pruner.criterion", plan.criterion->name);
  add("pruner.granularity", GranularityName(plan.granularity));
  add("pruner.allocation", plan.allocation->name);
  add("pruner.per", PerName(plan.per));
  add("pruner.sparsity", Exact(plan.sparsity));
  for (const Pool& pool : plan.cut.pools) {
    std::string losses;
    for (const LossPoint& point : pool.losses) {
      losses += StrCat(" ", Exact(point.sparsity), ":", Exact(point.loss));
    }
    add("pruner.pool",
        StrCat(pool.name, " ", Exact(pool.sparsity), " threshold ", Exact(pool.threshold), losses));
  }
  add("pruner.floor", Exact(plan.floor));
  add("pruner.multiple", std::to_string(plan.multiple));
  add("pruner.seed", std::to_string(plan.seed));
  add("pruner.start masks", ChecksumOf(pruner.masks()));
  add("pruner.targets", StrJoin(targets, " "));
  add("pruner.schedule", StrCat(schedule.name, " ", schedule.begin, " to ", schedule.end, " every ",
                                schedule.every, " from ", Exact(schedule.initial_sparsity)));
  add("pruner.masks", MaskModeName(schedule.masks));
  add("pruner.regrow", schedule.regrow.criterion.empty() ? "no"
                                                         : StrCat(schedule.regrow.criterion, " ",
                                                                  Exact(schedule.regrow.fraction)));
}

}  // namespace

TrainIdentity IdentityOf(const TrainJob& job, const TrainOptions& options) {
  TrainIdentity identity;
  const auto add = [&](const char* key, const std::string& value) {
    identity.emplace_back(key, value);
  };
  const OptimizerOptions& optimizer = options.optimizer;
  const LearningRate& rate = options.learning_rate;
  add("graph", job.graph.name);
  add("layers", DescribeLayers(job.graph));
  add("start weights", ChecksumOf(job.graph));
  add("start masks", ChecksumOf(job.masks));
  add("training sequences", std::to_string(job.train->size()));
  add("training labels", ChecksumOf(*job.train));
  add("validation", job.valid == nullptr ? "none" : ChecksumOf(*job.valid));
  add("epochs", std::to_string(options.epochs));
  add("batch_size", std::to_string(options.batch_size));
  add("optimizer", OptimizerName(optimizer.kind));
  add("optimizer.beta1", Exact(optimizer.beta1));
  add("optimizer.beta2", Exact(optimizer.beta2));
  add("optimizer.epsilon", Exact(optimizer.epsilon));
  add("optimizer.momentum", Exact(optimizer.momentum));
  add("optimizer.nesterov", optimizer.nesterov ? "yes" : "no");
  add("optimizer.average_after", std::to_string(optimizer.average_after));
  add("optimizer.weight_decay", Exact(optimizer.weight_decay));
  add("learning_rate", LrScheduleName(rate.schedule));
  add("learning_rate.peak", Exact(rate.peak));
  add("learning_rate.factor", Exact(rate.factor));
  add("learning_rate.every_epochs", std::to_string(rate.every_epochs));
  add("learning_rate.warmup", Exact(rate.warmup));
  add("learning_rate.initial_div", Exact(rate.initial_div));
  add("learning_rate.final_div", Exact(rate.final_div));
  add("clip_norm", Exact(options.clip_norm));
  add("label_smoothing", Exact(options.label_smoothing));
  add("random_prefix", Exact(options.random_prefix));
  add("update_penalty", Exact(options.update_penalty));
  add("delta_penalty", Exact(options.delta_penalty));
  add("send_penalty", Exact(options.send_penalty));
  add("dropout", options.dropout ? Exact(*options.dropout) : "its own");
  add("noise_draws", std::to_string(options.noise_draws));
  add("weight_type", WeightTypeName(options.weight_type));
  add("seed", std::to_string(options.seed));
  add("patience", std::to_string(options.patience));
  const Distillation& distillation = job.distillation;
  add("teacher", distillation.teacher == nullptr ? "none" : ChecksumOf(*distillation.teacher));
  add("distillation.weight", Exact(distillation.weight));
  add("distillation.temperature", Exact(distillation.temperature));
  add("distillation.hidden", Exact(distillation.hidden_weight));
  for (const auto& [layer, units] : distillation.kept_units) {
    add("distillation.kept units", StrCat(layer, " ", ChecksumOf(units)));
  }
  add("calibration.sequences", std::to_string(job.calibration.sequences));
  add("calibration.batch_size", std::to_string(job.calibration.batch_size));
  add("calibration.seed", std::to_string(job.calibration.seed));
  add("reconstruct", ReconstructionName(job.reconstruct));
  add("rewind", job.rewind == nullptr ? "no" : ChecksumOf(*job.rewind));
  for (const RegularizerSpec& spec : job.regularizers) {
    const PruneSpec& stage = job.regularized;
    const std::vector<std::string>& weights = spec.weights.empty() ? stage.weights : spec.weights;
    add("regularizer",
        StrCat(spec.name, " ", Exact(spec.strength), " warm-up ", Exact(spec.warmup_epochs),
               " speed ", Exact(spec.speed), " share ", Exact(spec.share), " over ",
               spec.granularity.empty() ? stage.granularity : spec.granularity, " of ",
               StrJoin(weights, " ")));
  }
  add("pruner", job.pruner == nullptr ? "no" : "yes");
  if (job.pruner != nullptr) DescribePruner(*job.pruner, &identity);
  return identity;
}

}  // namespace espalier
