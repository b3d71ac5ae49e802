#include "peers/eigen.h"

#ifdef ESPALIER_HAVE_EIGEN

#include <memory>

#include "base/strings.h"
#include "peers/eigen_kernel.h"

namespace espalier {
namespace {

bool CpuFits() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

struct Deleter {
  void operator()(eigen::Layer* layer) const { eigen::Delete(layer); }
};
using LayerPtr = std::unique_ptr<eigen::Layer, Deleter>;

// One cell for whole sequences and one that streams, so that neither disturbs the other.
struct Pair {
  LayerPtr whole, stream;
  const eigen::Layer* last = nullptr;
};

}  // namespace

Result<LayerRunner> MakeEigenLayer(const Graph& graph, int64_t steps, int64_t batch) {
  ESPALIER_ASSIGN_OR_RETURN(const LayerView layer, OnlyLayerOf(graph));
  if (layer.cell != CellKind::kLstmCell && layer.cell != CellKind::kGruCell) {
    return Unsupported(StrCat("Eigen: lstm or gru expected, ", InfoOf(layer.cell).name, " found"));
  }
  if (!CpuFits()) return Unsupported("Eigen: a CPU with AVX2 and FMA expected");
  const auto make = [&] {
    const eigen::Weights weights = {layer.weight_ih->values.data(), layer.weight_hh->values.data(),
                                    layer.bias_ih->values.data(), layer.bias_hh->values.data()};
    const eigen::Cell cell =
        layer.cell == CellKind::kLstmCell ? eigen::Cell::kLstm : eigen::Cell::kGru;
    return LayerPtr(eigen::NewLayer(cell, layer.input, layer.hidden, batch, weights));
  };
  auto pair = std::make_shared<Pair>(Pair{make(), make(), nullptr});
  pair->last = pair->stream.get();
  const auto x_width = static_cast<size_t>(batch * layer.input);
  const auto y_width = static_cast<size_t>(batch * layer.hidden);
  LayerRunner out;
  out.run_sequence = [pair, steps, x_width](std::span<const float> x) {
    pair->last = pair->whole.get();
    eigen::Reset(pair->whole.get());
    for (size_t t = 0; t < static_cast<size_t>(steps); ++t) {
      eigen::Step(pair->whole.get(), x.data() + t * x_width);
    }
    return Ok();
  };
  out.run_step = [pair](std::span<const float> x) {
    pair->last = pair->stream.get();
    eigen::Step(pair->stream.get(), x.data());
    return Ok();
  };
  out.reset_stream = [pair] { eigen::Reset(pair->stream.get()); };
  out.output = [pair, y_width] {
    return std::span<const float>(eigen::Output(pair->last), y_width);
  };
  return out;
}

}  // namespace espalier

#else  // ESPALIER_HAVE_EIGEN

namespace espalier {

Result<LayerRunner> MakeEigenLayer(const Graph&, int64_t, int64_t) {
  return Unsupported("Eigen expected when espalier is built (Debian: libeigen3-dev), none found");
}

}  // namespace espalier

#endif  // ESPALIER_HAVE_EIGEN
