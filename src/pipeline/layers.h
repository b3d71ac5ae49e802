// The layers of a network as a recipe or a command line writes them, and the Graph they make.
//   recipe:        model: [{conv1d: {outputs: 64, kernel_size: 3}}, {lstm: {hidden: 128}},
//   last_step,
//                          {dropout: 0.2}, {gemm: 10}]
//   command line:  --model "conv1d:64:3 lstm:128 last_step dropout:0.2 gemm:10"
#ifndef ESPALIER_PIPELINE_LAYERS_H_
#define ESPALIER_PIPELINE_LAYERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "model/graph.h"

namespace espalier {

// More is refused before anything is allocated. A size beyond this is a typing error, and products
// of two such sizes and a kernel's fit in 64 bits; the network must go into an .onnx file, which
// holds 2 GB.
inline constexpr int64_t kMaxLayerSize = 1000000;
inline constexpr int64_t kMaxNetworkParameters = 500000000;

struct LayerSpec {
  // A cell's name, "gemm", "tied_gemm", "conv1d", "embedding", "dropout", "layer_norm", "glu",
  // "relu", "sigmoid", "tanh", "softmax", "last_step" or "mean_over_time".
  std::string kind;
  int64_t size = 0;   // hidden units, outputs or embedding features, in [1, kMaxLayerSize]
  double rate = 0.0;  // dropout
  Direction direction = Direction::kForward;  // cells only
  double recurrent_dropout = 0.0;             // cells only
  int64_t projection = 0;                     // lstm, lstm_peephole only: P, 0 = none
  int64_t kernel_size = 1;                    // conv1d only: taps, in [1, kMostConvSteps]
  int64_t dilation = 1;  // conv1d only: steps between two, in [1, kMostConvSteps]
};

// Reads one word of the command-line form: "kind", "kind:size" or "dropout:rate"; a cell may end
// in ":bidirectional" or ":reverse", "lstm:size" go on with ":projection",
// "conv1d:size:kernel_size" in ":dilation". Errors:
// kInvalidArgument, naming the word.
Result<LayerSpec> ParseLayer(const std::string& word);
Result<std::vector<LayerSpec>> ParseLayers(const std::string& words);

// How a recipe writes a layer of this kind without further keys: "gemm: SIZE", "dropout: RATE" or
// "relu". Errors: kInvalidArgument for an unknown kind, with the nearest; `where` names the layer.
Result<std::string> LayerForm(const std::string& kind, const std::string& where);

// Checks kind (suggests the nearest), size and rates. `where` names the layer in messages.
Status ValidateLayer(const LayerSpec& layer, const std::string& where);

// A network named `name` over one input "x" of this type, freshly initialised by `rng`.
// Errors: kInvalidArgument for a layer that ValidateLayer refuses, more than kMaxNetworkParameters
// weights and biases, or layers that do not fit, naming the layer.
Result<Graph> BuildNetwork(const std::string& name, const ValueType& input,
                           const std::vector<LayerSpec>& layers, Rng* rng);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_LAYERS_H_
