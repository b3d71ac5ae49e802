#include "tasks/log_mel.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

std::vector<float> Sines(const std::vector<double>& hz, double rate, int64_t count) {
  std::vector<float> samples(static_cast<size_t>(count));
  for (size_t i = 0; i < samples.size(); ++i) {
    double sum = 0.0;
    for (const double f : hz) {
      sum += std::sin(2.0 * std::numbers::pi * f * static_cast<double>(i) / rate + f);
    }
    samples[i] = static_cast<float>(0.2 * sum);
  }
  return samples;
}

std::vector<float> FeaturesOf(const std::vector<float>& samples, int64_t rate) {
  LogMel log_mel = ValueOrDie(LogMel::Create(rate));
  std::vector<float> features;
  log_mel.Compute(samples, &features);
  EXPECT_EQ(features.size(),
            static_cast<size_t>(log_mel.FrameCount(static_cast<int64_t>(samples.size())) *
                                LogMel::kBands));
  return features;
}

// Band `m` of the frame that begins at `x`, by the header's equations and nothing else.
double DirectFeature(const float* x, double rate, int64_t m) {
  const auto mel = [](double hz) { return 1127.0 * std::log(1.0 + hz / 700.0); };
  const auto window = static_cast<int64_t>(rate * 0.032);
  const double step = (mel(3600) - mel(60)) / 33.0;
  const auto edge = [&](int64_t i) {
    return 700.0 * (std::exp((mel(60) + step * static_cast<double>(i)) / 1127.0) - 1.0);
  };
  double sum_of_window = 0.0;
  std::vector<double> windowed;
  for (int64_t n = 0; n < window; ++n) {
    const double w = (1.0 - std::cos(2.0 * std::numbers::pi * static_cast<double>(n) /
                                     static_cast<double>(window))) /
                     2.0;
    sum_of_window += w;
    windowed.push_back(w * x[n]);
  }
  double energy = 0.0;
  for (int64_t k = 0; k <= window / 2; ++k) {
    const double hz = static_cast<double>(k) * rate / static_cast<double>(window);
    double weight = 0.0;
    if (hz > edge(m) && hz <= edge(m + 1)) weight = (hz - edge(m)) / (edge(m + 1) - edge(m));
    if (hz > edge(m + 1) && hz < edge(m + 2)) {
      weight = (edge(m + 2) - hz) / (edge(m + 2) - edge(m + 1));
    }
    std::complex<double> bin = 0.0;
    for (int64_t n = 0; n < window; ++n) {
      bin += std::polar(
          windowed[static_cast<size_t>(n)],
          -2.0 * std::numbers::pi * static_cast<double>(k * n) / static_cast<double>(window));
    }
    energy += weight * std::norm(bin / sum_of_window);
  }
  return (std::log(energy + 1e-9) + 16.0) / 4.5;
}

TEST(LogMel, IsADirectFourierTransformAndItsMelBands) {
  for (const int64_t rate : {8000, 16000}) {
    const std::vector<float> samples =
        Sines({310, 1000, 2750}, static_cast<double>(rate), rate / 10);
    const std::vector<float> features = FeaturesOf(samples, rate);
    ASSERT_EQ(features.size(), 5 * 32);
    for (int64_t t = 0; t < 5; ++t) {
      for (int64_t m = 0; m < 32; ++m) {
        const double expected =
            DirectFeature(samples.data() + t * rate * 16 / 1000, static_cast<double>(rate), m);
        EXPECT_NEAR(features[static_cast<size_t>(t * 32 + m)], expected, 1e-4) << t << " " << m;
      }
    }
  }
}

TEST(LogMel, IsLoudestInTheBandOfATone) {
  const std::vector<float> features = FeaturesOf(Sines({1000}, 8000, 256), 8000);
  // 1000 Hz is mel 1000, the lowest edge mel 92.7, each step 57.6: between edges 15 and 16.
  const auto loudest = std::max_element(features.begin(), features.end()) - features.begin();
  EXPECT_TRUE(loudest == 14 || loudest == 15) << loudest;
}

TEST(LogMel, GivesTheSameFeaturesAtBothRates) {
  const std::vector<double> tones = {150, 440, 1234, 2900};
  const std::vector<float> low = FeaturesOf(Sines(tones, 8000, 4000), 8000);
  const std::vector<float> high = FeaturesOf(Sines(tones, 16000, 8000), 16000);
  ASSERT_EQ(low.size(), high.size());
  for (size_t i = 0; i < low.size(); ++i) EXPECT_NEAR(low[i], high[i], 0.05) << i;
}

TEST(LogMel, OfSilenceIsTheFloor) {
  const auto floor = static_cast<float>((std::log(1e-9) + 16.0) / 4.5);
  for (const float value : FeaturesOf(std::vector<float>(300, 0.0f), 8000)) {
    EXPECT_FLOAT_EQ(value, floor);
  }
}

TEST(LogMel, CountsWholeFramesOnly) {
  const LogMel log_mel = ValueOrDie(LogMel::Create(8000));
  EXPECT_EQ(log_mel.FrameCount(255), 0);
  EXPECT_EQ(log_mel.FrameCount(256), 1);
  EXPECT_EQ(log_mel.FrameCount(256 + 127), 1);
  EXPECT_EQ(log_mel.FrameCount(256 + 128), 2);
  EXPECT_EQ(log_mel.FrameCount(8000), 61);
}

TEST(LogMel, RefusesOtherRates) {
  ExpectError(LogMel::Create(44100).status(), Code::kUnsupported,
              {"sample rate", "8000 or 16000 Hz expected", "44100 Hz found"});
}

}  // namespace
}  // namespace espalier
