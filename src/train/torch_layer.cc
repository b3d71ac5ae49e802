#include "train/torch_layer.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <memory>

#include "base/strings.h"
#include "train/torch_executor.h"

namespace espalier {
namespace {

class TorchLayer {
 public:
  TorchLayer(const LayerView& layer, int64_t steps, int64_t batch)
      : is_lstm_(layer.cell == CellKind::kLstmCell) {
    const c10::InferenceMode inference;
    for (const Tensor* weight : {layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh}) {
      at::Tensor copy = at::empty(weight->shape, at::kFloat);
      std::copy(weight->values.begin(), weight->values.end(), copy.data_ptr<float>());
      weights_.push_back(copy);
    }
    sequence_x_ = at::empty({steps, batch, layer.input}, at::kFloat);
    step_x_ = at::empty({1, batch, layer.input}, at::kFloat);
    zeros_ = at::zeros({1, batch, layer.hidden}, at::kFloat);
    Reset();
    output_ = zeros_;
  }

  Status RunSequence(std::span<const float> x) {
    std::copy(x.begin(), x.end(), sequence_x_.data_ptr<float>());
    at::Tensor h = zeros_, c = zeros_;
    return Run(sequence_x_, &h, &c);
  }

  Status RunStep(std::span<const float> x) {
    std::copy(x.begin(), x.end(), step_x_.data_ptr<float>());
    return Run(step_x_, &h_, &c_);
  }

  void Reset() { h_ = c_ = zeros_; }

  std::span<const float> Output() const {
    return {output_.data_ptr<float>(), static_cast<size_t>(output_.numel())};
  }

 private:
  Status Run(const at::Tensor& x, at::Tensor* h, at::Tensor* c) {
    constexpr bool kHasBiases = true, kTrain = false, kBidirectional = false, kBatchFirst = false;
    try {
      const c10::InferenceMode inference;
      if (is_lstm_) {
        auto [y, end_h, end_c] = at::lstm(x, {*h, *c}, weights_, kHasBiases, 1, 0.0, kTrain,
                                          kBidirectional, kBatchFirst);
        *h = end_h;
        *c = end_c;
      } else {
        auto [y, end_h] =
            at::gru(x, *h, weights_, kHasBiases, 1, 0.0, kTrain, kBidirectional, kBatchFirst);
        *h = end_h;
      }
      output_ = *h;
      return Ok();
    } catch (const std::exception& error) {
      return Internal(std::string("libtorch: ") + error.what());
    }
  }

  const bool is_lstm_;
  std::vector<at::Tensor> weights_;
  at::Tensor sequence_x_, step_x_, zeros_;
  at::Tensor h_, c_;  // of the streams
  at::Tensor output_;
};

}  // namespace

Result<LayerRunner> MakeTorchLayer(const Graph& graph, int64_t steps, int64_t batch, int threads) {
  ESPALIER_ASSIGN_OR_RETURN(const LayerView layer, OnlyLayerOf(graph));
  if (layer.cell != CellKind::kLstmCell && layer.cell != CellKind::kGruCell) {
    return Unsupported(
        StrCat("libtorch: lstm or gru expected, ", InfoOf(layer.cell).name, " found"));
  }
  try {
    at::set_num_threads(threads);
    auto runner = std::make_shared<TorchLayer>(layer, steps, batch);
    LayerRunner out;
    // Setting it remakes the threads, also to what it is.
    const auto use = [threads] {
      if (at::get_num_threads() != threads) at::set_num_threads(threads);
    };
    out.run_sequence = [runner, use](std::span<const float> x) {
      use();
      return runner->RunSequence(x);
    };
    out.run_step = [runner, use](std::span<const float> x) {
      use();
      return runner->RunStep(x);
    };
    out.reset_stream = [runner] { runner->Reset(); };
    out.output = [runner] { return runner->Output(); };
    return out;
  } catch (const std::exception& error) {
    return Internal(std::string("libtorch: ") + error.what());
  }
}

}  // namespace espalier
