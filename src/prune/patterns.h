// Patterns over the names of weights, and of gates of them: * any run of characters, ? any one.
#ifndef ESPALIER_PRUNE_PATTERNS_H_
#define ESPALIER_PRUNE_PATTERNS_H_

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "prune/plan.h"
#include "prune/pool.h"

namespace espalier {

bool MatchesPattern(std::string_view pattern, std::string_view text);

// "lstm0.weight_hh[f]" -> "lstm0.weight_hh"; what names no gate stays as it is.
std::string WithoutGate(const std::string& name);
bool NamesGate(const std::string& name);

// The names that the patterns, of gates or not, match; `what` they are names of. Errors:
// kInvalidArgument for a pattern that matches none, with all that there are.
Result<std::set<std::string>> ChooseByPattern(std::span<const std::string> patterns,
                                              const std::vector<std::string>& names,
                                              const std::string& what = "weights");

// 1 for the pools of which a pattern matches the name or one of the weights, by gate where it names
// one. Errors: kInvalidArgument for a pattern that matches none, with all that there are.
Result<Keep> ChoosePools(std::span<const std::string> patterns, std::span<const Pool> pools);

// Sets the sparsity of each pool by the one pattern that matches its name or one of its weights; 0
// where none does. Errors: kInvalidArgument for a share that is not in [0, 1), a pattern that
// matches no pool, two that match one, or nothing but zeros.
Status GiveSparsities(std::span<const SparsityOfPattern> patterns, std::vector<Pool>* pools);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_PATTERNS_H_
