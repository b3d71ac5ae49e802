#include "tasks/wav.h"

#include "tasks/wav_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::AppendChunk;
using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::WavBytes;

class Wav : public ::testing::Test {
 protected:
  Result<Recording> Read(const std::string& bytes) {
    testing::WriteBytes(dir_.path("a.wav"), bytes);
    return ReadWav(dir_.path("a.wav"));
  }
  void ExpectRefused(const std::string& bytes, std::vector<std::string> parts) {
    parts.emplace_back("a.wav");
    ExpectError(Read(bytes).status(), Code::kBadFormat, parts);
  }

  TempDir dir_;
};

TEST_F(Wav, ReadsSamplesExactly) {
  const Recording recording =
      ValueOrDie(Read(WavBytes({.sample_rate = 11025}, {0, 16384, -32768})));
  EXPECT_EQ(recording.sample_rate, 11025);
  EXPECT_EQ(recording.samples, (std::vector<float>{0.0f, 0.5f, -1.0f}));
}

TEST_F(Wav, PassesOverOtherChunksAndTheirPadding) {
  std::string list;
  AppendChunk("LIST", "odd", &list);
  const Recording recording = ValueOrDie(Read(WavBytes({}, {-16384}, list)));
  EXPECT_EQ(recording.samples, (std::vector<float>{-0.5f}));
}

TEST_F(Wav, RefusesWhatIsNotOneChannelOf16BitPcm) {
  ExpectRefused(WavBytes({.format = 3}, {1, 2}), {"format (1 = PCM): 1 expected, 3 found"});
  ExpectRefused(WavBytes({.channels = 2}, {1, 2}), {"channels: 1 expected, 2 found"});
  ExpectRefused(WavBytes({.bits = 8}, {1, 2}), {"bits of a sample: 16 expected, 8 found"});
}

TEST_F(Wav, RefusesEveryTruncation) {
  const std::string whole = WavBytes({}, {1, 2, 3});
  for (size_t size = 0; size < whole.size(); ++size)
    ExpectRefused(whole.substr(0, size), {"expected"});
}

TEST_F(Wav, SaysHowManySamplesAreMissing) {
  const std::string whole = WavBytes({}, {1, 2, 3});
  ExpectRefused(whole.substr(0, whole.size() - 2), {"samples: 6 bytes expected", "4 left"});
}

TEST_F(Wav, RefusesAFileThatIsNoWav) {
  ExpectRefused(std::string(100, 'x'), {"'RIFF' expected"});
  ExpectRefused("RIFF____AVI " + std::string(100, 'x'), {"'WAVE' expected"});
}

TEST_F(Wav, RefusesDataBeforeItsFormat) {
  std::string chunks;
  AppendChunk("data", "abcd", &chunks);
  ExpectRefused("RIFF____WAVE" + chunks, {"'fmt ' expected before 'data'"});
}

TEST_F(Wav, RefusesHalfASample) {
  std::string bytes = WavBytes({}, {1, 2});
  bytes[bytes.size() - 8] = 3;  // the size of the data
  ExpectRefused(bytes, {"an even number of bytes expected, 3 found"});
}

TEST_F(Wav, SaysWhichFileIsNotThere) {
  ExpectError(ReadWav(dir_.path("b.wav")).status(), Code::kIo, {"b.wav"});
}

}  // namespace
}  // namespace espalier
