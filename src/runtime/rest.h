// When the rules of a stream rest: steps that gain nothing by what they look for are followed by
// plain ones, which cost what they cost without rules: exact, but that delta reads x by its
// threshold.
#ifndef ESPALIER_RUNTIME_REST_H_
#define ESPALIER_RUNTIME_REST_H_

#include <cstddef>

#include "runtime/operation.h"

namespace espalier {

// How a stream goes on, in DynamicLayer::pace; all 0: it begins. A step that gains nothing is
// followed by plain ones: DynamicLayer::first_rest, and four times as many, up to most_rest, each
// time that the step after them is such a one again.
enum Pace : size_t {
  kAge,       // delta: steps since W sent was multiplied anew; 0: what is kept has no meaning
  kRestLeft,  // plain steps to come
  kLastRest,  // how many there were last time; 0: something was gained after them
  kPaces,     // how many of these there are
};

// Whether the next step of the stream is a plain one. That depends on the stream alone, so that
// streams beside each other, chunks and single steps give the same bits.
bool TakesRest(const DynamicLayer& layer, float* pace);
// After a step that followed the rules.
void EndTry(const DynamicLayer& layer, bool gains, float* pace);
// Rules have changed: no stream goes on with the plain steps that were for those before.
void LookAgain(const DynamicLayer& layer);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_REST_H_
