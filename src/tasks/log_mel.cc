#include "tasks/log_mel.h"

#include <kiss_fftr.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/strings.h"

namespace espalier {
namespace {

double MelOf(double hz) { return 1127.0 * std::log1p(hz / 700.0); }
double HzOf(double mel) { return 700.0 * std::expm1(mel / 1127.0); }

// Edge i of kBands + 2, in Hz.
double EdgeHz(int64_t i) {
  const double low = MelOf(LogMel::kLowestHz);
  const double high = MelOf(LogMel::kHighestHz);
  return HzOf(low + (high - low) * static_cast<double>(i) / (LogMel::kBands + 1));
}

}  // namespace

void LogMel::FreeFft::operator()(void* fft) const { kiss_fftr_free(fft); }

Result<LogMel> LogMel::Create(int64_t sample_rate) {
  if (sample_rate != 8000 && sample_rate != 16000) {
    return Unsupported(
        StrCat("sample rate: 8000 or 16000 Hz expected, ", sample_rate, " Hz found"));
  }
  LogMel out;
  out.window_ = sample_rate * 32 / 1000;
  const auto window = static_cast<double>(out.window_);
  for (int64_t n = 0; n < out.window_; ++n) {
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(n) / window;
    // The sum of a periodic Hann window is N / 2.
    out.hann_.push_back(static_cast<float>((1.0 - std::cos(angle)) / window));
  }
  const double bin_hz = static_cast<double>(sample_rate) / window;
  for (int64_t m = 0; m < kBands; ++m) {
    const double left = EdgeHz(m);
    const double peak = EdgeHz(m + 1);
    const double right = EdgeHz(m + 2);
    Band band;
    band.first = static_cast<int64_t>(std::ceil(left / bin_hz));
    for (int64_t k = band.first; static_cast<double>(k) * bin_hz < right; ++k) {
      const double hz = static_cast<double>(k) * bin_hz;
      band.weight.push_back(std::min((hz - left) / (peak - left), (right - hz) / (right - peak)));
    }
    out.bands_.push_back(std::move(band));
  }
  out.fft_.reset(kiss_fftr_alloc(static_cast<int>(out.window_), 0, nullptr, nullptr));
  if (out.fft_ == nullptr) return OutOfMemory("memory for a Fourier transform: none left");
  out.frame_.resize(static_cast<size_t>(out.window_));
  return out;
}

int64_t LogMel::FrameCount(int64_t samples) const {
  return samples < window_ ? 0 : (samples - window_) / hop() + 1;
}

void LogMel::Compute(std::span<const float> samples, std::vector<float>* features) {
  std::vector<kiss_fft_cpx> bins(static_cast<size_t>(window_ / 2 + 1));
  const int64_t frames = FrameCount(static_cast<int64_t>(samples.size()));
  for (int64_t t = 0; t < frames; ++t) {
    const float* x = samples.data() + t * hop();
    for (size_t n = 0; n < frame_.size(); ++n) frame_[n] = hann_[n] * x[n];
    kiss_fftr(static_cast<kiss_fftr_cfg>(fft_.get()), frame_.data(), bins.data());
    for (const Band& band : bands_) {
      double energy = 0.0;
      for (size_t i = 0; i < band.weight.size(); ++i) {
        const kiss_fft_cpx& bin = bins[static_cast<size_t>(band.first) + i];
        energy += band.weight[i] *
                  (static_cast<double>(bin.r) * bin.r + static_cast<double>(bin.i) * bin.i);
      }
      features->push_back(static_cast<float>((std::log(energy + kFloor) - kOffset) / kScale));
    }
  }
}

}  // namespace espalier
