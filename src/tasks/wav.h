// Recordings: the one kind of WAV file that speech tasks read.
#ifndef ESPALIER_TASKS_WAV_H_
#define ESPALIER_TASKS_WAV_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace espalier {

struct Recording {
  int64_t sample_rate = 0;     // Hz
  std::vector<float> samples;  // in [-1, 1): the 16-bit value / 32768
};

// Reads a RIFF WAVE file of one channel of 16-bit PCM; chunks other than "fmt " and "data" are
// passed over. Errors: kIo, or kBadFormat with the path, what was expected and what was found.
Result<Recording> ReadWav(const std::string& path);

}  // namespace espalier

#endif  // ESPALIER_TASKS_WAV_H_
