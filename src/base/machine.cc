#include "base/machine.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <system_error>

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

size_t CacheBytesOf(std::string_view size) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), number);
  const std::string_view unit = size.substr(static_cast<size_t>(end - size.data()));
  if (error != std::errc() || (unit != "K" && unit != "M")) return 0;
  return number << (unit == "K" ? 10 : 20);
}

size_t NearCacheBytes() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);  // the C library knows x86's
  if (bytes > 0) return static_cast<size_t>(bytes);
#endif
  constexpr int kCaches = 4;
  for (int i = 0; i < kCaches; ++i) {
    const std::string folder = StrCat("/sys/devices/system/cpu/cpu0/cache/index", i, "/");
    std::string level, size;
    std::ifstream(folder + "level") >> level;
    std::ifstream(folder + "size") >> size;
    if (level == "2" && CacheBytesOf(size) > 0) return CacheBytesOf(size);
  }
  constexpr size_t kUsual = size_t{512} << 10;
  return kUsual;
}

}  // namespace espalier
