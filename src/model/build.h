// GraphBuilder: makes a Graph layer by layer with freshly initialised weights.
#ifndef ESPALIER_MODEL_BUILD_H_
#define ESPALIER_MODEL_BUILD_H_

#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "model/graph.h"

namespace espalier {

// Each call appends a node whose input is the value made last (or the one named by From) and whose
// name is <kind><count>, e.g. "lstm0", "lstm1", "gemm0". Weights are drawn as PyTorch draws them:
// uniform in +-1/sqrt(H) for Recurrent, +-1/sqrt(I) for Gemm, +-1/sqrt(K*I) for Conv1d, standard
// normal for Embedding; LayerNorm begins as weight 1 and bias 0.
// Finish validates. Example:
//   GraphBuilder b("digits", {"x", {Element::kF32, Layout::kSequence, 28}}, &rng);
//   b.Recurrent(CellKind::kLstmCell, 128).Dropout(0.2).LastStep().Gemm(10);
//   ESPALIER_ASSIGN_OR_RETURN(Graph graph, b.Finish());
class GraphBuilder {
 public:
  GraphBuilder(std::string name, GraphInput input, Rng* rng);

  struct RecurrentOptions {
    Direction direction = Direction::kForward;
    double recurrent_dropout = 0.0;
    int64_t projection_size = 0;
    std::vector<std::string> start = {};  // values that it starts from: h, and c of an LSTM
    std::optional<Delta> delta = {};
    bool skip = false;  // bias_skip begins as 1, so that nearly every step is an update
    std::optional<UnitBanks> banks = {};  // bias_banks begins as 1, so that most run
    std::optional<IdleCandidates> idle = {};
    std::optional<PredictedRows> predicted = {};  // random numbers, for tests
  };
  GraphBuilder& Recurrent(CellKind cell, int64_t hidden_size, RecurrentOptions options);
  GraphBuilder& Recurrent(CellKind cell, int64_t hidden_size);
  // c at the end of the LSTM that made the last value becomes the last value.
  GraphBuilder& EndC();
  GraphBuilder& Gemm(int64_t outputs);
  // A Gemm tied to this Embedding, whose weight is drawn anew as a Gemm's: normal numbers would
  // make logits far too large.
  GraphBuilder& TiedGemm(const std::string& embedding);
  struct Conv1dOptions {
    int64_t kernel_size = 1;
    int64_t dilation = 1;
  };
  GraphBuilder& Conv1d(int64_t outputs, Conv1dOptions options);
  GraphBuilder& Embedding(int64_t features);
  GraphBuilder& Dropout(double rate);
  GraphBuilder& Activation(Op op);  // kRelu, kSigmoid, kTanh, kSoftmax
  GraphBuilder& LastStep();
  GraphBuilder& MeanOverTime();
  GraphBuilder& LayerNorm(double epsilon = 1e-5);
  GraphBuilder& Slice(int64_t first, int64_t count);
  // The first half of the features times the sigmoid of the second: Dauphin et al. 2017,
  // arXiv:1612.08083, eq. 1. Two Slices, a Sigmoid and a Mul.
  GraphBuilder& Glu();
  GraphBuilder& Mul(std::string other_value);
  GraphBuilder& Add(std::string other_value);
  GraphBuilder& Concat(std::string other_value);

  // The next node reads this value instead of the one made last.
  GraphBuilder& From(const std::string& value);
  // The name of the value made last.
  const std::string& value() const { return value_; }

  // The graph with the last value as its output. Errors: what ValidateGraph says of a wrong call.
  Result<Graph> Finish();

 private:
  Node& Append(Op op, const std::string& kind);
  int64_t FeaturesOf(const std::string& value) const;
  void AddLinear(const std::string& node, int64_t outputs, int64_t inputs);
  Tensor Uniform(std::vector<int64_t> shape, float bound);

  Graph graph_;
  std::string value_;
  Rng* rng_;
};

}  // namespace espalier

#endif  // ESPALIER_MODEL_BUILD_H_
