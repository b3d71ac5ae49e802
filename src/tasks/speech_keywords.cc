// speech-keywords: ten spoken Arabic words by speakers that training never heard. Log-mel features
// (tasks/log_mel.h), a frame each 16 ms; class = word. Arabic Speech Commands (Ghandoura, Hjabo,
// Al Dakkak 2021, "Building and Benchmarking an Arabic Speech Commands Dataset for Small-Footprint
// Keyword Spotting"), ten of its forty words; its own three splits, of different speakers.
//
// train.csv, val.csv, test.csv: each line names one recording by its first field that ends in .wav:
// [folders/]WORD/SPEAKER_anything.wav below the data's folder. Other fields are not read, nor are
// recordings of other words. A first line without such a field is a head.
#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "base/file.h"
#include "base/strings.h"
#include "tasks/log_mel.h"
#include "tasks/task.h"
#include "tasks/wav.h"

namespace espalier {
namespace {

constexpr ValueType kInput = {Element::kF32, Layout::kSequence, LogMel::kBands};
constexpr std::array<const char*, 10> kWords = {"yes",   "no",    "up",   "down", "left",
                                                "right", "start", "stop", "open", "close"};
constexpr std::array<const char*, 3> kLists = {"train.csv", "val.csv", "test.csv"};

struct Entry {
  std::string file;  // below the data's folder
  std::string speaker;
  int32_t label = 0;
};

// The first field of a line of comma-separated fields that ends in .wav, or "".
std::string_view WavFieldOf(std::string_view line) {
  while (!line.empty()) {
    const size_t comma = std::min(line.find(','), line.size());
    const std::string_view field = line.substr(0, comma);
    if (field.ends_with(".wav")) return field;
    line.remove_prefix(std::min(comma + 1, line.size()));
  }
  return {};
}

// What `file`'s name says, or false if it is not WORD/SPEAKER_anything.wav. A word that is not one
// of the ten has label -1.
bool ParseName(std::string_view file, Entry* entry) {
  const size_t slash = file.rfind('/');
  if (slash == std::string_view::npos) return false;
  std::string_view word = file.substr(0, slash);
  word.remove_prefix(word.rfind('/') + 1);  // npos + 1 is 0
  const std::string_view name = file.substr(slash + 1);
  const size_t end = name.find('_');
  if (end == std::string_view::npos || end == 0) return false;
  const auto found = std::find(kWords.begin(), kWords.end(), word);
  entry->file = file;
  entry->speaker = name.substr(0, end);
  entry->label = found == kWords.end() ? -1 : static_cast<int32_t>(found - kWords.begin());
  return true;
}

Result<std::vector<Entry>> ReadList(const std::string& path) {
  Result<std::string> text = ReadTextFile(path);
  if (!text.ok()) {
    return Status(
        text.status().code(),
        text.status().message() +
            " (speech-keywords needs train.csv, val.csv, test.csv and their recordings as "
            "in the Arabic Speech Commands, arabic-speech-commands-dataset by A. Ghandoura "
            "on GitHub; point --data at their folder)");
  }
  std::vector<Entry> entries;
  std::string_view rest = *text;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const std::string_view file = WavFieldOf(line);
    if (file.empty() && number == 1) continue;
    Entry entry;
    if (!ParseName(file, &entry)) {
      return BadFormat(StrCat(path, ": line ", number, ": a field WORD/SPEAKER_*.wav expected, '",
                              file.empty() ? line : file, "' found"));
    }
    if (entry.label >= 0) entries.push_back(std::move(entry));
  }
  if (entries.empty()) {
    return BadFormat(StrCat(path, ": recordings of the words ",
                            StrJoin({kWords.begin(), kWords.end()}, ", "),
                            " expected, none found"));
  }
  return entries;
}

// Reads recordings of both sample rates.
class FeatureReader {
 public:
  // Appends one sequence. Errors: kIo, kBadFormat, kUnsupported, naming the file.
  Status Append(const std::string& path, Dataset* dataset) {
    ESPALIER_ASSIGN_OR_RETURN(const Recording recording, ReadWav(path));
    auto front_end = front_ends_.find(recording.sample_rate);
    if (front_end == front_ends_.end()) {
      Result<LogMel> made = LogMel::Create(recording.sample_rate);
      if (!made.ok()) return made.status().WithContext(path);
      front_end = front_ends_.emplace(recording.sample_rate, *std::move(made)).first;
    }
    LogMel& log_mel = front_end->second;
    const auto samples = static_cast<int64_t>(recording.samples.size());
    if (samples < log_mel.window()) {
      return BadFormat(StrCat(path, ": at least ", log_mel.window(), " samples (32 ms) expected, ",
                              samples, " found"));
    }
    log_mel.Compute(recording.samples, &dataset->features);
    dataset->offsets.push_back(dataset->offsets.back() + log_mel.FrameCount(samples));
    return Ok();
  }

 private:
  std::map<int64_t, LogMel> front_ends_;  // by sample rate
};

std::vector<std::string> Files(const std::string& dir) {
  std::vector<std::string> files;
  for (const char* list : kLists) {
    files.emplace_back(list);
    const Result<std::vector<Entry>> entries = ReadList(dir + "/" + list);
    if (!entries.ok()) continue;
    for (const Entry& entry : *entries) files.push_back(entry.file);
  }
  return files;
}

Result<TaskData> Load(const std::string& dir) {
  std::array<std::vector<Entry>, kLists.size()> splits;
  std::map<std::string, size_t> split_of;  // by speaker
  for (size_t s = 0; s < splits.size(); ++s) {
    const std::string path = dir + "/" + kLists[s];
    ESPALIER_ASSIGN_OR_RETURN(splits[s], ReadList(path));
    for (const Entry& entry : splits[s]) {
      const size_t other = split_of.emplace(entry.speaker, s).first->second;
      if (other != s) {
        return BadFormat(StrCat(path, ": speakers of no other split expected, '", entry.speaker,
                                "' found, who is also in ", kLists[other]));
      }
    }
  }
  TaskData data;
  data.class_names.assign(kWords.begin(), kWords.end());
  FeatureReader reader;
  const std::array<Dataset*, kLists.size()> datasets = {&data.train, &data.valid, &data.test};
  for (size_t s = 0; s < splits.size(); ++s) {
    Dataset& dataset = *datasets[s];
    dataset.input = kInput;
    dataset.classes = kWords.size();
    dataset.offsets.push_back(0);
    for (const Entry& entry : splits[s]) {
      ESPALIER_RETURN_IF_ERROR(reader.Append(dir + "/" + entry.file, &dataset));
      dataset.labels.push_back(entry.label);
    }
  }
  return data;
}

}  // namespace

TaskInfo SpeechKeywordsTask() {
  return {"speech-keywords",
          "ten spoken words by unseen speakers: 32 log-mel features each 16 ms, 10 classes",
          kAccuracy,
          kInput,
          {Element::kF32, Layout::kVector, static_cast<int64_t>(kWords.size())},
          "data/speech-keywords",
          Files,
          Load};
}

}  // namespace espalier
