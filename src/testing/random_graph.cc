#include "testing/random_graph.h"

#include <string>
#include <utility>
#include <vector>

#include "model/build.h"
#include "testing/testing.h"

namespace espalier::testing {
namespace {

class GraphDrawer {
 public:
  explicit GraphDrawer(Rng* rng) : rng_(rng) {}

  Graph Draw() {
    const bool is_ids = OneIn(4);
    const int64_t features = 1 + Below(5);
    const ValueType type{is_ids ? Element::kI32 : Element::kF32, Layout::kSequence, features};
    GraphBuilder builder("random", {"x", type}, rng_);
    builder_ = &builder;
    width_ = features;
    if (is_ids) builder.Embedding(embedding_width_ = width_ = 1 + Below(6));
    const int64_t layers = 1 + Below(3);
    for (int64_t i = 0; i < layers; ++i) {
      Layer();
      while (OneIn(2)) Between();
    }
    Head();
    return ValueOrDie(builder.Finish());
  }

 private:
  struct Step {
    int64_t weight;  // how often it is drawn
    void (GraphDrawer::*draw)();
  };
  static const Step kSteps[];

  int64_t Below(int64_t bound) {
    return static_cast<int64_t>(rng_->Below(static_cast<uint64_t>(bound)));
  }
  bool OneIn(int64_t n) { return Below(n) == 0; }

  // A cell, and a projection where it may have one. The layer has `outputs` features a direction.
  struct Cell {
    CellKind kind;
    int64_t hidden = 0;
    GraphBuilder::RecurrentOptions options;
  };
  Cell DrawCell(int64_t outputs) {
    Cell cell{static_cast<CellKind>(Below(static_cast<int64_t>(kCellCount))), outputs, {}};
    if (InfoOf(cell.kind).has_cell_state && OneIn(3)) {
      cell.options.projection_size = outputs;
      cell.hidden = 1 + Below(6);
    }
    return cell;
  }

  void Layer() {
    Cell cell = DrawCell(1 + Below(6));
    cell.options.direction = OneIn(2) ? Direction::kForward : static_cast<Direction>(Below(3));
    Append(cell);
  }

  void Append(const Cell& cell) {
    builder_->Recurrent(cell.kind, cell.hidden, cell.options);
    const int64_t projection = cell.options.projection_size;
    width_ = projection > 0 ? projection : cell.hidden;
    const int64_t directions = cell.options.direction == Direction::kBidirectional ? 2 : 1;
    width_ *= directions;
    if (InfoOf(cell.kind).has_cell_state) {
      cells_.emplace_back(builder_->value(), directions * cell.hidden);
    }
    Keep();
  }

  // Remembers the value made last as one that later nodes may read.
  void Keep() { sequences_.emplace_back(builder_->value(), width_); }

  std::pair<std::string, int64_t> Earlier() {
    return sequences_[static_cast<size_t>(Below(Count(sequences_)))];
  }

  template <typename T>
  static int64_t Count(const std::vector<T>& values) {
    return static_cast<int64_t>(values.size());
  }

  void Between() {
    int64_t total = 0;
    for (const Step* step = kSteps; step->draw != nullptr; ++step) total += step->weight;
    int64_t drawn = Below(total);
    const Step* step = kSteps;
    while (drawn >= step->weight) drawn -= step++->weight;
    (this->*step->draw)();
    Keep();
  }

  void Dropout() { builder_->Dropout(0.3); }

  void Activation() {
    constexpr Op kActivations[] = {Op::kRelu, Op::kSigmoid, Op::kTanh};
    builder_->Activation(kActivations[Below(3)]);
  }

  void Gemm() { builder_->Gemm(width_ = 1 + Below(5)); }
  void Conv1d() { builder_->Conv1d(width_ = 1 + Below(5), {1 + Below(3), 1 + Below(3)}); }

  // A second layer of the same width in parallel, added: joins their units.
  void ParallelLayer() {
    const std::string here = builder_->value();
    const Cell cell = DrawCell(width_);
    builder_->From(Earlier().first).Recurrent(cell.kind, cell.hidden, cell.options).Add(here);
  }

  void Concat() {
    const auto [value, width] = Earlier();
    builder_->Concat(value);
    width_ += width;
  }

  // A value of the same width, if there is one, added or multiplied.
  void Residual() { WithEarlier(&GraphBuilder::Add); }
  void Product() { WithEarlier(&GraphBuilder::Mul); }
  void WithEarlier(GraphBuilder& (GraphBuilder::*join)(std::string)) {
    for (const auto& [value, width] : sequences_) {
      if (width != width_) continue;
      (builder_->*join)(value);
      return;
    }
  }

  // What came before times a gate of it (Srivastava et al. 2015, arXiv:1505.00387).
  void Highway() {
    const std::string here = builder_->value();
    builder_->Gemm(width_).Activation(Op::kSigmoid).Mul(here);
  }

  void Glu() {
    if (width_ % 2 == 1) return;
    builder_->Glu();
    width_ /= 2;
  }

  void Slice() {
    const int64_t first = Below(width_);
    const int64_t count = 1 + Below(width_ - first);
    builder_->Slice(first, count);
    width_ = count;
  }

  // Its weights begin as 1 and 0, which would hide a swap.
  void LayerNorm() { builder_->LayerNorm(0.1); }

  // A second layer over a sequence so far that starts from the end of this one: as it is where it
  // fits, or through a Gemm.
  void Decoder() {
    const std::string encoder = builder_->value();
    const int64_t encoder_width = width_;
    Cell cell = DrawCell(OneIn(2) ? width_ : 1 + Below(6));
    cell.options.direction = OneIn(3) ? static_cast<Direction>(Below(3)) : Direction::kForward;
    const int64_t directions = cell.options.direction == Direction::kBidirectional ? 2 : 1;
    const int64_t projection = cell.options.projection_size;
    const auto start_of = [&](int64_t size) {
      builder_->From(encoder);
      OneIn(3) ? builder_->MeanOverTime() : builder_->LastStep();
      const bool fits = size == encoder_width;
      if (!fits || OneIn(3)) builder_->Gemm(size);
      if (OneIn(3)) builder_->Activation(Op::kTanh);
      cell.options.start.push_back(builder_->value());
    };
    // c from c at the end of an earlier layer.
    const auto start_c = [&](int64_t size) {
      if (cells_.empty() || OneIn(3)) return start_of(size);
      const auto& [layer, width] = cells_[static_cast<size_t>(Below(Count(cells_)))];
      builder_->From(layer).EndC();
      if (size != width) builder_->Gemm(size);
      cell.options.start.push_back(builder_->value());
    };
    start_of(directions * (projection > 0 ? projection : cell.hidden));
    if (InfoOf(cell.kind).has_cell_state) start_c(directions * cell.hidden);
    builder_->From(Earlier().first);
    Append(cell);
  }

  void Head() {
    const std::string top = builder_->value();
    int64_t width = width_;
    switch (Below(5)) {
      case 0: builder_->LastStep(); break;
      case 1: builder_->MeanOverTime(); break;
      case 2: {
        const std::string last = builder_->LastStep().value();
        builder_->From(top).MeanOverTime().Concat(last);
        width *= 2;
        break;
      }
      case 3:
        if (!cells_.empty()) {  // what the last LSTM keeps
          const std::string c = builder_->From(cells_.back().first).EndC().value();
          builder_->From(top).LastStep().Concat(c);
          width += cells_.back().second;
        }
        break;
      default: break;  // an output at every step
    }
    if (OneIn(3)) builder_->Activation(Op::kSigmoid);
    if (OneIn(8)) return;  // units reach the output
    if (embedding_width_ > 0 && OneIn(2)) {
      if (width != embedding_width_) builder_->Gemm(embedding_width_);
      builder_->TiedGemm("embedding0");
    } else {
      builder_->Gemm(3);
    }
    if (OneIn(2)) builder_->Activation(Op::kSoftmax);
  }

  Rng* rng_;
  GraphBuilder* builder_ = nullptr;
  int64_t width_ = 0;
  using Values = std::vector<std::pair<std::string, int64_t>>;
  Values sequences_;             // made so far, and their widths
  Values cells_;                 // those of layers with c, and how many features c has
  int64_t embedding_width_ = 0;  // 0: the input is no ids
};

const GraphDrawer::Step GraphDrawer::kSteps[] = {
    {2, &GraphDrawer::Dropout},       {2, &GraphDrawer::Activation},
    {2, &GraphDrawer::Gemm},          {3, &GraphDrawer::Conv1d},
    {3, &GraphDrawer::ParallelLayer}, {3, &GraphDrawer::Concat},
    {2, &GraphDrawer::Residual},      {2, &GraphDrawer::Product},
    {2, &GraphDrawer::Highway},       {2, &GraphDrawer::Glu},
    {3, &GraphDrawer::Slice},         {1, &GraphDrawer::LayerNorm},
    {4, &GraphDrawer::Decoder},       {0, nullptr},
};

}  // namespace

Graph RandomNetworkOfEverything(Rng* rng) {
  Graph graph = GraphDrawer(rng).Draw();
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kLayerNorm) continue;
    for (const char* name : {".weight", ".bias"}) {
      for (float& value : graph.weights.at(node.name + name).values) {
        value += rng->Uniform(-0.5f, 0.5f);
      }
    }
  }
  return graph;
}

}  // namespace espalier::testing
