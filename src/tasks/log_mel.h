// LogMel: from samples to the logarithms of the energies in mel bands, frame by frame.
#ifndef ESPALIER_TASKS_LOG_MEL_H_
#define ESPALIER_TASKS_LOG_MEL_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"

namespace espalier {

// Frame t holds the N samples x from t * hop on; there is no padding, and what is left after the
// last whole frame is not used. With the periodic Hann window w[n] = (1 - cos(2 pi n / N)) / 2:
//
//   P[k] = |sum_n w[n] x[n] exp(-2 pi i k n / N)|^2 / (sum_n w[n])^2     power, 1/4 for a sine of 1
//   E[m] = sum_k W[m, k] P[k]                                           0 <= k <= N / 2
//   feature[m] = (ln(E[m] + kFloor) - kOffset) / kScale
//
// W[m, k] is the triangle over frequency that rises from edge m to 1 at edge m + 1 and falls to 0
// at edge m + 2. The kBands + 2 edges lie evenly on the mel scale 1127 ln(1 + f / 700 Hz) (HTK's)
// from kLowestHz to kHighestHz. At both sample rates a frame lasts 32 ms, a hop 16 ms and a bin is
// 31.25 Hz wide, so the same sound gives nearly the same features.
//
// There is no normalisation by statistics of a data set or a recording: a device needs this front
// end and nothing else. kOffset and kScale are constants near the mean and the standard deviation
// of the logarithms over the training recordings of speech-keywords (-15.7 and 4.6).
class LogMel {
 public:
  static constexpr int64_t kBands = 32;
  static constexpr double kLowestHz = 60;
  static constexpr double kHighestHz = 3600;  // below the end of a telephone's band
  static constexpr double kFloor = 1e-9;      // -90 dB; lower would show a recorder's own noise
  static constexpr double kOffset = -16.0;
  static constexpr double kScale = 4.5;

  // Errors: kUnsupported unless the rate is 8000 or 16000 Hz, kOutOfMemory.
  static Result<LogMel> Create(int64_t sample_rate);

  LogMel(LogMel&&) = default;

  int64_t window() const { return window_; }   // N, in samples
  int64_t hop() const { return window_ / 2; }  // in samples
  int64_t FrameCount(int64_t samples) const;   // 0 if there are less than a window
  // Appends FrameCount(samples) rows of kBands features. Not for several threads at once.
  void Compute(std::span<const float> samples, std::vector<float>* features);

 private:
  struct FreeFft {
    void operator()(void* fft) const;
  };
  struct Band {
    int64_t first = 0;           // bin
    std::vector<double> weight;  // W[m, first...]
  };

  LogMel() = default;

  int64_t window_ = 0;
  std::vector<float> hann_;             // [N], over its sum
  std::vector<Band> bands_;             // [kBands]
  std::unique_ptr<void, FreeFft> fft_;  // kiss_fftr_cfg
  std::vector<float> frame_;            // [N]
};

}  // namespace espalier

#endif  // ESPALIER_TASKS_LOG_MEL_H_
