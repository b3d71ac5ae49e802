#include "exchange/onnx_gates.h"

#include <algorithm>
#include <span>
#include <string_view>

namespace espalier {
namespace {

// Gate k of ONNX is gate GatesOf(cell)[k] of ours.
std::span<const int64_t> GatesOf(CellKind cell) {
  static constexpr int64_t kLstm[] = {0, 3, 1, 2};  // i o f c <- i f g o
  static constexpr int64_t kGru[] = {1, 0, 2};      // z r h <- r z n
  static constexpr int64_t kRnn[] = {0};
  const std::string_view op = InfoOf(cell).onnx_op;
  if (op == "LSTM") return kLstm;
  if (op == "GRU") return kGru;
  return kRnn;
}

constexpr int64_t kPeepholes[] = {0, 2, 1};  // i o f <- i f o

enum class To { kOnnx, kInside };

// Copies G gates of `gate_elements` each (H rows of a matrix, or H biases), reordered.
void CopyGates(std::span<const int64_t> gates, To to, std::span<const float> from,
               std::span<float> out) {
  const size_t gate_elements = from.size() / gates.size();
  for (size_t k = 0; k < gates.size(); ++k) {
    const size_t inside = static_cast<size_t>(gates[k]) * gate_elements;
    const size_t onnx = k * gate_elements;
    const size_t source = to == To::kOnnx ? inside : onnx;
    const size_t target = to == To::kOnnx ? onnx : inside;
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(source), gate_elements,
                out.begin() + static_cast<std::ptrdiff_t>(target));
  }
}

// Part `index` of `count` equal parts.
template <typename T>
std::span<T> Part(std::span<T> values, size_t index, size_t count) {
  const size_t size = values.size() / count;
  return values.subspan(index * size, size);
}

}  // namespace

OnnxRecurrentWeights ToOnnxGates(const Graph& graph, const Node& node) {
  const std::vector<RecurrentDirection> directions = DirectionsOf(node);
  const auto count = static_cast<int64_t>(directions.size());
  const Tensor& first = graph.weights.at(directions[0].weight_ih);
  OnnxRecurrentWeights to{Tensor({count, first.dim(0), first.dim(1)}),
                          Tensor({count, first.dim(0), node.hidden_size}),
                          Tensor({count, 2 * first.dim(0)}),
                          {}};
  const int64_t peepholes = InfoOf(node.cell).peepholes;
  if (peepholes > 0) to.p = Tensor({count, peepholes * node.hidden_size});
  for (size_t d = 0; d < directions.size(); ++d) {
    const auto copy = [&](const std::string& name, std::span<float> out) {
      CopyGates(GatesOf(node.cell), To::kOnnx, graph.weights.at(name).values, out);
    };
    const std::span<float> bias = Part(std::span(to.b.values), d, directions.size());
    copy(directions[d].weight_ih, Part(std::span(to.w.values), d, directions.size()));
    copy(directions[d].weight_hh, Part(std::span(to.r.values), d, directions.size()));
    copy(directions[d].bias_ih, Part(bias, 0, 2));
    copy(directions[d].bias_hh, Part(bias, 1, 2));
    if (peepholes == 0) continue;
    CopyGates(kPeepholes, To::kOnnx, graph.weights.at(directions[d].weight_peephole).values,
              Part(std::span(to.p.values), d, directions.size()));
  }
  return to;
}

void FromOnnxGates(const OnnxRecurrentWeights& from, const Node& node, TensorStore* weights) {
  const std::vector<RecurrentDirection> directions = DirectionsOf(node);
  const int64_t rows = from.w.dim(1);
  for (size_t d = 0; d < directions.size(); ++d) {
    const auto copy_in = [&](std::span<const int64_t> gates, std::span<const float> values,
                             const std::string& name, std::vector<int64_t> shape) {
      Tensor tensor(std::move(shape));
      CopyGates(gates, To::kInside, values, tensor.values);
      (*weights)[name] = std::move(tensor);
    };
    const auto copy = [&](std::span<const float> values, const std::string& name,
                          std::vector<int64_t> shape) {
      copy_in(GatesOf(node.cell), values, name, std::move(shape));
    };
    const auto bias = Part(std::span<const float>(from.b.values), d, directions.size());
    copy(Part(std::span<const float>(from.w.values), d, directions.size()), directions[d].weight_ih,
         {rows, from.w.dim(2)});
    copy(Part(std::span<const float>(from.r.values), d, directions.size()), directions[d].weight_hh,
         {rows, node.hidden_size});
    copy(Part(bias, 0, 2), directions[d].bias_ih, {rows});
    copy(Part(bias, 1, 2), directions[d].bias_hh, {rows});
    if (directions[d].weight_peephole.empty()) continue;
    const auto peepholes = Part(std::span<const float>(from.p.values), d, directions.size());
    copy_in(kPeepholes, peepholes, directions[d].weight_peephole,
            {static_cast<int64_t>(peepholes.size())});
  }
}

}  // namespace espalier
