// lm-words: the next word of a text, at every step; class = word. WikiText-2 (Merity et al. 2016,
// arXiv:1609.07843) or any other text in words between blanks, a file a split. Scored by
// perplexity.
//
// train.txt, valid.txt, test.txt (or wiki.train.tokens, ..., as WikiText-2's archive calls them): a
// line is a piece of text and ends in the word <eos>, an empty one too. The vocabulary is <unk>,
// <eos> and the most frequent other words of the training split, kVocabulary in all, ties in the
// order of their bytes; every other word, and <unk> itself, is <unk>.
//
// A split is one stream of words, <eos> among them. At each step but the last the next one is the
// label, so that a file of n words has n - 1 labels. The stream is cut into windows, which follow
// each other: each is a sequence and starts from zero states. Training windows are as long as in
// Zaremba et al. 2014 (arXiv:1409.2329), who carry the state from window to window, however; those
// of the other splits are longer, so that few words lack what came before them.
#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/file.h"
#include "base/strings.h"
#include "tasks/task.h"

namespace espalier {
namespace {

// As in the Penn Treebank of Mikolov et al. 2010. More: fewer <unk>, but a product over all words
// and their softmax are most of the work of a step already.
constexpr int64_t kVocabulary = 10000;
constexpr int64_t kTrainSteps = 35;
constexpr int64_t kEvaluationSteps = 350;
constexpr int32_t kUnknown = 0;
constexpr int32_t kEnd = 1;
constexpr std::array<const char*, 3> kSplits = {"train", "valid", "test"};

// Of the two names of a split the one that is there; the first if none is.
std::string FileOf(const std::string& dir, const std::string& split) {
  const std::string name = split + ".txt";
  const std::string other = "wiki." + split + ".tokens";
  std::error_code ignored;
  const auto exists = [&](const std::string& file) {
    return std::filesystem::exists(dir + "/" + file, ignored);
  };
  return !exists(name) && exists(other) ? other : name;
}

Result<std::string> ReadSplit(const std::string& path) {
  Result<std::string> text = ReadTextFile(path);
  if (text.ok()) return text;
  return Status(
      text.status().code(),
      text.status().message() +
          " (lm-words needs train.txt, valid.txt and test.txt, or wiki.train.tokens, "
          "wiki.valid.tokens and wiki.test.tokens as in WikiText-2 of Merity et al. 2016; "
          "tools/king_james.py writes them of Debian's packages bible-kjv and "
          "bible-kjv-text; point --data at their folder)");
}

// The words of a text, kEndWord after each line.
constexpr std::string_view kUnknownWord = "<unk>";
constexpr std::string_view kEndWord = "<eos>";
Result<std::vector<std::string_view>> WordsOf(const std::string& path, std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\v\f";
  std::vector<std::string_view> words;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find('\0') != std::string_view::npos || !IsUtf8(line)) {
      return BadFormat(
          StrCat(path, ": line ", number, ": a text in UTF-8 expected, ",
                 line.find('\0') != std::string_view::npos ? "a byte 0" : "other bytes", " found"));
    }
    while (true) {
      line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
      if (line.empty()) break;
      const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
      words.push_back(word);
      line.remove_prefix(word.size());
    }
    words.push_back(kEndWord);
  }
  if (words.size() < 2) {
    return BadFormat(StrCat(path, ": a text of words expected, an empty one found"));
  }
  return words;
}

using Vocabulary = std::unordered_map<std::string_view, int32_t>;

// `names` gets the words in the order of their ids.
Vocabulary VocabularyOf(const std::vector<std::string_view>& words,
                        std::vector<std::string>* names) {
  std::unordered_map<std::string_view, int64_t> counts;
  for (const std::string_view word : words) ++counts[word];
  counts.erase(kUnknownWord);
  counts.erase(kEndWord);
  std::vector<std::pair<std::string_view, int64_t>> ranked(counts.begin(), counts.end());
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  ranked.resize(std::min(ranked.size(), static_cast<size_t>(kVocabulary - 2)));
  Vocabulary vocabulary = {{kUnknownWord, kUnknown}, {kEndWord, kEnd}};
  names->assign({std::string(kUnknownWord), std::string(kEndWord)});
  for (const auto& [word, count] : ranked) {
    vocabulary[word] = static_cast<int32_t>(names->size());
    names->emplace_back(word);
  }
  return vocabulary;
}

// Windows of `steps` steps; the last may be shorter.
Dataset WindowsOf(const std::vector<std::string_view>& words, const Vocabulary& vocabulary,
                  int64_t steps) {
  Dataset dataset;
  dataset.classes = static_cast<int64_t>(vocabulary.size());
  dataset.input = {Element::kI32, Layout::kSequence, dataset.classes};
  dataset.labelled = Layout::kSequence;
  dataset.metric = kPerplexity;
  std::vector<int32_t> ids;
  for (const std::string_view word : words) {
    const auto found = vocabulary.find(word);
    ids.push_back(found == vocabulary.end() ? kUnknown : found->second);
  }
  dataset.ids.assign(ids.begin(), ids.end() - 1);
  dataset.labels.assign(ids.begin() + 1, ids.end());
  const auto count = static_cast<int64_t>(dataset.labels.size());
  for (int64_t first = 0; first < count; first += steps) dataset.offsets.push_back(first);
  dataset.offsets.push_back(count);
  return dataset;
}

std::vector<std::string> Files(const std::string& dir) {
  std::vector<std::string> files;
  for (const char* split : kSplits) files.push_back(FileOf(dir, split));
  return files;
}

Result<TaskData> Load(const std::string& dir) {
  TaskData data;
  Vocabulary vocabulary;
  std::array<std::string, kSplits.size()> texts;  // what the vocabulary's words are parts of
  const std::array<Dataset*, kSplits.size()> datasets = {&data.train, &data.valid, &data.test};
  for (size_t s = 0; s < kSplits.size(); ++s) {
    const std::string path = dir + "/" + FileOf(dir, kSplits[s]);
    ESPALIER_ASSIGN_OR_RETURN(texts[s], ReadSplit(path));
    ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::string_view> words, WordsOf(path, texts[s]));
    if (s == 0) vocabulary = VocabularyOf(words, &data.class_names);
    *datasets[s] = WindowsOf(words, vocabulary, s == 0 ? kTrainSteps : kEvaluationSteps);
  }
  return data;
}

}  // namespace

TaskInfo LmWordsTask() {
  return {"lm-words",
          StrCat("the next word of a text: ids of at most ", kVocabulary, " words, one a step"),
          kPerplexity,
          {Element::kI32, Layout::kSequence, kVocabulary},
          {Element::kF32, Layout::kSequence, kVocabulary},
          "data/lm-words",
          Files,
          Load};
}

}  // namespace espalier
