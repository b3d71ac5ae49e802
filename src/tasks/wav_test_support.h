// Makes WAV files for tests.
#ifndef ESPALIER_TASKS_WAV_TEST_SUPPORT_H_
#define ESPALIER_TASKS_WAV_TEST_SUPPORT_H_

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace espalier::testing {

struct WavFields {
  uint16_t format = 1;
  uint16_t channels = 1;
  uint32_t sample_rate = 8000;
  uint16_t bits = 16;
};

inline void AppendChunk(const std::string& name, const std::string& content, std::string* out) {
  const auto bytes = static_cast<uint32_t>(content.size());
  *out += name;
  out->append(reinterpret_cast<const char*>(&bytes), 4);
  *out += content + std::string(content.size() % 2, '\0');
}

// A file of the chunks "fmt " by `fields`, `before` (whole chunks) and "data".
inline std::string WavBytes(const WavFields& fields, const std::vector<int16_t>& samples,
                            const std::string& before = "") {
  ByteWriter format;
  format.Write(fields.format);
  format.Write(fields.channels);
  format.Write(fields.sample_rate);
  format.Write(fields.sample_rate * fields.channels * fields.bits / 8);
  format.Write(static_cast<uint16_t>(fields.channels * fields.bits / 8));
  format.Write(fields.bits);
  std::string chunks;
  AppendChunk("fmt ", {reinterpret_cast<const char*>(format.bytes().data()), format.size()},
              &chunks);
  chunks += before;
  AppendChunk("data", {reinterpret_cast<const char*>(samples.data()), samples.size() * 2}, &chunks);
  std::string riff;
  AppendChunk("RIFF", "WAVE" + chunks, &riff);
  return riff;
}

// A sine of `amplitude` (1 = full scale), rounded to 16 bits.
inline std::vector<int16_t> Sine(double hz, double amplitude, double sample_rate, int64_t count) {
  std::vector<int16_t> samples;
  for (int64_t i = 0; i < count; ++i) {
    const double phase = 2.0 * std::numbers::pi * hz * static_cast<double>(i) / sample_rate;
    samples.push_back(static_cast<int16_t>(std::lround(32767.0 * amplitude * std::sin(phase))));
  }
  return samples;
}

// Writes a file, and the folders above it.
inline void WriteBytes(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace espalier::testing

#endif  // ESPALIER_TASKS_WAV_TEST_SUPPORT_H_
