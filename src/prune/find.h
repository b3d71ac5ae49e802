// FindByName: an entry of an extension list by its name.
#ifndef ESPALIER_PRUNE_FIND_H_
#define ESPALIER_PRUNE_FIND_H_

#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/strings.h"

namespace espalier {

// `kind` is what the error calls it, e.g. "criterion"; `written` is what the user wrote if `name`
// is only a part of it. Errors: kInvalidArgument, naming the nearest and all that there are.
template <typename Entry>
Result<const Entry*> FindByName(const std::string& kind, const std::string& name,
                                std::span<const Entry* const> all, const std::string& written) {
  std::vector<std::string> names;
  for (const Entry* entry : all) {
    if (name == entry->name) return entry;
    names.emplace_back(entry->name);
  }
  return InvalidArgument(kind + " '" + written + "': one of " + StrJoin(names, ", ") + " expected" +
                         DidYouMean(name, names));
}

template <typename Entry>
Result<const Entry*> FindByName(const std::string& kind, const std::string& name,
                                std::span<const Entry* const> all) {
  return FindByName(kind, name, all, name);
}

}  // namespace espalier

#endif  // ESPALIER_PRUNE_FIND_H_
