#include <filesystem>

#include "base/file.h"
#include "base/strings.h"
#include "tasks/log_mel.h"
#include "tasks/task.h"
#include "tasks/wav_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::Sine;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::WavBytes;
using ::espalier::testing::WriteBytes;

// Two recordings by each of two speakers in each split, tones of different lengths.
class SpeechKeywords : public ::testing::Test {
 protected:
  SpeechKeywords() {
    int speaker = 1;
    for (const char* split : {"train", "val", "test"}) {
      std::string list = "row,source_file,speaker\n";
      for (int i = 0; i < 2; ++i, ++speaker) {
        for (const char* word : {"yes", "close"}) {
          const std::string file = StrCat("dataset/", word, "/", speaker, "_NO_01.wav");
          list += StrCat("7,", file, ",", speaker, "\r\n");
          WriteBytes(dir_.path(file), WavBytes({}, Sine(500, 0.1, 8000, 256 + 128 * speaker)));
        }
      }
      WriteBytes(List(split), list);
    }
  }

  std::string List(const std::string& split) { return dir_.path(split + ".csv"); }
  std::string ListText(const std::string& split) { return ValueOrDie(ReadTextFile(List(split))); }
  Result<TaskData> Load() { return Task().load(dir_.path()); }
  static TaskInfo Task() { return ValueOrDie(FindTask("speech-keywords")); }

  // Replaces a recording of the training speaker 2.
  void ExpectRefused(const std::string& bytes, Code code, std::vector<std::string> parts) {
    WriteBytes(dir_.path("dataset/yes/2_NO_01.wav"), bytes);
    parts.emplace_back("dataset/yes/2_NO_01.wav");
    ExpectError(Load().status(), code, parts);
  }

  TempDir dir_;
};

TEST_F(SpeechKeywords, ReadsTheSplitsInTheOrderOfTheirLists) {
  const TaskData data = ValueOrDie(Load());
  ASSERT_OK(ValidateDataset(data.train));
  EXPECT_EQ(data.train.labels, (std::vector<int32_t>{0, 9, 0, 9}));
  EXPECT_EQ(data.train.offsets, (std::vector<int64_t>{0, 2, 4, 7, 10}));
  EXPECT_EQ(data.valid.offsets, (std::vector<int64_t>{0, 4, 8, 13, 18}));
  EXPECT_EQ(data.test.offsets, (std::vector<int64_t>{0, 6, 12, 19, 26}));
  EXPECT_EQ(data.test.classes, 10);
}

TEST_F(SpeechKeywords, HoldsTheFeaturesOfEachRecording) {
  const TaskData data = ValueOrDie(Load());
  LogMel log_mel = ValueOrDie(LogMel::Create(8000));
  std::vector<float> samples;
  for (const int16_t value : Sine(500, 0.1, 8000, 256 + 128 * 2)) {
    samples.push_back(static_cast<float>(value) / 32768.0f);
  }
  std::vector<float> features;
  log_mel.Compute(samples, &features);
  // Recording 2 of training is by speaker 2 and begins at step 4.
  ASSERT_EQ(features.size(), 3u * 32);
  for (size_t i = 0; i < features.size(); ++i) {
    EXPECT_EQ(data.train.features[4 * 32 + i], features[i]) << i;
  }
}

TEST_F(SpeechKeywords, LeavesOutOtherWords) {
  WriteBytes(List("train"), "dataset/yes/1_a.wav,dataset/no/9_a.wav\ndataset/zoom/1_a.wav\n");
  WriteBytes(dir_.path("dataset/yes/1_a.wav"), WavBytes({}, Sine(500, 0.1, 8000, 256)));
  const TaskData data = ValueOrDie(Load());
  EXPECT_EQ(data.train.labels, (std::vector<int32_t>{0}));
}

TEST_F(SpeechKeywords, NamesEveryFileThatItReads) {
  const std::vector<std::string> files = Task().files(dir_.path());
  EXPECT_EQ(files.size(), 3u + 12u);
  for (const std::string& file : files) {
    EXPECT_TRUE(std::filesystem::exists(dir_.path(file))) << file;
  }
}

TEST_F(SpeechKeywords, SaysWhatIsMissingAndWhereToGetIt) {
  std::filesystem::remove(List("val"));
  ExpectError(Load().status(), Code::kIo, {"val.csv", "arabic-speech-commands-dataset", "--data"});
}

TEST_F(SpeechKeywords, SaysWhichRecordingIsMissing) {
  std::filesystem::remove(dir_.path("dataset/close/5_NO_01.wav"));
  ExpectError(Load().status(), Code::kIo, {"dataset/close/5_NO_01.wav"});
}

TEST_F(SpeechKeywords, RefusesASpeakerOfTwoSplits) {
  WriteBytes(List("test"), ListText("test") + "8,dataset/yes/2_NO_01.wav,2\n");
  ExpectError(Load().status(), Code::kBadFormat,
              {"test.csv", "speakers of no other split expected, '2' found", "in train.csv"});
}

TEST_F(SpeechKeywords, RefusesALineWithoutARecording) {
  WriteBytes(List("val"), ListText("val") + "\n8,yes\n");
  ExpectError(Load().status(), Code::kBadFormat,
              {"val.csv: line 7", "WORD/SPEAKER_*.wav expected, '8,yes' found"});
}

TEST_F(SpeechKeywords, RefusesANameWithoutWordOrSpeaker) {
  for (const char* file : {"1_NO_01.wav", "yes/1.wav", "yes/_1.wav"}) {
    WriteBytes(List("val"), file);
    ExpectError(Load().status(), Code::kBadFormat,
                {"val.csv: line 1", StrCat("'", file, "' found")});
  }
}

TEST_F(SpeechKeywords, RefusesASplitWithoutTheTenWords) {
  for (const char* text : {"", "file,word\n", "dataset/zoom/1_a.wav\n"}) {
    WriteBytes(List("test"), text);
    ExpectError(Load().status(), Code::kBadFormat,
                {"test.csv", "recordings of the words yes, no,", "none found"});
  }
}

TEST_F(SpeechKeywords, RefusesRecordingsThatItCannotUse) {
  const std::vector<int16_t> tone = Sine(500, 0.1, 8000, 512);
  ExpectRefused(WavBytes({.channels = 2}, tone), Code::kBadFormat,
                {"channels: 1 expected, 2 found"});
  ExpectRefused(WavBytes({.sample_rate = 44100}, tone), Code::kUnsupported,
                {"sample rate: 8000 or 16000 Hz expected, 44100 Hz found"});
  ExpectRefused(WavBytes({.sample_rate = 16000}, Sine(500, 0.1, 16000, 511)), Code::kBadFormat,
                {"at least 512 samples (32 ms) expected, 511 found"});
  ExpectRefused(WavBytes({}, {}), Code::kBadFormat, {"at least 256 samples", "0 found"});
}

}  // namespace
}  // namespace espalier
