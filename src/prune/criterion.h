// Criterion: how much does one weight matter? It gives every element of a weight a saliency; larger
// means keep. It knows nothing of what is removed together (granularity.h, coupling.h), how much is
// removed where (allocation.h) or when (schedule.h).
#ifndef ESPALIER_PRUNE_CRITERION_H_
#define ESPALIER_PRUNE_CRITERION_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/rng.h"
#include "base/status.h"
#include "model/tensor.h"

namespace espalier {

// What a criterion reads; a set of flags, so that nobody gathers what nobody asks for.
using Needs = uint32_t;
inline constexpr Needs kNeedsNothing = 0;
inline constexpr Needs kNeedsWeight = 1u << 0;
// Gathered over calibration sequences (train/statistics.h), dropout off, L the loss of the data:
inline constexpr Needs kNeedsGradient = 1u << 1;
inline constexpr Needs kNeedsSquaredGradient = 1u << 2;
inline constexpr Needs kNeedsHessianGradient = 1u << 3;
inline constexpr Needs kNeedsInputPower = 1u << 4;
inline constexpr Needs kNeedsInverseMoment = 1u << 5;
inline constexpr Needs kNeedsSpectrumGradient = 1u << 8;
inline constexpr Needs kNeedsGroupGradient = 1u << 9;  // of StatisticsSet, not of a weight
// Gathered over the steps of the running training (train/trainer.h):
inline constexpr Needs kNeedsMovement = 1u << 6;
inline constexpr Needs kNeedsMomentum = 1u << 7;
inline constexpr Needs kNeedsTraining = kNeedsMovement | kNeedsMomentum;
inline constexpr Needs kNeedsCalibration =
    kNeedsGradient | kNeedsSquaredGradient | kNeedsHessianGradient | kNeedsInputPower |
    kNeedsInverseMoment | kNeedsSpectrumGradient | kNeedsGroupGradient;

// What is known of one weight; views of the caller's memory, all [rows, cols]. A field is empty
// unless the criterion's needs name it.
struct Statistics {
  std::span<const float> weight;
  std::span<const float> gradient;          // mean over sequences of dL/dw
  std::span<const float> squared_gradient;  // mean over sequences of (dL_n/dw)^2
  std::span<const float> hessian_gradient;  // H g: the derivative of the gradient along itself
  // z is what the row multiplies, c the weight's column: mean over valid steps of z_c^2.
  std::span<const float> input_power;
  // 1 / [(M + 0.01 mean(diag M) I)^-1]_cc, M the mean of z z^T: what of z_c the other columns do
  // not tell.
  std::span<const float> inverse_moment;
  std::span<const float> spectrum_gradient;  // dchi/dw; of recurrent layers (train/spectrum.h)
  std::span<const float> movement;           // sum over steps of -rate dL/dw w
  std::span<const float> momentum;  // mean of dL/dw over the last steps: m = 0.9 m + 0.1 dL/dw
};

// The fields by their flag.
struct StatisticsField {
  Needs flag;
  std::span<const float> Statistics::*field;
  const char* name;  // in errors, e.g. "gradients"
};
std::span<const StatisticsField> StatisticsFields();

// By the weight's full name, e.g. "lstm0.weight_hh"; and what is known of weights that go together.
struct StatisticsSet : std::map<std::string, Statistics> {
  // [groups of the plan's Coupling] for hidden units, else [Plan::groups]: mean over sequences of
  // (sum of (dL_n/dw) w over the group's weights)^2. Empty unless Pruner::needs names it.
  std::span<const float> squared_group_gradient = {};
};

// Views of `weights`, which must outlive them.
StatisticsSet StatisticsOf(const TensorStore& weights);

// How the saliencies of the weights of one piece become one. A hidden unit's are summed over all
// its weights; other pieces have a mean, so that cut ones do not starve, or the largest.
enum class Grouping : uint8_t {
  kNorm,       // piece: mean of S; unit: square root of the sum of S^2
  kSum,        // piece: mean of S; unit: sum of S
  kLargest,    // S is at least 0; piece and unit: largest S
  kSignedSum,  // S has a sign; weight: |S|; piece: |mean of S|; unit: |sum of S|
  // Unit: 1/2 StatisticsSet::squared_group_gradient, in which what its weights do in the same
  // sequence adds up before it is squared; piece whose weights are known before saliencies are: the
  // same by its weights that are left; other pieces: mean of S.
  kSquaredSum,
};

struct Criterion {
  const char* name;
  const char* formula;  // as in docs/methods.md
  const char* source;   // authors, year, arXiv or DOI
  Needs needs;
  Grouping grouping;
  // Writes saliency.size() numbers. Precondition: the needed fields have as many elements. `rng` is
  // seeded by the plan's seed and the weight's name: equal at every step of a run.
  void (*score)(const Statistics& statistics, Rng* rng, std::span<float> saliency);
};

namespace criteria {
#define ESPALIER_CRITERION(name) extern const Criterion name;
#include "prune/criteria/criteria.inc"
#undef ESPALIER_CRITERION
}  // namespace criteria

// In the order of criteria.inc.
std::span<const Criterion* const> AllCriteria();
// Errors: kInvalidArgument, naming the nearest.
Result<const Criterion*> FindCriterion(const std::string& name);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_CRITERION_H_
