#include "prune/patterns.h"

#include <algorithm>

#include "base/strings.h"

namespace espalier {
namespace {

// By the pool's own name, one of its weights, or a weight of which it is one gate.
bool MatchesPool(const std::string& pattern, const Pool& pool) {
  const auto matches = [&](const std::string& name) {
    return MatchesPattern(pattern, name) || MatchesPattern(pattern, WithoutGate(name));
  };
  return matches(pool.name) || std::any_of(pool.weights.begin(), pool.weights.end(), matches);
}

// Errors: kInvalidArgument, for a pattern that matches none of the pools.
Status NamesNone(const std::string& what, const std::string& pattern, std::span<const Pool> pools) {
  std::vector<std::string> names;
  for (const Pool& pool : pools) {
    names.insert(names.end(), pool.weights.begin(), pool.weights.end());
  }
  return InvalidArgument(what + ": pattern '" + pattern + "' names none of " +
                         StrJoin(names, ", ") + DidYouMean(pattern, names));
}

}  // namespace

bool MatchesPattern(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    return MatchesPattern(pattern.substr(1), text) ||
           (!text.empty() && MatchesPattern(pattern, text.substr(1)));
  }
  return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
         MatchesPattern(pattern.substr(1), text.substr(1));
}

std::string WithoutGate(const std::string& name) {
  return name.ends_with("]") ? name.substr(0, name.rfind('[')) : name;
}

bool NamesGate(const std::string& name) { return WithoutGate(name) != name; }

Result<std::set<std::string>> ChooseByPattern(std::span<const std::string> patterns,
                                              const std::vector<std::string>& names,
                                              const std::string& what) {
  std::set<std::string> chosen;
  for (const std::string& pattern : patterns) {
    bool matched = false;
    for (const std::string& name : names) {
      if (!MatchesPattern(WithoutGate(pattern), name)) continue;
      matched = true;
      chosen.insert(name);
    }
    if (!matched) {
      return InvalidArgument(what + ": pattern '" + pattern + "' names none of " +
                             StrJoin(names, ", ") + DidYouMean(WithoutGate(pattern), names));
    }
  }
  return chosen;
}

Result<Keep> ChoosePools(std::span<const std::string> patterns, std::span<const Pool> pools) {
  Keep chosen(pools.size(), 0);
  for (const std::string& pattern : patterns) {
    bool matched = false;
    for (size_t i = 0; i < pools.size(); ++i) {
      if (!MatchesPool(pattern, pools[i])) continue;
      matched = true;
      chosen[i] = 1;
    }
    if (!matched) return NamesNone("weights", pattern, pools);
  }
  return chosen;
}

Status GiveSparsities(std::span<const SparsityOfPattern> patterns, std::vector<Pool>* pools) {
  std::vector<const SparsityOfPattern*> given(pools->size(), nullptr);
  bool drops = false;
  for (const SparsityOfPattern& each : patterns) {
    if (!(each.sparsity >= 0.0 && each.sparsity < 1.0)) {
      return InvalidArgument(StrCat("sparsity.", each.pattern, ": a share in [0, 1) expected, ",
                                    each.sparsity, " found"));
    }
    drops |= each.sparsity > 0.0;
    bool matched = false;
    for (size_t i = 0; i < pools->size(); ++i) {
      if (!MatchesPool(each.pattern, (*pools)[i])) continue;
      matched = true;
      if (given[i] != nullptr) {
        return InvalidArgument("sparsity: one pattern for " + (*pools)[i].name + " expected, '" +
                               given[i]->pattern + "' and '" + each.pattern + "' found");
      }
      given[i] = &each;
      (*pools)[i].sparsity = each.sparsity;
    }
    if (!matched) return NamesNone("sparsity", each.pattern, *pools);
  }
  if (drops) return Ok();
  return InvalidArgument("sparsity: a share above 0 expected, nothing but 0 found");
}

}  // namespace espalier
