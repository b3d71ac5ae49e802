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

// Of a product by what was measured when it was compiled: most_columns, which without that is by
// how many weights are stored, and the times.
void SetCosts(const ArtifactMatrix& plain, const ArtifactMatrix& columns, DeltaProduct* product);

// A step of one stream.
struct DeltaStep {
  const float* x = nullptr;
  const float* h = nullptr;
  float* pace = nullptr;  // rest.h
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

// A step at rest: sends what is due of x, of which products may have been made ahead, and all of h,
// to be multiplied where it is.
void SendAtRest(const DynamicLayer& layer, const DeltaStep& step);

struct BroughtUp {
  bool anew = false;   // the product of x, or it would be
  bool gains = false;  // fewer changes than make it anew, of x or of h
};

// Sends what is due and brings both products up to it. That of h is in the step's memory, that of x
// where `*input_row` is: in the step's memory, or `ahead`, where it has been made already (or
// nullptr), if it is made anew and not from the changes.
BroughtUp MultiplyChanges(const DynamicLayer& layer, const DeltaStep& step, const float* ahead,
                          const float** input_row);

// Before a product that was made ahead goes: puts it in the stream's memory.
void KeepRow(const DeltaProduct& product, float* memory, const float** row);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_DELTA_H_
