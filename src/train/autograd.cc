#include "train/autograd.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <new>

#include "base/aligned_buffer.h"
#include "base/strings.h"
#include "train/torch_executor.h"

namespace espalier {
namespace {

constexpr size_t kSliceElements = kAlignmentBytes / sizeof(float);

// The value that the loss reads: the first output, or what its Softmax reads.
std::string LogitsValue(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.output == graph.outputs[0] && node.op == Op::kSoftmax) return node.inputs[0];
  }
  return graph.outputs[0];
}

// Calls `body`, which returns a Status, and turns what libtorch throws into one.
template <typename Body>
Status Guarded(const Body& body) {
  try {
    return body();
  } catch (const c10::Error& error) {
    return Internal(StrCat("libtorch: ", error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    return OutOfMemory("training: no memory left for a batch; a smaller batch size needs less");
  }
}

// Rows that have a label, and their labels.
struct LabelledRows {
  at::Tensor index;   // undefined: all
  at::Tensor labels;  // of classes
  // The rows of a tensor like the outputs.
  at::Tensor Of(const at::Tensor& all) const {
    const at::Tensor flat = all.reshape({-1, all.size(-1)});
    return index.defined() ? flat.index_select(0, index) : flat;
  }
};
LabelledRows RowsOf(const LabelledBatch& batch) {
  LabelledRows rows;
  rows.labels = at::from_blob(const_cast<int32_t*>(batch.labels.data()),
                              {static_cast<int64_t>(batch.labels.size())}, at::kInt)
                    .to(at::kLong);
  if (batch.label_count == rows.labels.size(0)) return rows;
  rows.index = at::nonzero(rows.labels != kNoLabel).squeeze(1);
  rows.labels = rows.labels.index_select(0, rows.index);
  return rows;
}

// A view of numbers like the outputs.
at::Tensor Like(const at::Tensor& outputs, std::span<const float> values) {
  return at::from_blob(const_cast<float*>(values.data()), outputs.sizes(), at::kFloat);
}

at::Tensor RegressionLoss(const at::Tensor& outputs, const LabelledBatch& batch,
                          const LossOptions& options) {
  const LabelledRows rows = RowsOf(batch);
  const at::Tensor found = rows.Of(outputs);
  const at::Tensor loss = at::mse_loss(found, rows.Of(Like(outputs, batch.targets)));
  if (options.teacher_logits.empty()) return loss;
  const at::Tensor gap = at::mse_loss(found, rows.Of(Like(outputs, options.teacher_logits)));
  return loss * (1.0 - options.teacher_weight) + gap * options.teacher_weight;
}

at::Tensor Loss(const at::Tensor& all_logits, const LabelledBatch& batch,
                const LossOptions& options) {
  if (!batch.targets.empty()) return RegressionLoss(all_logits, batch, options);
  const LabelledRows rows = RowsOf(batch);
  const at::Tensor logits = rows.Of(all_logits);
  constexpr int64_t kNoLabelIgnored = -100;
  const at::Tensor loss = at::cross_entropy_loss(logits, rows.labels, {}, at::Reduction::Mean,
                                                 kNoLabelIgnored, options.label_smoothing);
  if (options.teacher_logits.empty()) return loss;
  const double t = options.temperature;
  const at::Tensor teacher = rows.Of(Like(all_logits, options.teacher_logits));
  const at::Tensor divergence =
      at::kl_div(at::log_softmax(logits / t, 1), at::log_softmax(teacher / t, 1),
                 at::Reduction::Sum, /*log_target=*/true) /
      logits.size(0);
  return loss * (1.0 - options.teacher_weight) + divergence * (options.teacher_weight * t * t);
}

// See LossOptions::hidden.
at::Tensor HiddenLoss(const TorchTensors& values, const Batch& batch, const Teaching& teaching) {
  const at::Tensor lengths =
      at::tensor(at::ArrayRef<int32_t>(batch.lengths), at::kInt).view({1, -1});
  const at::Tensor valid =
      (at::arange(batch.steps, at::kInt).view({-1, 1}) < lengths).unsqueeze(2);  // [T, B, 1]
  const at::Tensor count = valid.sum().clamp_min(1);
  at::Tensor total = at::zeros({});
  for (const auto& [name, features] : teaching.hidden) {
    const at::Tensor& student = values.at(name);
    const at::Tensor teacher =
        at::from_blob(const_cast<float*>(features.data()), student.sizes(), at::kFloat);
    // where, not a product: what is past a length may be anything.
    const at::Tensor gap = at::where(valid, student - teacher, at::zeros({1}));
    total = total + gap.square().sum() / (count * student.size(2));
  }
  return total / static_cast<double>(std::max<size_t>(1, teaching.hidden.size()));
}

// See TrainOptions::update_penalty: the mean over the directions that leave something out.
at::Tensor UpdatePenalty(const std::vector<at::Tensor>& updates) {
  at::Tensor total = at::zeros({});
  for (const at::Tensor& update : updates) total = total + update.mean();
  return total / static_cast<double>(std::max<size_t>(1, updates.size()));
}

// See TrainOptions::send_penalty: the mean over the directions with delta.
at::Tensor SendPenalty(const std::vector<at::Tensor>& sends) {
  at::Tensor total = at::zeros({});
  for (const at::Tensor& share : sends) total = total + share.mean();
  return total / static_cast<double>(std::max<size_t>(1, sends.size()));
}

// See TrainOptions::delta_penalty: the mean over the nodes with delta.
at::Tensor DeltaPenalty(const Graph& graph, const TorchTensors& values, const Batch& batch) {
  at::Tensor total = at::zeros({});
  double nodes = 0.0;
  const at::Tensor lengths =
      at::tensor(at::ArrayRef<int32_t>(batch.lengths), at::kInt).view({1, -1});
  for (const Node& node : graph.nodes) {
    if (!node.delta.has_value() || batch.steps < 2) continue;
    const at::Tensor& h = values.at(node.output);  // [T, B, H]
    const at::Tensor change =
        (h.narrow(0, 1, batch.steps - 1) - h.narrow(0, 0, batch.steps - 1)).abs();
    const at::Tensor valid =
        (at::arange(1, batch.steps, at::kInt).view({-1, 1}) < lengths).unsqueeze(2);
    total = total +
            at::where(valid, change, at::zeros({1})).sum() / (valid.sum().clamp_min(1) * h.size(2));
    nodes += 1.0;
  }
  return total / std::max(1.0, nodes);
}

}  // namespace

struct Autograd::Impl {
  Graph graph;  // without weights
  std::string logits;
  ValueType output;
  std::vector<WeightSlice> slices;
  AlignedBuffer<float> weights;
  AlignedBuffer<float> gradient;
  TorchTensors tensors;     // views of `weights`, whose gradients are views of `gradient`
  size_t graph_slices = 0;  // the first ones; the others are of thresholds

  // fn(node, its thresholds of x and h), of those that are learned.
  template <class Fn>
  void EachThresholds(const Fn& fn) {
    auto slice = slices.begin() + static_cast<ptrdiff_t>(graph_slices);
    for (Node& node : graph.nodes) {
      if (slice == slices.end()) return;
      if (slice->name != ThresholdsName(node)) continue;
      fn(&node, weights.data() + slice->offset);
      ++slice;
    }
  }
  // A step may have taken them below 0, which says the same.
  void ClampThresholds() {
    EachThresholds([](Node* /*node*/, float* thresholds) {
      for (int i = 0; i < 2; ++i) thresholds[i] = std::max(0.0f, thresholds[i]);
    });
  }

  void MakeTensors() {
    for (const WeightSlice& slice : slices) {
      at::Tensor tensor = at::from_blob(weights.data() + slice.offset, slice.shape, at::kFloat);
      tensor.requires_grad_(true);
      // libtorch adds to a gradient that is there in place.
      tensor.mutable_grad() =
          at::from_blob(gradient.data() + slice.offset, slice.shape, at::kFloat);
      tensors[slice.name] = tensor;
    }
  }
};

Autograd::Autograd(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Autograd::~Autograd() = default;

Result<std::unique_ptr<Autograd>> Autograd::Create(const Graph& graph, bool learns_thresholds) {
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(graph));
  if (graph.inputs.size() != 1) {
    return Unsupported(
        StrCat("graph '", graph.name, "': 1 input expected, ", graph.inputs.size(), " found"));
  }
  ESPALIER_ASSIGN_OR_RETURN(const auto types, InferTypes(graph));
  const std::string logits = LogitsValue(graph);
  const ValueType& type = types.at(logits);
  if (type.element != Element::kF32) {
    return InvalidArgument(StrCat("graph '", graph.name, "' output '", graph.outputs[0],
                                  "': f32 expected, ", TypeString(type), " found"));
  }
  auto impl = std::make_unique<Impl>();
  impl->graph.name = graph.name;
  impl->graph.inputs = graph.inputs;
  impl->graph.nodes = graph.nodes;
  impl->graph.outputs = graph.outputs;
  impl->logits = logits;
  impl->output = type;
  size_t offset = 0;
  for (const auto& [name, tensor] : graph.weights) {
    impl->slices.push_back({name, tensor.shape, offset, tensor.size()});
    offset = RoundUp(offset + tensor.size(), kSliceElements);
  }
  impl->graph_slices = impl->slices.size();
  for (const Node& node : graph.nodes) {
    if (!learns_thresholds || !node.delta.has_value()) continue;
    impl->slices.push_back({ThresholdsName(node), {2}, offset, 2});
    offset += kSliceElements;
  }
  Autograd autograd(std::move(impl));
  const Status status = Guarded([&] {
    autograd.impl_->weights = AlignedBuffer<float>(offset);
    autograd.impl_->gradient = AlignedBuffer<float>(offset);
    autograd.SetWeights(graph.weights);
    autograd.SetThresholds(graph);
    autograd.impl_->MakeTensors();
    return Ok();
  });
  ESPALIER_RETURN_IF_ERROR(status);
  return std::unique_ptr<Autograd>(new Autograd(std::move(autograd.impl_)));
}

ValueType Autograd::output() const { return impl_->output; }
const std::vector<WeightSlice>& Autograd::slices() const { return impl_->slices; }
std::span<float> Autograd::weights() { return impl_->weights; }
std::span<float> Autograd::gradient() { return impl_->gradient; }

Graph Autograd::ToGraph() const {
  impl_->EachThresholds([](Node* node, const float* thresholds) {
    node->delta->x = std::max(0.0, static_cast<double>(thresholds[0]));
    node->delta->h = std::max(0.0, static_cast<double>(thresholds[1]));
  });
  Graph graph = impl_->graph;
  for (const WeightSlice& slice : std::span(impl_->slices).first(impl_->graph_slices)) {
    const float* begin = impl_->weights.data() + slice.offset;
    graph.weights[slice.name] = Tensor(slice.shape, std::vector<float>(begin, begin + slice.size));
  }
  return graph;
}

std::vector<float> Autograd::FlatKeep(const MaskSet& masks) const {
  std::vector<float> flat;
  if (masks.empty()) return flat;
  flat.assign(impl_->weights.size(), 1.0f);
  for (const WeightSlice& slice : impl_->slices) {
    const auto it = masks.find(slice.name);
    if (it == masks.end()) continue;
    std::transform(it->second.keep.begin(), it->second.keep.end(),
                   flat.begin() + static_cast<ptrdiff_t>(slice.offset),
                   [](uint8_t k) { return k != 0 ? 1.0f : 0.0f; });
  }
  return flat;
}

void Autograd::SetThresholds(const Graph& graph) {
  impl_->EachThresholds([&](const Node* node, float* thresholds) {
    const auto from = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                   [&](const Node& other) { return other.name == node->name; });
    thresholds[0] = static_cast<float>(from->delta->x);
    thresholds[1] = static_cast<float>(from->delta->h);
  });
}

void Autograd::SetWeights(const TensorStore& weights) {
  for (const WeightSlice& slice : std::span(impl_->slices).first(impl_->graph_slices)) {
    const std::vector<float>& values = weights.at(slice.name).values;
    std::copy(values.begin(), values.end(), impl_->weights.data() + slice.offset);
  }
}

Result<double> Autograd::LossAndGradient(const LabelledBatch& batch, const LossOptions& loss,
                                         Rng* dropout) {
  double value = 0.0;
  const Status status = Guarded([&] {
    std::fill(impl_->gradient.begin(), impl_->gradient.end(), 0.0f);
    impl_->ClampThresholds();
    std::vector<at::Tensor> updates, sends;
    const TorchTensors values =
        Forward(impl_->graph, impl_->tensors, batch.batch, nullptr,
                {CellPath::kFused, dropout, &updates, &sends, loss.dropout});
    at::Tensor result = Loss(values.at(impl_->logits), batch, loss);
    if (loss.hidden != nullptr) {
      result = result + HiddenLoss(values, batch.batch, *loss.hidden) * loss.hidden_weight;
    }
    value = static_cast<double>(result.item<float>());
    if (loss.update_penalty > 0.0) result = result + UpdatePenalty(updates) * loss.update_penalty;
    if (loss.delta_penalty > 0.0) {
      result = result + DeltaPenalty(impl_->graph, values, batch.batch) * loss.delta_penalty;
    }
    if (loss.send_penalty > 0.0) result = result + SendPenalty(sends) * loss.send_penalty;
    result.backward();
    return Ok();
  });
  ESPALIER_RETURN_IF_ERROR(status);
  return value;
}

Status Autograd::Teach(const Batch& batch, const FeatureChoice& hidden, Teaching* teaching) {
  return Guarded([&] {
    const at::NoGradGuard no_gradient;
    const TorchTensors values =
        Forward(impl_->graph, impl_->tensors, batch, nullptr, ForwardOptions());
    const auto copy = [](const at::Tensor& from, std::vector<float>* to) {
      const at::Tensor packed = from.contiguous();
      const float* begin = packed.data_ptr<float>();
      to->assign(begin, begin + packed.numel());
    };
    copy(values.at(impl_->logits), &teaching->logits);
    for (const auto& [name, features] : hidden) {
      const at::Tensor chosen = at::tensor(at::ArrayRef<int64_t>(features), at::kLong);
      copy(values.at(name).index_select(2, chosen), &teaching->hidden[name]);
    }
    return Ok();
  });
}

Status Autograd::Logits(const Batch& batch, std::vector<float>* logits) {
  return Guarded([&] {
    const at::NoGradGuard no_gradient;
    const TorchTensors values =
        Forward(impl_->graph, impl_->tensors, batch, nullptr, ForwardOptions());
    const at::Tensor result = values.at(impl_->logits).contiguous();
    const float* begin = result.data_ptr<float>();
    logits->assign(begin, begin + result.numel());
    return Ok();
  });
}

void SetTorchThreads(int threads) { at::set_num_threads(threads); }

}  // namespace espalier
