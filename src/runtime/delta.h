// Products of a layer with delta (model/graph.h, Delta), of what was sent of x and of h: kept from
// step to step and changed, or multiplied anew.
#ifndef ESPALIER_RUNTIME_DELTA_H_
#define ESPALIER_RUNTIME_DELTA_H_

#include <cstddef>

#include "runtime/operation.h"
#include "runtime/program.h"

namespace espalier {

// Steps after which W sent is multiplied anew: f32 rounds at each change, and an error of u a step
// stays below 1e-4 of what is summed.
inline constexpr float kDeltaRefreshSteps = 1000.0f;

// How a stream goes on, in DynamicLayer::pace; all 0: it begins. A step from whose changes nothing
// can be gained, of x and of h, is followed by plain ones: 1, and twice as many each time that the
// step after them is such a one again.
enum DeltaPace : size_t {
  kAge,         // steps since W sent was multiplied anew; 0: what is kept has no meaning
  kPlainSteps,  // plain steps to come
  kLastPlain,   // how many there were last time; 0: something could be gained after them
  kDeltaPace,   // how many of these there are
};

// Columns of which a product by columns takes as long as a plain one: by what was measured when it
// was compiled, or by how many weights are stored.
size_t MostColumns(const ArtifactMatrix& plain, const ArtifactMatrix& columns);

// A step of one stream.
struct DeltaStep {
  const float* x = nullptr;
  const float* h = nullptr;
  float* pace = nullptr;
  float* x_sent = nullptr;
  float* h_sent = nullptr;
  float* input_memory = nullptr;  // [G*H], as all below
  float* recurrent_memory = nullptr;
};

// False: all is sent at every step, and multiplied anew: the layer runs as without rules, beside
// SendExactly.
bool LooksForChanges(const DynamicLayer& layer);
// `last`: the last of `steps` of a stream, with the h before it.
void SendExactly(const DynamicLayer& layer, const DeltaStep& last, size_t steps);

// Thresholds have changed: no stream goes on with the plain steps that were for those before.
void LookAgain(const DynamicLayer& layer);

// Whether the step is a plain one: SendPlain, and products of all that is sent. If not,
// MultiplyChanges.
bool TakePlain(const DynamicLayer& layer, float* pace);

// Sends what is due; counts it, and the multiply-adds of both products.
void SendPlain(const DynamicLayer& layer, const DeltaStep& step);

// Sends what is due and brings both products up to it. That of h is in the step's memory, that of x
// where `*input_row` is: in the step's memory, or `ahead`, where it has been made already (or
// nullptr), if it is made anew and not from the changes. Returns whether it is.
bool MultiplyChanges(const DynamicLayer& layer, const DeltaStep& step, const float* ahead,
                     const float** input_row);

// Before a product that was made ahead goes: puts it in the stream's memory.
void KeepRow(const DeltaProduct& product, float* memory, const float** row);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_DELTA_H_
