#include "pipeline/layers.h"

#include <charconv>
#include <cstdlib>
#include <sstream>

#include "base/strings.h"
#include "model/build.h"

namespace espalier {
namespace {

// Ids are read by the first layer or by none, so that there is one Embedding at most.
constexpr char kEmbedding[] = "embedding0";

enum class Needs { kNothing, kSize, kSizeAndKernel, kRate };

struct LayerKind {
  std::string name;
  Needs needs;
  void (*append)(const LayerSpec& layer, GraphBuilder* builder);
};

template <Op op>
void AppendActivation(const LayerSpec& /*layer*/, GraphBuilder* builder) {
  builder->Activation(op);
}

void AppendCell(const LayerSpec& layer, GraphBuilder* builder) {
  builder->Recurrent(FindCell(layer.kind)->kind, layer.size,
                     {layer.direction, layer.recurrent_dropout, layer.projection});
}

std::vector<LayerKind> LayerKinds() {
  std::vector<LayerKind> kinds;
  for (const CellInfo& cell : kCells)
    kinds.push_back({std::string(cell.name), Needs::kSize, AppendCell});
  kinds.push_back({"gemm", Needs::kSize, [](const LayerSpec& layer, GraphBuilder* builder) {
                     builder->Gemm(layer.size);
                   }});
  kinds.push_back({"tied_gemm", Needs::kNothing,
                   [](const LayerSpec&, GraphBuilder* builder) { builder->TiedGemm(kEmbedding); }});
  kinds.push_back(
      {"conv1d", Needs::kSizeAndKernel, [](const LayerSpec& layer, GraphBuilder* builder) {
         builder->Conv1d(layer.size, {layer.kernel_size, layer.dilation});
       }});
  kinds.push_back({"embedding", Needs::kSize, [](const LayerSpec& layer, GraphBuilder* builder) {
                     builder->Embedding(layer.size);
                   }});
  kinds.push_back({"dropout", Needs::kRate, [](const LayerSpec& layer, GraphBuilder* builder) {
                     builder->Dropout(layer.rate);
                   }});
  kinds.push_back({"layer_norm", Needs::kNothing,
                   [](const LayerSpec&, GraphBuilder* builder) { builder->LayerNorm(); }});
  kinds.push_back(
      {"glu", Needs::kNothing, [](const LayerSpec&, GraphBuilder* builder) { builder->Glu(); }});
  kinds.push_back({"relu", Needs::kNothing, AppendActivation<Op::kRelu>});
  kinds.push_back({"sigmoid", Needs::kNothing, AppendActivation<Op::kSigmoid>});
  kinds.push_back({"tanh", Needs::kNothing, AppendActivation<Op::kTanh>});
  kinds.push_back({"softmax", Needs::kNothing, AppendActivation<Op::kSoftmax>});
  kinds.push_back({"last_step", Needs::kNothing,
                   [](const LayerSpec&, GraphBuilder* builder) { builder->LastStep(); }});
  kinds.push_back({"mean_over_time", Needs::kNothing,
                   [](const LayerSpec&, GraphBuilder* builder) { builder->MeanOverTime(); }});
  return kinds;
}

Result<LayerKind> FindLayerKind(const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  for (LayerKind& kind : LayerKinds()) {
    if (kind.name == name) return std::move(kind);
    names.push_back(kind.name);
  }
  return InvalidArgument(where + ": layer kind '" + name + "' is not one of " +
                         StrJoin(names, ", ") + DidYouMean(name, names));
}

Status BadWord(const std::string& word, const std::string& expected) {
  return InvalidArgument("layer '" + word + "': " + expected + " expected");
}

bool HasSize(Needs needs) { return needs == Needs::kSize || needs == Needs::kSizeAndKernel; }

// Weights and biases of a layer that ValidateLayer takes; *features are its inputs, then its
// outputs.
int64_t ParametersOf(const LayerSpec& layer, Needs needs, int64_t* features) {
  if (layer.kind == "layer_norm") return 2 * *features;
  if (layer.kind == "glu") *features /= 2;
  if (!HasSize(needs)) return 0;
  const int64_t inputs = *features * layer.kernel_size;
  *features = layer.size;
  const CellInfo* cell = FindCell(layer.kind);
  if (cell == nullptr) return layer.size * (inputs + (layer.kind == "embedding" ? 0 : 1));
  const int64_t directions = layer.direction == Direction::kBidirectional ? 2 : 1;
  const int64_t state = layer.projection > 0 ? layer.projection : layer.size;
  *features = directions * state;
  return directions * (cell->gates * layer.size * (inputs + state + 2) +
                       layer.size * (cell->peepholes + layer.projection));
}

}  // namespace

Result<std::string> LayerForm(const std::string& kind, const std::string& where) {
  ESPALIER_ASSIGN_OR_RETURN(const LayerKind found, FindLayerKind(kind, where));
  switch (found.needs) {
    case Needs::kNothing: return kind;
    case Needs::kSize: return kind + ": SIZE";
    case Needs::kSizeAndKernel: return kind + ": {outputs: SIZE, kernel_size: STEPS}";
    case Needs::kRate: return kind + ": RATE";
  }
  return kind;
}

Status ValidateLayer(const LayerSpec& layer, const std::string& where) {
  ESPALIER_ASSIGN_OR_RETURN(const LayerKind kind, FindLayerKind(layer.kind, where));
  if (HasSize(kind.needs) && (layer.size < 1 || layer.size > kMaxLayerSize)) {
    return InvalidArgument(
        StrCat(where, ": a size of 1 to ", kMaxLayerSize, " expected, ", layer.size, " found"));
  }
  if (layer.projection < 0 || layer.projection > kMaxLayerSize) {
    return InvalidArgument(StrCat(where, ".projection: 0 to ", kMaxLayerSize, " expected, ",
                                  layer.projection, " found"));
  }
  const CellInfo* cell = FindCell(layer.kind);
  if (layer.projection > 0 && (cell == nullptr || !cell->has_cell_state)) {
    return InvalidArgument(
        StrCat(where, ".projection: a cell with c, as lstm, expected, ", layer.kind, " found"));
  }
  for (const auto& [what, steps] :
       {std::pair{".kernel_size", layer.kernel_size}, {".dilation", layer.dilation}}) {
    if (steps >= 1 && steps <= kMostConvSteps) continue;
    return InvalidArgument(
        StrCat(where, what, ": 1 to ", kMostConvSteps, " expected, ", steps, " found"));
  }
  if (kind.needs == Needs::kRate && !(layer.rate >= 0.0 && layer.rate < 1.0)) {
    return InvalidArgument(StrCat(where, ": a rate in [0, 1) expected, ", layer.rate, " found"));
  }
  if (!(layer.recurrent_dropout >= 0.0 && layer.recurrent_dropout < 1.0)) {
    return InvalidArgument(StrCat(where, ".recurrent_dropout: a share in [0, 1) expected, ",
                                  layer.recurrent_dropout, " found"));
  }
  return Ok();
}

Result<LayerSpec> ParseLayer(const std::string& word) {
  std::vector<std::string> parts;
  std::istringstream in(word);
  for (std::string part; std::getline(in, part, ':');) parts.push_back(part);
  if (parts.empty()) return BadWord(word, "a kind");
  LayerSpec layer;
  layer.kind = parts[0];
  ESPALIER_ASSIGN_OR_RETURN(const LayerKind kind,
                            FindLayerKind(layer.kind, "layer '" + word + "'"));
  size_t used = 1;
  // The next part as a number; a missing one is none.
  const auto read = [&](int64_t* number) {
    const std::string text = parts.size() > used ? parts[used] : "";
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), *number);
    ++used;
    return !text.empty() && parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  };
  if (kind.needs == Needs::kSize) {
    if (!read(&layer.size)) return BadWord(word, layer.kind + ":SIZE");
  } else if (kind.needs == Needs::kSizeAndKernel) {
    const bool fits = read(&layer.size) && read(&layer.kernel_size) &&
                      (parts.size() <= used || read(&layer.dilation));
    if (!fits)
      return BadWord(word, layer.kind + ":SIZE:STEPS or " + layer.kind + ":SIZE:STEPS:DILATION");
  } else if (kind.needs == Needs::kRate) {
    char* end = nullptr;
    const std::string text = parts.size() > 1 ? parts[1] : "";
    layer.rate = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0') return BadWord(word, layer.kind + ":RATE");
    used = 2;
  }
  const CellInfo* cell = FindCell(layer.kind);
  const auto is_number = [&](const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  };
  if (cell != nullptr && cell->has_cell_state && parts.size() > used && is_number(parts[used])) {
    if (!read(&layer.projection) || layer.projection == 0) {
      return BadWord(word, layer.kind + ":SIZE:PROJECTION");
    }
  }
  if (parts.size() > used && cell != nullptr) {
    if (parts[used] == "bidirectional")
      layer.direction = Direction::kBidirectional;
    else if (parts[used] == "reverse")
      layer.direction = Direction::kReverse;
    else
      return BadWord(word, "'bidirectional' or 'reverse' after the size");
    ++used;
  }
  if (parts.size() > used) return BadWord(word, "nothing after '" + parts[used - 1] + "'");
  ESPALIER_RETURN_IF_ERROR(ValidateLayer(layer, "layer '" + word + "'"));
  return layer;
}

Result<std::vector<LayerSpec>> ParseLayers(const std::string& words) {
  std::vector<LayerSpec> layers;
  std::istringstream in(words);
  for (std::string word; in >> word;) {
    ESPALIER_ASSIGN_OR_RETURN(LayerSpec layer, ParseLayer(word));
    layers.push_back(std::move(layer));
  }
  if (layers.empty()) return InvalidArgument("model: at least one layer expected, none found");
  return layers;
}

Result<Graph> BuildNetwork(const std::string& name, const ValueType& input,
                           const std::vector<LayerSpec>& layers, Rng* rng) {
  GraphBuilder builder(name, {"x", input}, rng);
  int64_t features = input.features;
  int64_t parameters = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string where = StrCat("model[", i, "].", layers[i].kind);
    ESPALIER_RETURN_IF_ERROR(ValidateLayer(layers[i], where));
    ESPALIER_ASSIGN_OR_RETURN(const LayerKind kind, FindLayerKind(layers[i].kind, where));
    const int64_t inputs = features;
    if (layers[i].kind == "glu" && features % 2 != 0) {
      return InvalidArgument(
          StrCat(where, ": an even number of features expected, ", features, " found"));
    }
    const bool is_tied = layers[i].kind == "tied_gemm";
    if (is_tied && (i == 0 || layers[0].kind != "embedding")) {
      return InvalidArgument(where + ": an embedding as the first layer expected, " +
                             (i == 0 ? "nothing" : layers[0].kind) + " found");
    }
    if (is_tied) features = input.features;
    parameters += is_tied ? features : ParametersOf(layers[i], kind.needs, &features);
    if (parameters > kMaxNetworkParameters) {
      return InvalidArgument(StrCat(
          where, ": with size ", layers[i].size, " over ", inputs, " inputs the network has ",
          parameters, " weights and biases so far, at most ", kMaxNetworkParameters, " expected"));
    }
    kind.append(layers[i], &builder);
  }
  return builder.Finish();
}

}  // namespace espalier
