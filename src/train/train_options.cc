#include "train/train_options.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/strings.h"
#include "train/statistics.h"

namespace espalier {
namespace {

struct OptimizerEntry {
  OptimizerKind kind;
  const char* name;
};
constexpr OptimizerEntry kOptimizers[] = {
    {OptimizerKind::kAdam, "adam"}, {OptimizerKind::kSgd, "sgd"}, {OptimizerKind::kAsgd, "asgd"}};

struct LrScheduleEntry {
  LrSchedule kind;
  const char* name;
};
constexpr LrScheduleEntry kSchedules[] = {{LrSchedule::kConstant, "constant"},
                                          {LrSchedule::kStep, "step"},
                                          {LrSchedule::kCosine, "cosine"},
                                          {LrSchedule::kOneCycle, "one_cycle"}};

template <typename Entry, size_t kCount, typename Kind>
const char* NameIn(const Entry (&entries)[kCount], Kind kind) {
  for (const Entry& entry : entries) {
    if (entry.kind == kind) return entry.name;
  }
  return "unknown";
}

template <typename Kind, typename Entry, size_t kCount>
Result<Kind> ParseIn(const Entry (&entries)[kCount], const char* what, const std::string& name) {
  std::vector<std::string> names;
  for (const Entry& entry : entries) {
    if (entry.name == name) return entry.kind;
    names.push_back(entry.name);
  }
  return InvalidArgument(StrCat(what, ": one of ", StrJoin(names, ", "), " expected, '", name,
                                "' found", DidYouMean(name, names)));
}

double Cosine(double from, double to, double share) {
  return to + (from - to) * 0.5 * (1.0 + std::cos(share * 3.141592653589793));
}

struct Range {
  const char* field;
  double value;
  double low;
  bool low_included;
  double high;  // never included
};

Status CheckRange(const Range& range) {
  const bool above = range.low_included ? range.value >= range.low : range.value > range.low;
  if (above && range.value < range.high) return Ok();
  return InvalidArgument(StrCat(range.field, ": a number in ", range.low_included ? "[" : "(",
                                range.low, ", ", range.high, ") expected, ", range.value,
                                " found"));
}

Status CheckCount(const char* field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return Ok();
  return InvalidArgument(StrCat(field, ": ", least, " to ", most, " expected, ", value, " found"));
}

Status CheckAtLeast(const char* field, int64_t value, int64_t least) {
  if (value >= least) return Ok();
  return InvalidArgument(StrCat(field, ": at least ", least, " expected, ", value, " found"));
}

// The pruner was made for this graph, not for one of other shapes.
Status ValidatePruner(const Graph& graph, const Pruner& pruner) {
  for (const Plan::Target& target : pruner.plan().targets) {
    const auto it = graph.weights.find(target.name);
    const std::vector<int64_t> found =
        it == graph.weights.end() ? std::vector<int64_t>{} : it->second.shape;
    if (found == std::vector<int64_t>{target.rows, target.cols}) continue;
    return InvalidArgument(StrCat("pruner: ", target.name, " of ", target.rows, "x", target.cols,
                                  " expected, ", found.empty() ? "nothing" : ShapeString(found),
                                  " found"));
  }
  return ValidateMasks(graph, pruner.masks());
}

}  // namespace

const char* OptimizerName(OptimizerKind kind) { return NameIn(kOptimizers, kind); }
const char* LrScheduleName(LrSchedule schedule) { return NameIn(kSchedules, schedule); }

Result<OptimizerKind> ParseOptimizer(const std::string& name) {
  return ParseIn<OptimizerKind>(kOptimizers, "optimizer", name);
}
Result<LrSchedule> ParseLrSchedule(const std::string& name) {
  return ParseIn<LrSchedule>(kSchedules, "learning-rate schedule", name);
}

const char* ReconstructionName(Reconstruction reconstruction) {
  switch (reconstruction) {
    case Reconstruction::kNone: break;
    case Reconstruction::kWeights: return "true";
    case Reconstruction::kBias: return "bias";
  }
  return "false";
}

Result<Reconstruction> ParseReconstruction(const std::string& name) {
  for (const auto each : {Reconstruction::kNone, Reconstruction::kWeights, Reconstruction::kBias}) {
    if (name == ReconstructionName(each)) return each;
  }
  return InvalidArgument("reconstruct: true, false or bias expected, '" + name + "' found");
}

double LearningRateAt(const LearningRate& rate, int64_t step, int64_t steps,
                      int64_t steps_per_epoch) {
  const auto last = static_cast<double>(std::max<int64_t>(steps - 1, 1));
  const double share = static_cast<double>(step) / last;
  switch (rate.schedule) {
    case LrSchedule::kConstant: return rate.peak;
    case LrSchedule::kStep: {
      const int64_t falls = step / steps_per_epoch / rate.every_epochs;
      return rate.peak * std::pow(rate.factor, static_cast<double>(falls));
    }
    case LrSchedule::kCosine: return Cosine(rate.peak, rate.peak / rate.final_div, share);
    case LrSchedule::kOneCycle:
      if (share < rate.warmup) {
        return Cosine(rate.peak / rate.initial_div, rate.peak, share / rate.warmup);
      }
      return Cosine(rate.peak, rate.peak / rate.final_div,
                    (share - rate.warmup) / (1.0 - rate.warmup));
  }
  return rate.peak;
}

Status ValidateMasks(const Graph& graph, const MaskSet& masks) {
  for (const auto& [name, mask] : masks) {
    const auto it = graph.weights.find(name);
    if (it == graph.weights.end()) return InvalidArgument("mask '" + name + "': no such weight");
    if (it->second.shape != mask.shape || mask.keep.size() != it->second.size()) {
      return InvalidArgument(StrCat("mask '", name, "': ", ShapeString(it->second.shape),
                                    " expected, ", ShapeString(mask.shape), " found"));
    }
  }
  return Ok();
}

Status ValidateOptions(const TrainOptions& options) {
  constexpr double kInf = HUGE_VAL;
  // Beyond these is a typing error, and their products fit in 64 bits.
  constexpr int64_t kMostEpochs = 1000000;
  constexpr int64_t kMostBatch = int64_t{1} << 24;
  ESPALIER_RETURN_IF_ERROR(CheckCount("epochs", options.epochs, 1, kMostEpochs));
  ESPALIER_RETURN_IF_ERROR(CheckCount("batch_size", options.batch_size, 1, kMostBatch));
  ESPALIER_RETURN_IF_ERROR(CheckAtLeast("threads", options.threads, 1));
  ESPALIER_RETURN_IF_ERROR(CheckAtLeast("patience", options.patience, 0));
  ESPALIER_RETURN_IF_ERROR(CheckAtLeast("checkpoint_steps", options.checkpoint_steps, 0));
  ESPALIER_RETURN_IF_ERROR(
      CheckAtLeast("optimizer.average_after", options.optimizer.average_after, 1));
  const LearningRate& rate = options.learning_rate;
  ESPALIER_RETURN_IF_ERROR(CheckAtLeast("learning_rate.every_epochs", rate.every_epochs, 1));
  const OptimizerOptions& optimizer = options.optimizer;
  const Range ranges[] = {
      {"optimizer.beta1", optimizer.beta1, 0.0, true, 1.0},
      {"optimizer.beta2", optimizer.beta2, 0.0, true, 1.0},
      {"optimizer.epsilon", optimizer.epsilon, 0.0, false, kInf},
      {"optimizer.momentum", optimizer.momentum, 0.0, true, 1.0},
      {"optimizer.weight_decay", optimizer.weight_decay, 0.0, true, kInf},
      {"learning_rate.peak", rate.peak, 0.0, false, kInf},
      {"learning_rate.factor", rate.factor, 0.0, false, kInf},
      {"learning_rate.warmup", rate.warmup, 0.0, true, 1.0},
      {"learning_rate.initial_div", rate.initial_div, 0.0, false, kInf},
      {"learning_rate.final_div", rate.final_div, 0.0, false, kInf},
      {"clip_norm", options.clip_norm, 0.0, true, kInf},
      {"label_smoothing", options.label_smoothing, 0.0, true, 1.0},
      {"update_penalty", options.update_penalty, 0.0, true, kInf},
      {"delta_penalty", options.delta_penalty, 0.0, true, kInf},
      {"send_penalty", options.send_penalty, 0.0, true, kInf},
  };
  for (const Range& range : ranges) ESPALIER_RETURN_IF_ERROR(CheckRange(range));
  if (!(options.random_prefix >= 0.0 && options.random_prefix <= 1.0)) {
    return InvalidArgument(
        StrCat("random_prefix: a number in [0, 1] expected, ", options.random_prefix, " found"));
  }
  if (options.dropout) {
    ESPALIER_RETURN_IF_ERROR(CheckRange({"dropout", *options.dropout, 0.0, true, 1.0}));
  }
  ESPALIER_RETURN_IF_ERROR(CheckCount("noise_draws", options.noise_draws, 1, options.batch_size));
  if (options.checkpoint_path.empty() && (options.resume || options.checkpoint_steps > 0)) {
    return InvalidArgument(
        "checkpoint_path: a path expected, since resume or checkpoint_steps ask "
        "for a checkpoint");
  }
  return Ok();
}

Status ValidateForMetric(const Metric& metric, const TrainOptions& options,
                         const Distillation& distillation) {
  if (!metric.is_regression) return Ok();
  const auto refuse = [](const char* field, double value) {
    return InvalidArgument(
        StrCat(field, ": none expected in a regression, which has no classes, ", value, " found"));
  };
  if (options.label_smoothing != 0.0) return refuse("label_smoothing", options.label_smoothing);
  if (options.random_prefix != 0.0) return refuse("random_prefix", options.random_prefix);
  if (distillation.temperature == Distillation().temperature) return Ok();
  return refuse("distillation.temperature", distillation.temperature);
}

Status ValidateForGraph(const Graph& graph, const TrainOptions& options,
                        std::span<const RegularizerSpec> regularizers) {
  const auto& nodes = graph.nodes;
  const bool has_delta = std::any_of(nodes.begin(), nodes.end(),
                                     [](const Node& node) { return node.delta.has_value(); });
  if (options.send_penalty > 0.0 && !has_delta) {
    return InvalidArgument(StrCat(
        "send_penalty: 0 expected for a network without thresholds to learn (dynamic: delta), ",
        options.send_penalty, " found"));
  }
  const bool has_dropout = std::any_of(nodes.begin(), nodes.end(),
                                       [](const Node& node) { return node.op == Op::kDropout; });
  if (options.dropout && !has_dropout) {
    return InvalidArgument(
        StrCat("dropout: nothing expected for a network without a dropout layer, ",
               *options.dropout, " found"));
  }
  const bool has_noise =
      std::any_of(regularizers.begin(), regularizers.end(), [](const RegularizerSpec& spec) {
        const auto kind = FindRegularizer(spec.name);
        return kind.ok() && (*kind)->sample != nullptr;
      });
  if (options.noise_draws > 1 && !has_noise) {
    return InvalidArgument(StrCat("noise_draws: 1 expected without regularizers that draw noise, ",
                                  options.noise_draws, " found"));
  }
  const bool chooses = std::any_of(nodes.begin(), nodes.end(), [](const Node& node) {
    return node.skip || (node.banks.has_value() && node.banks->top == 0);
  });
  if (options.update_penalty > 0.0 && !chooses) {
    return InvalidArgument(
        StrCat("update_penalty: 0 expected for a network without layers that choose what they "
               "leave out (dynamic: skip, or banks without a top), ",
               options.update_penalty, " found"));
  }
  if (options.delta_penalty > 0.0 && !has_delta) {
    return InvalidArgument(StrCat(
        "delta_penalty: 0 expected for a network without layers with delta (dynamic: delta), ",
        options.delta_penalty, " found"));
  }
  return Ok();
}

Status ValidateData(const Graph& graph, const Dataset& dataset, const ValueType& output,
                    const std::string& what) {
  ESPALIER_RETURN_IF_ERROR(ValidateDataset(dataset).WithContext(what));
  if (dataset.size() == 0) return InvalidArgument(what + ": at least 1 sequence expected, 0 found");
  const GraphInput& input = graph.inputs[0];
  if (dataset.input != input.type) {
    return InvalidArgument(StrCat(what, ": ", TypeString(input.type), " expected for input '",
                                  input.name, "', ", TypeString(dataset.input), " found"));
  }
  if (dataset.labelled != output.layout) {
    const char* step = "at each step";
    const char* sequence = "for each sequence";
    const bool is_step = output.layout == Layout::kSequence;
    return InvalidArgument(StrCat(
        what, ": a label ", is_step ? step : sequence, " expected for output '", graph.outputs[0],
        "', which is ", TypeString(output), ", one ", is_step ? sequence : step, " found"));
  }
  if (dataset.output_size() != output.features) {
    return InvalidArgument(StrCat(
        what, ": ", output.features, dataset.is_regression() ? " numbers in a target" : " classes",
        " expected for output '", graph.outputs[0], "', ", dataset.output_size(), " found"));
  }
  const bool is_softmax = std::any_of(
      graph.nodes.begin(), graph.nodes.end(),
      [&](const Node& node) { return node.output == graph.outputs[0] && node.op == Op::kSoftmax; });
  if (is_softmax && dataset.is_regression()) {
    return InvalidArgument(StrCat(what,
                                  ": a network that ends in no softmax expected for a "
                                  "regression, output '",
                                  graph.outputs[0], "' is one"));
  }
  return Ok();
}

MaskSet Intersect(const MaskSet& a, const MaskSet& b) {
  MaskSet both = a;
  for (const auto& [name, mask] : b) {
    const auto [it, is_new] = both.emplace(name, mask);
    if (is_new) continue;
    for (size_t i = 0; i < mask.keep.size(); ++i) it->second.keep[i] &= mask.keep[i];
  }
  return both;
}

Result<FeatureChoice> HiddenFeatures(const Graph& student, const Distillation& distillation) {
  FeatureChoice choice;
  for (const Node& node : student.nodes) {
    if (node.op != Op::kRecurrent) continue;
    const Node* other = FindNode(*distillation.teacher, node.name);
    if (other == nullptr || other->op != Op::kRecurrent || other->direction != node.direction ||
        other->output != node.output ||
        (other->projection_size > 0) != (node.projection_size > 0)) {
      return InvalidArgument("distillation.hidden: a recurrent layer " + node.name +
                             " in the teacher expected, as the student has it, none found");
    }
    std::vector<int64_t>& features = choice[node.output];
    const int64_t width = StateSizeOf(node);
    const int64_t teacher_width = StateSizeOf(*other);
    int64_t first = 0;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      const std::string layer = node.name + (node.projection_size > 0 ? "_projection" : "") +
                                (direction.reverse ? "_reverse" : "");
      const auto kept = distillation.kept_units.find(layer);
      std::vector<int64_t> units(static_cast<size_t>(teacher_width));
      std::iota(units.begin(), units.end(), int64_t{0});
      if (kept != distillation.kept_units.end()) units = kept->second;
      const bool fits = static_cast<int64_t>(units.size()) == width &&
                        std::all_of(units.begin(), units.end(), [&](int64_t unit) {
                          return unit >= 0 && unit < teacher_width;
                        });
      if (!fits) {
        return InvalidArgument(
            StrCat("distillation.hidden: ", layer, ": ", width,
                   " units expected in the teacher, or a record of which were kept, ", units.size(),
                   " of ", teacher_width, " found"));
      }
      for (const int64_t unit : units) features.push_back(first + unit);
      first += teacher_width;
    }
  }
  if (choice.empty()) {
    return InvalidArgument("distillation.hidden: a recurrent layer in graph '" + student.name +
                           "' expected, none found");
  }
  return choice;
}

Status ValidateFit(const TrainJob& job) {
  ESPALIER_ASSIGN_OR_RETURN(const auto types, InferTypes(job.graph));
  const ValueType& output = types.at(job.graph.outputs[0]);
  ESPALIER_RETURN_IF_ERROR(ValidateData(job.graph, *job.train, output, "training set"));
  if (job.valid == nullptr) return Ok();
  return ValidateData(job.graph, *job.valid, output, "validation set");
}

Status ValidateJob(const TrainJob& job, const TrainOptions& options, int64_t steps) {
  if (job.valid == nullptr && options.patience > 0) {
    return InvalidArgument(
        StrCat("patience: 0 expected without a validation set, ", options.patience, " found"));
  }
  if (options.random_prefix > 0.0 && job.train->labelled != Layout::kVector) {
    return InvalidArgument(
        StrCat("random_prefix: 0 expected for a data set with a label at each step, ",
               options.random_prefix, " found"));
  }
  ESPALIER_RETURN_IF_ERROR(ValidateForGraph(job.graph, options, job.regularizers));
  for (const auto& [name, mask] : job.masks) {
    const auto it = job.graph.weights.find(name);
    if (it == job.graph.weights.end())
      return InvalidArgument("mask '" + name + "': no such weight");
    if (it->second.shape != mask.shape || mask.keep.size() != it->second.size()) {
      return InvalidArgument(StrCat("mask '", name, "': ", ShapeString(it->second.shape),
                                    " expected, ", ShapeString(mask.shape), " found"));
    }
  }
  if (job.valid == nullptr && options.optimizer.kind == OptimizerKind::kAsgd) {
    return InvalidArgument(
        "optimizer: adam or sgd expected without a validation set, which says when asgd averages, "
        "asgd found");
  }
  if (job.pruner != nullptr) ESPALIER_RETURN_IF_ERROR(ValidatePruner(job.graph, *job.pruner));
  if (job.pruner != nullptr && job.pruner->schedule().end >= steps) {
    return InvalidArgument(StrCat("schedule.end: less than the ", steps,
                                  " steps of the training expected, ", job.pruner->schedule().end,
                                  " found"));
  }
  if (!job.regularizers.empty() && job.pruner == nullptr && options.patience > 0) {
    return InvalidArgument(StrCat(
        "patience: 0 expected beside regularizers that act to the last epoch, since the best "
        "one is of before they have worked, ",
        options.patience, " found"));
  }
  if (!job.regularizers.empty() && job.pruner != nullptr && job.pruner->schedule().end == 0) {
    return InvalidArgument(
        "regularizers: a schedule that ends after the first step expected, since they act until "
        "then, one that ends at step 0 found");
  }
  if (!job.regularizers.empty() && job.reconstructs() && job.pruner != nullptr &&
      job.pruner->schedule().begin != job.pruner->schedule().end) {
    return InvalidArgument(StrCat(
        "reconstruct: masks that are made once expected beside regularizers, since weights are not "
        "what was learned before the last, a schedule from step ",
        job.pruner->schedule().begin, " to ", job.pruner->schedule().end, " found"));
  }
  ESPALIER_RETURN_IF_ERROR(ValidateForMetric(job.train->metric, options, job.distillation));
  ESPALIER_RETURN_IF_ERROR(ValidateCalibration(job.calibration));
  const bool is_soft = job.pruner != nullptr && job.pruner->schedule().masks == MaskMode::kSoft;
  if (is_soft && (job.reconstructs() || job.rewind != nullptr)) {
    return InvalidArgument(
        StrCat(job.reconstructs() ? "reconstruct" : "rewind", ": hard masks expected, soft found"));
  }
  if (job.reconstructs() && job.rewind != nullptr) {
    return InvalidArgument("reconstruct: no rewind beside it expected, which would undo it");
  }
  if (job.rewind != nullptr && job.pruner != nullptr &&
      !job.pruner->schedule().regrow.criterion.empty()) {
    return InvalidArgument(
        "rewind: none expected beside regrow, whose exchanges would each undo the training since "
        "the last");
  }
  if (job.rewind != nullptr) {
    Graph rewound = job.graph;
    rewound.weights = *job.rewind;
    ESPALIER_RETURN_IF_ERROR(ValidateGraph(rewound).WithContext("rewind"));
  }
  if (job.distillation.teacher != nullptr) {
    const Range ranges[] = {
        {"distillation.weight", job.distillation.weight, 0.0, true, 1.0 + 1e-12},
        {"distillation.temperature", job.distillation.temperature, 0.0, false,
         kMostTemperature + 1e-9},
        {"distillation.hidden", job.distillation.hidden_weight, 0.0, true, HUGE_VAL},
    };
    for (const Range& range : ranges) ESPALIER_RETURN_IF_ERROR(CheckRange(range));
  }
  return Ok();
}

LossOptions LossOptionsOf(const TrainJob& job, const TrainOptions& options,
                          const Teaching& teaching) {
  const Distillation& distillation = job.distillation;
  return {.label_smoothing = options.label_smoothing,
          .dropout = options.dropout,
          .teacher_logits = teaching.logits,
          .teacher_weight = distillation.weight,
          .temperature = distillation.temperature,
          .hidden = teaching.hidden.empty() ? nullptr : &teaching,
          .hidden_weight = distillation.hidden_weight,
          .update_penalty = options.update_penalty,
          .delta_penalty = options.delta_penalty,
          .send_penalty = options.send_penalty};
}

}  // namespace espalier
