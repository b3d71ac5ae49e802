#include "peers/onednn.h"

#ifdef ESPALIER_HAVE_ONEDNN

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "base/stopwatch.h"
#include "base/strings.h"
#include "peers/cpu.h"

namespace espalier {
namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
using DataType = dnnl::memory::data_type;

constexpr float kDataScale = 32.0f;  // a standard normal input passes 4 once in 16,000 times
constexpr float kDataShift = 128.0f;
constexpr int kScalePerGateAndUnit = (1 << 3) | (1 << 4);  // of weights in l d i g o

// A primitive and its arguments, ready to run.
struct Call {
  dnnl::primitive primitive;
  std::vector<dnnl_exec_arg_t> arguments;
  std::vector<dnnl::memory> memory;  // what the arguments point to

  Status Run(const dnnl::stream& stream) const {
    const dnnl_status_t status = dnnl_primitive_execute(
        primitive.get(), stream.get(), static_cast<int>(arguments.size()), arguments.data());
    if (status == dnnl_success) return Ok();
    return Internal(StrCat("oneDNN: execute returned ", static_cast<int>(status)));
  }
};

// What the GRU and LSTM primitives take; empty descs for what a form has not.
struct Descs {
  Desc src_layer, src_iter, src_iter_c, weights_layer, weights_iter, bias;
  Desc dst_layer, dst_iter, dst_iter_c;
};

struct States {
  dnnl::memory h, c;
};

class Layer {
 public:
  Layer(const LayerView& layer, OneDnnType type, const OneDnnShape& shape)
      : layer_(layer),
        type_(type),
        shape_(shape),
        is_lstm_(layer.cell == CellKind::kLstmCell),
        gates_(InfoOf(layer.cell).gates),
        engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_) {
    if (type_ == OneDnnType::kI8) {
      attributes_.set_rnn_data_qparams(kDataScale, kDataShift);
      attributes_.set_rnn_weights_qparams(kScalePerGateAndUnit, WeightScales());
    }
    sequence_x_ = dnnl::memory(LayerDesc(shape.steps, layer.input, InputType()), engine_);
    sequence_y_ = dnnl::memory(LayerDesc(shape.steps, layer.hidden, OutputType()), engine_);
    step_x_ = dnnl::memory(LayerDesc(1, layer.input, InputType()), engine_);
    step_y_ = dnnl::memory(LayerDesc(1, layer.hidden, OutputType()), engine_);
    for (States& states : states_) {
      states.h = dnnl::memory(StateDesc(InputType()), engine_);
      if (is_lstm_) states.c = dnnl::memory(StateDesc(DataType::f32), engine_);
    }
    Fill(0, &sequence_x_);  // to be tried on
    Fill(0, &step_x_);
    Reset();
    sequence_ = MakeCall(sequence_x_, sequence_y_, nullptr, nullptr,
                         FasterLayout(sequence_x_, sequence_y_, nullptr, nullptr));
    const Tag layout = FasterLayout(step_x_, step_y_, &states_[0], &states_[1]);
    for (size_t turn = 0; turn < 2; ++turn) {
      steps_[turn] = MakeCall(step_x_, step_y_, &states_[turn], &states_[1 - turn], layout);
    }
    output_.resize(static_cast<size_t>(shape.batch * layer.hidden));
    Reset();
    reordered_.clear();
    layer_ = LayerView();  // the weights are copied: the graph may go
  }

  Status RunSequence(std::span<const float> x) {
    last_ = &sequence_y_;
    SetInput(x, &sequence_x_);
    return sequence_.Run(stream_);
  }

  Status RunStep(std::span<const float> x) {
    last_ = &step_y_;
    SetInput(x, &step_x_);
    return steps_[turn_++ % 2].Run(stream_);
  }

  void Reset() {
    for (States& states : states_) {
      const auto zero = static_cast<uint8_t>(type_ == OneDnnType::kI8 ? kDataShift : 0.0f);
      Fill(zero, &states.h);
      if (is_lstm_) Fill(0, &states.c);
    }
  }

  // The last step's output.
  std::span<const float> Output() {
    const size_t count = output_.size();
    const size_t all = last_->get_desc().get_size() / (type_ == OneDnnType::kBf16 ? 2 : 4);
    if (type_ == OneDnnType::kBf16) {
      const auto* from = static_cast<const uint16_t*>(last_->get_data_handle()) + (all - count);
      for (size_t i = 0; i < count; ++i) {
        output_[i] = std::bit_cast<float>(static_cast<uint32_t>(from[i]) << 16);
      }
      return output_;
    }
    return {static_cast<const float*>(last_->get_data_handle()) + (all - count), count};
  }

 private:
  DataType InputType() const {
    return type_ == OneDnnType::kF32    ? DataType::f32
           : type_ == OneDnnType::kBf16 ? DataType::bf16
                                        : DataType::u8;
  }
  DataType WeightType() const { return type_ == OneDnnType::kI8 ? DataType::s8 : InputType(); }
  DataType OutputType() const {
    return type_ == OneDnnType::kBf16 ? DataType::bf16 : DataType::f32;
  }
  Desc LayerDesc(int64_t steps, int64_t width, DataType type) const {
    return Desc({steps, shape_.batch, width}, type, Tag::tnc);
  }
  Desc StateDesc(DataType type) const {
    return Desc({1, 1, shape_.batch, layer_.hidden}, type, Tag::ldnc);
  }

  // Gate k of oneDNN is gate GateOf(k) of ours: LSTM i f g o; GRU u r o <- r z n.
  int64_t GateOf(int64_t k) const { return is_lstm_ || k == 2 ? k : 1 - k; }

  // weight [G*H, C] -> [C, G, H], oneDNN's ldigo.
  std::vector<float> Transposed(const Tensor& weight) const {
    const int64_t columns = weight.dim(1);
    std::vector<float> out(weight.size());
    for (int64_t k = 0; k < gates_; ++k) {
      for (int64_t unit = 0; unit < layer_.hidden; ++unit) {
        const float* row = weight.values.data() + (GateOf(k) * layer_.hidden + unit) * columns;
        for (int64_t c = 0; c < columns; ++c) {
          out[static_cast<size_t>((c * gates_ + k) * layer_.hidden + unit)] = row[c];
        }
      }
    }
    return out;
  }

  // One for each gate and unit, of both matrices.
  std::vector<float> WeightScales() const {
    std::vector<float> most(static_cast<size_t>(gates_ * layer_.hidden), 0.0f);
    for (const Tensor* weight : {layer_.weight_ih, layer_.weight_hh}) {
      const std::vector<float> values = Transposed(*weight);
      for (size_t i = 0; i < values.size(); ++i) {
        float& row = most[i % most.size()];
        row = std::max(row, std::abs(values[i]));
      }
    }
    const auto limit = static_cast<float>(WeightLimitOfThisCpu());
    for (float& scale : most) scale = scale > 0.0f ? limit / scale : 1.0f;
    return most;
  }

  // LSTM and GRU: the sum of both biases. GRU with the reset after the product: u r o_x o_h.
  std::vector<float> Bias() const {
    const auto hidden = static_cast<size_t>(layer_.hidden);
    std::vector<float> out;
    for (int64_t k = 0; k < gates_; ++k) {
      const auto from = static_cast<size_t>(GateOf(k)) * hidden;
      const bool is_split = layer_.cell == CellKind::kGruCell && k == 2;
      for (size_t i = 0; i < hidden; ++i) {
        out.push_back(layer_.bias_ih->values[from + i] +
                      (is_split ? 0.0f : layer_.bias_hh->values[from + i]));
      }
      if (!is_split) continue;
      for (size_t i = 0; i < hidden; ++i) out.push_back(layer_.bias_hh->values[from + i]);
    }
    return out;
  }

  // `weight` in the layout `wanted`; one copy for all calls that want it so.
  dnnl::memory Reordered(const Tensor& weight, const Desc& wanted) {
    for (const auto& [made_of, memory] : reordered_) {
      if (made_of == &weight && memory.get_desc() == wanted) return memory;
    }
    std::vector<float> values = Transposed(weight);
    dnnl::memory plain({{1, 1, weight.dim(1), gates_, layer_.hidden}, DataType::f32, Tag::ldigo},
                       engine_, values.data());
    dnnl::memory packed(wanted, engine_);
    dnnl::reorder(dnnl::reorder::primitive_desc(plain, packed, attributes_))
        .execute(stream_, plain, packed);
    stream_.wait();
    reordered_.emplace_back(&weight, packed);
    return packed;
  }

  // Which layout of the weights is faster depends on sizes and the CPU: left the choice (any),
  // oneDNN 2.6 packs, which takes twice the time of plain ldigo for a step of 128 or 256 units
  // (AVX2, Zen 3). So both are tried. Only its own layout holds what the 8-bit form needs.
  Tag FasterLayout(const dnnl::memory& x, const dnnl::memory& y, const States* from,
                   const States* to) {
    if (type_ != OneDnnType::kF32) return Tag::any;
    constexpr int kRounds = 7;
    const std::array<Tag, 2> layouts = {Tag::any, Tag::ldigo};
    const std::array<Call, 2> calls = {MakeCall(x, y, from, to, layouts[0]),
                                       MakeCall(x, y, from, to, layouts[1])};
    std::array<double, 2> best_ns = {};
    for (int round = 0; round < kRounds; ++round) {
      for (size_t i = 0; i < calls.size(); ++i) {
        (void)calls[i].Run(stream_);  // the other call put its weights out of the caches
        const Stopwatch watch;
        (void)calls[i].Run(stream_);  // a failure will show in the first real run
        const double ns = watch.ElapsedNs();
        if (round == 0 || ns < best_ns[i]) best_ns[i] = ns;
      }
    }
    return layouts[best_ns[0] <= best_ns[1] ? 0 : 1];
  }

  // A primitive from x to y over weights in `layout`; from zero states and dropping the end states
  // if there are none.
  Call MakeCall(const dnnl::memory& x, const dnnl::memory& y, const States* from, const States* to,
                Tag layout) {
    const int64_t bias_gates = gates_ + (layer_.cell == CellKind::kGruCell ? 1 : 0);
    Descs descs;
    descs.src_layer = x.get_desc();
    descs.weights_layer = Desc({1, 1, layer_.input, gates_, layer_.hidden}, WeightType(), layout);
    descs.weights_iter = Desc({1, 1, layer_.hidden, gates_, layer_.hidden}, WeightType(), layout);
    descs.bias = Desc({1, 1, bias_gates, layer_.hidden}, DataType::f32, Tag::ldgo);
    descs.dst_layer = y.get_desc();
    if (from != nullptr) {
      descs.src_iter = descs.dst_iter = from->h.get_desc();
      if (is_lstm_) descs.src_iter_c = descs.dst_iter_c = from->c.get_desc();
    }
    using dnnl::prop_kind;
    constexpr auto kForward = dnnl::rnn_direction::unidirectional_left2right;
    if (is_lstm_) {
      const dnnl::lstm_forward::desc desc(prop_kind::forward_inference, kForward, descs.src_layer,
                                          descs.src_iter, descs.src_iter_c, descs.weights_layer,
                                          descs.weights_iter, descs.bias, descs.dst_layer,
                                          descs.dst_iter, descs.dst_iter_c);
      return Bound<dnnl::lstm_forward>(desc, x, y, from, to);
    }
    const auto gru = [&]<typename Primitive>(Primitive*) {
      const typename Primitive::desc desc(prop_kind::forward_inference, kForward, descs.src_layer,
                                          descs.src_iter, descs.weights_layer, descs.weights_iter,
                                          descs.bias, descs.dst_layer, descs.dst_iter);
      return Bound<Primitive>(desc, x, y, from, to);
    };
    if (layer_.cell == CellKind::kGruCell) return gru(static_cast<dnnl::lbr_gru_forward*>(nullptr));
    return gru(static_cast<dnnl::gru_forward*>(nullptr));
  }

  template <typename Primitive, typename PrimitiveDesc>
  Call Bound(const PrimitiveDesc& desc, const dnnl::memory& x, const dnnl::memory& y,
             const States* from, const States* to) {
    const typename Primitive::primitive_desc chosen(desc, attributes_, engine_);
    Call call;
    call.primitive = Primitive(chosen);
    const auto add = [&](int name, const dnnl::memory& memory) {
      call.memory.push_back(memory);
      call.arguments.push_back({name, memory.get()});
    };
    add(DNNL_ARG_SRC_LAYER, x);
    add(DNNL_ARG_WEIGHTS_LAYER, Reordered(*layer_.weight_ih, chosen.weights_layer_desc()));
    add(DNNL_ARG_WEIGHTS_ITER, Reordered(*layer_.weight_hh, chosen.weights_iter_desc()));
    dnnl::memory bias(chosen.bias_desc(), engine_);
    const std::vector<float> biases = Bias();
    std::copy(biases.begin(), biases.end(), static_cast<float*>(bias.get_data_handle()));
    add(DNNL_ARG_BIAS, bias);
    add(DNNL_ARG_DST_LAYER, y);
    if (from == nullptr) return call;
    add(DNNL_ARG_SRC_ITER, from->h);
    add(DNNL_ARG_DST_ITER, to->h);
    if (is_lstm_) {
      add(DNNL_ARG_SRC_ITER_C, from->c);
      add(DNNL_ARG_DST_ITER_C, to->c);
    }
    return call;
  }

  void SetInput(std::span<const float> x, dnnl::memory* memory) const {
    switch (type_) {
      case OneDnnType::kF32:
        std::copy(x.begin(), x.end(), static_cast<float*>(memory->get_data_handle()));
        return;
      case OneDnnType::kBf16: {  // to the nearest, ties to even
        auto* out = static_cast<uint16_t*>(memory->get_data_handle());
        for (size_t i = 0; i < x.size(); ++i) {
          const auto bits = std::bit_cast<uint32_t>(x[i]);
          out[i] = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
        }
        return;
      }
      case OneDnnType::kI8: {
        auto* out = static_cast<uint8_t*>(memory->get_data_handle());
        for (size_t i = 0; i < x.size(); ++i) {
          const float value = std::clamp(x[i] * kDataScale + kDataShift + 0.5f, 0.0f, 255.0f);
          out[i] = static_cast<uint8_t>(value);
        }
        return;
      }
    }
  }

  static void Fill(uint8_t byte, dnnl::memory* memory) {
    auto* bytes = static_cast<uint8_t*>(memory->get_data_handle());
    std::fill_n(bytes, memory->get_desc().get_size(), byte);
  }

  LayerView layer_;
  const OneDnnType type_;
  const OneDnnShape shape_;
  const bool is_lstm_;
  const int64_t gates_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::primitive_attr attributes_;
  dnnl::memory sequence_x_, sequence_y_, step_x_, step_y_;
  std::array<States, 2> states_;
  Call sequence_;
  std::array<Call, 2> steps_;
  std::vector<std::pair<const Tensor*, dnnl::memory>> reordered_;  // while the calls are made
  size_t turn_ = 0;
  const dnnl::memory* last_ = &step_y_;
  std::vector<float> output_;
};

// Debian's oneDNN runs on OpenMP, which has no header here: it is in the process, since oneDNN is.
void UseThreads(int threads) {
  static void* const found = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
  if (found != nullptr) reinterpret_cast<void (*)(int)>(found)(threads);
}

}  // namespace

Result<LayerRunner> MakeOneDnnLayer(const Graph& graph, OneDnnType type, const OneDnnShape& shape,
                                    int threads) {
  ESPALIER_ASSIGN_OR_RETURN(const LayerView layer, OnlyLayerOf(graph));
  const CellInfo& info = InfoOf(layer.cell);
  if (info.onnx_op == "RNN" || (info.onnx_op == "GRU" && type == OneDnnType::kI8)) {
    return Unsupported(StrCat("oneDNN: ", type == OneDnnType::kI8 ? "lstm" : "lstm or gru",
                              " expected, ", info.name, " found"));
  }
  if (type == OneDnnType::kBf16 && !HasBf16Products()) {
    return Unsupported("oneDNN: a CPU that multiplies bf16 expected; elsewhere it is emulated");
  }
  UseThreads(threads);
  try {
    auto runner = std::make_shared<Layer>(layer, type, shape);
    LayerRunner out;
    out.run_sequence = [runner, threads](std::span<const float> x) {
      UseThreads(threads);
      return runner->RunSequence(x);
    };
    out.run_step = [runner, threads](std::span<const float> x) {
      UseThreads(threads);
      return runner->RunStep(x);
    };
    out.reset_stream = [runner] { runner->Reset(); };
    out.output = [runner] { return runner->Output(); };
    return out;
  } catch (const dnnl::error& error) {
    const std::string message = std::string("oneDNN: ") + error.what();
    return error.status == dnnl_unimplemented ? Unsupported(message) : Internal(message);
  } catch (const std::bad_alloc&) {
    return OutOfMemory("oneDNN: not enough memory");
  }
}

}  // namespace espalier

#else  // ESPALIER_HAVE_ONEDNN

namespace espalier {

Result<LayerRunner> MakeOneDnnLayer(const Graph&, OneDnnType, const OneDnnShape&, int) {
  return Unsupported(
      "oneDNN 2.x expected when espalier is built (Debian: libdnnl-dev), none found");
}

}  // namespace espalier

#endif  // ESPALIER_HAVE_ONEDNN
