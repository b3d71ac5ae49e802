#include "base/machine.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/strings.h"

namespace espalier {
namespace {

// The value of the first line "key<blanks>: value", "" if there is none.
std::string_view ValueOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon + 2 > line.size()) continue;
    const size_t key_end = line.find_last_not_of(" \t", colon - 1);
    if (line.substr(0, key_end + 1) == key) return line.substr(colon + 2);
  }
  return "";
}

}  // namespace

std::string CpuNameIn(std::string_view cpuinfo) {
  for (const std::string_view key : {"model name", "Model"}) {
    const std::string_view name = ValueOf(cpuinfo, key);
    if (!name.empty()) return std::string(name);
  }
  const std::string_view maker = ValueOf(cpuinfo, "CPU implementer");
  if (maker.empty()) return "unknown";
  return StrCat("ARM ", maker, " ", ValueOf(cpuinfo, "CPU part"));
}

std::string CpuName() {
  std::ifstream in("/proc/cpuinfo");
  return CpuNameIn(std::string(std::istreambuf_iterator<char>(in), {}));
}

size_t NearCacheBytes() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return static_cast<size_t>(bytes);
#endif
  constexpr size_t kUsual = size_t{512} << 10;
  return kUsual;
}

}  // namespace espalier
