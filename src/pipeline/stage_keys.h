// StageKeys: what each stage's result depends on, in 16 hexadecimal digits.
#ifndef ESPALIER_PIPELINE_STAGE_KEYS_H_
#define ESPALIER_PIPELINE_STAGE_KEYS_H_

#include <string>
#include <vector>

#include "pipeline/recipe.h"

namespace espalier {

// What stages depend on beside the recipe and the version of espalier.
struct RunFacts {
  std::string data;         // sizes and checksums of the data's files: the train stage
  std::string cpu;          // thresholds, compile and bench; prune with a budget of bytes or time
  std::string target;       // instruction set unless the recipe has one: the same stages
  std::string onnxruntime;  // path of the library, "" = none: bench
  std::string
      costs;  // checksums of the cost files that are named: compile, prune with such a budget
};

// One key a stage. It changes whenever anything changes that the stage's result depends on: its own
// parameters, the seed, threads, task and model, the facts above, or the key of the stage before.
// The recipe's name and what comes after the stage do not matter (but to a prune stage with a
// budget of bytes or time the compile stage does), nor does where the data is.
std::vector<std::string> StageKeys(const Recipe& recipe, const RunFacts& facts);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_STAGE_KEYS_H_
