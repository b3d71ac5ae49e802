// Early exit: the answer of a stream is taken as soon as the network is sure of it, and the steps
// that are left are not computed. Sure is
//   max_c p_c >= confidence, for the same class c, at `hold` looks in a row,
// with p the softmax of a network's logits, or its probabilities.
#ifndef ESPALIER_RUNTIME_EARLY_EXIT_H_
#define ESPALIER_RUNTIME_EARLY_EXIT_H_

#include <cstdint>
#include <span>

#include "base/status.h"

namespace espalier {

struct ExitRule {
  float confidence = 0.9f;  // in (0, 1]
  int64_t hold = 1;         // looks in a row, at least 1
  int64_t every = 1;        // Session::RunUntil: steps from one look to the next, at least 1
};

// Errors: kInvalidArgument, naming the field and the value.
Status ValidateExitRule(const ExitRule& rule);

// What an output holds.
enum class Scores : uint8_t { kLogits = 0, kProbabilities = 1 };

// Watches the output of one stream: of a sequence (Session::RunUntil), or of one without an end,
// which its user shows it after a step. A stream that begins anew takes a new watch.
struct ExitWatch {
  ExitRule rule;
  Scores scores = Scores::kLogits;
  int64_t looks = 0;         // so far
  int64_t held = 0;          // the last so many of them were sure of `best`
  int32_t best = -1;         // class of the last look, -1 before the first
  float probability = 0.0f;  // of `best`

  // Looks at an output, [C], and returns is_settled(). An output with a NaN is never sure.
  // Precondition: it is not empty. Neither allocates nor fails.
  bool Update(std::span<const float> output) noexcept;
  bool is_settled() const { return held >= rule.hold; }
};

// What came of Session::RunUntil.
struct ExitResult {
  int64_t steps = 0;  // that were computed
  int64_t looks = 0;
  int32_t best = -1;         // class of the last look; -1 if there was none
  float probability = 0.0f;  // of `best`
  bool is_settled = false;   // false: the sequence ended before it was sure
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_EARLY_EXIT_H_
