// Random prefixes: what a network learns of answering before the end of a sequence.
#ifndef ESPALIER_TRAIN_RANDOM_PREFIX_H_
#define ESPALIER_TRAIN_RANDOM_PREFIX_H_

#include "base/rng.h"
#include "tasks/dataset.h"

namespace espalier {

// Shorter ones tell too little of their label: a network that must name the class of a silence
// before the word learns noise.
inline constexpr double kLeastPrefix = 0.25;

// Cuts each sequence of a batch, with probability `share` in [0, 1], to its first n steps, n
// uniform in [ceil(kLeastPrefix length), length]; the batch keeps as many steps as its longest
// sequence then has. Draws nothing where share is 0. Precondition: a label a sequence.
void CutToPrefixes(double share, Rng* rng, LabelledBatch* batch);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_RANDOM_PREFIX_H_
