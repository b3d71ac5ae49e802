// Regularizer: what acts on the pieces of a granularity while a network trains, so that it learns
// to do without some of them. It says nothing of when and how masks are made: in the end it is
// *folded* into the weights, and what it learned to do without is then exactly 0. Allocation
// `threshold` with a threshold of 0 drops just that; any other allocation and criterion ranks the
// folded weights as it ranks all weights, at the sparsity that is asked for.
//
// A step of training is: `sample` (weights of this step), loss and gradient for them, `pull` (the
// gradient for the weights as they are, and for its own parameters), the optimiser's step of both,
// `project`. Everything is in flat vectors of all weights (Pieces::members), with no libtorch.
#ifndef ESPALIER_PRUNE_REGULARIZER_H_
#define ESPALIER_PRUNE_REGULARIZER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "prune/pieces.h"

namespace espalier {

// What a user asks for.
struct RegularizerSpec {
  std::string name;
  double strength = 0.0;               // > 0, see Regularizer::formula
  std::string granularity{};           // of its pieces; "" = the stage's
  std::vector<std::string> weights{};  // patterns; empty = the stage's
  double warmup_epochs = 0.0;          // the strength rises linearly from 0 over the first epochs
  double speed = 0.0;  // learning rate of its parameters / that of the weights; 0: its own
  double share = 0.5;  // targeted_dropout: of each pool, in (0, 1)

  bool operator==(const RegularizerSpec&) const = default;
};

// What a regularizer sees beside weights and parameters.
struct RegularizerContext {
  const Pieces& pieces;
  const RegularizerSpec& spec;
  double strength = 0.0;            // of this step, after warm-up
  double sequences = 1.0;           // of the training split
  std::span<const double> spreads;  // [pools]: root mean square of PieceSizes at the start
};

struct RegularizerSample {
  std::span<const float> weights;  // as they are, before `sample`
  std::span<const float> noise;    // as `sample` left it
};

enum class StrengthKind : uint8_t {
  kPenalty,  // any above 0
  kRate,     // a probability in (0, 1)
};

struct Regularizer {
  const char* name;
  const char* formula;  // as in docs/methods.md
  const char* source;
  StrengthKind strength;
  double speed;            // unless the spec says otherwise; 0: it has no parameters
  bool has_share = false;  // reads RegularizerSpec::share
  // What it learns beside the weights. nullptr: nothing. `start` fills them for the weights that
  // training begins with.
  size_t (*parameter_count)(const Pieces& pieces) = nullptr;
  void (*start)(const RegularizerContext& context, std::span<const float> weights,
                std::span<float> parameters) = nullptr;
  // Makes the weights of one draw, the same for all sequences of a batch, or of the part of it that
  // the draw is for, and all of their time steps, and leaves in `noise` what `pull` needs of it.
  // nullptr: the weights as they are.
  void (*sample)(const RegularizerContext& context, std::span<const float> parameters, Rng* rng,
                 std::span<float> weights, std::vector<float>* noise) = nullptr;
  // gradient: in, that of the sampled weights; out, that of the weights, penalty included.
  // parameter_gradient: filled, penalty included. nullptr: nothing to do.
  void (*pull)(const RegularizerContext& context, std::span<const float> parameters,
               const RegularizerSample& sample, std::span<float> gradient,
               std::span<float> parameter_gradient) = nullptr;
  // After the optimiser's step, taken with `rate`. nullptr: nothing to do.
  void (*project)(const RegularizerContext& context, double rate,
                  std::span<float> weights) = nullptr;
  // Makes the weights of the network that it has learned, 0 where that does without. nullptr: the
  // weights as they are.
  void (*fold)(const RegularizerContext& context, std::span<const float> parameters,
               std::span<float> weights) = nullptr;
};

namespace regularizers {
#define ESPALIER_REGULARIZER(name) extern const Regularizer name;
#include "prune/regularizers/regularizers.inc"
#undef ESPALIER_REGULARIZER
}  // namespace regularizers

// In the order of regularizers.inc.
std::span<const Regularizer* const> AllRegularizers();
// Errors: kInvalidArgument, naming the nearest.
Result<const Regularizer*> FindRegularizer(const std::string& name);

// Errors: kInvalidArgument, naming a field that is out of range or that the regularizer does not
// read.
Status ValidateRegularizer(const RegularizerSpec& spec);

// The pieces that `spec` works on, in a graph that `stage` is asked of. Errors: MakePlan's and
// FindPieces'.
Result<Pieces> PiecesFor(const Graph& graph, const RegularizerSpec& spec, const PruneSpec& stage,
                         const std::map<std::string, size_t>& offsets);

// Root mean square of each piece's weights.
std::vector<double> PieceSizes(const Pieces& pieces, std::span<const float> weights);
// [pools]: root mean square of its pieces' PieceSizes; 1 where all are 0.
std::vector<double> PoolSpreads(const Pieces& pieces, std::span<const float> weights);

// Multiplies what lies at each member by its gate. gates: [pieces].
void MultiplyGates(const Pieces& pieces, std::span<const float> gates, std::span<float> values);
// Sets all weights of the pieces whose gate is 0 to 0, those too that no gate multiplies.
void ClosePieces(const Pieces& pieces, std::span<const float> gates, std::span<float> weights);
// The derivative of the loss by each gate, from that by the sampled weights.
std::vector<double> GateGradients(const Pieces& pieces, std::span<const float> weights,
                                  std::span<const float> gradient);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_REGULARIZER_H_
