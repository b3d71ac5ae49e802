// Stopwatch: seconds and nanoseconds of the steady clock since it was made or restarted.
#ifndef ESPALIER_BASE_STOPWATCH_H_
#define ESPALIER_BASE_STOPWATCH_H_

#include <chrono>

namespace espalier {

class Stopwatch {
 public:
  void Restart() { start_ = std::chrono::steady_clock::now(); }
  double ElapsedNs() const {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start_)
        .count();
  }
  double ElapsedSeconds() const { return ElapsedNs() * 1e-9; }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace espalier

#endif  // ESPALIER_BASE_STOPWATCH_H_
