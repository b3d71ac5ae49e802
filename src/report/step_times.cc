#include "report/step_times.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace espalier {

StepTimes StepTimesOf(std::vector<double> us) {
  std::sort(us.begin(), us.end());
  const auto place = [&](double share) {
    return static_cast<size_t>(share * static_cast<double>(us.size() - 1) + 0.5);
  };
  const size_t most = place(0.99) + 1;
  const double sum =
      std::accumulate(us.begin(), us.begin() + static_cast<std::ptrdiff_t>(most), 0.0);
  return {us[place(0.5)], us[place(0.95)], us[place(0.99)], sum / static_cast<double>(most)};
}

}  // namespace espalier
