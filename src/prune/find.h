// FindByName: an entry of an extension list by its name.
#ifndef ESPALIER_PRUNE_FIND_H_
#define ESPALIER_PRUNE_FIND_H_

#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/strings.h"

namespace espalier {

// `kind` is what the error calls it, e.g. "criterion".
// Errors: kInvalidArgument, naming the nearest and all that there are.
template <typename Entry>
Result<const Entry*> FindByName(const std::string& kind, const std::string& name,
                                std::span<const Entry* const> all) {
  std::vector<std::string> names;
  for (const Entry* entry : all) {
    if (name == entry->name) return entry;
    names.emplace_back(entry->name);
  }
  return InvalidArgument(kind + " '" + name + "': one of " + StrJoin(names, ", ") + " expected" +
                         DidYouMean(name, names));
}

}  // namespace espalier

#endif  // ESPALIER_PRUNE_FIND_H_
