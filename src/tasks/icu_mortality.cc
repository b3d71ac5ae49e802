// icu-mortality: does a patient leave the hospital alive? From the first 48 hours of a stay in
// intensive care, an hour a step; scored by the area under the ROC curve. PhysioNet / Computing in
// Cardiology Challenge 2012 (Silva et al. 2012, "Predicting in-hospital mortality of ICU patients";
// Goldberger et al. 2000), as PhysioNet has it: Outcomes-a.txt and set-a/RECORD.txt to train, b to
// validate, c to test.
//
// A record is lines hh:mm,PARAMETER,VALUE. At 00:00 it describes the patient; what follows is
// measured when somebody does so. -1 means unknown. A parameter without a name, as set c has some,
// is left out.
//
// What the network reads at hour h, [81]:
//   37  the mean of each variable over hour h, or else of the last hour it was measured in, or 0
//   37  1 if it was measured in hour h, or else 0
//    3  age, gender (1 = male), height; 0 if unknown
//    4  1 for the type of the unit (coronary care, cardiac surgery, medical, surgical), or else 0
// Of the first and third kind values are clipped to the 1 % and 99 % quantiles of training's and
// then standardised by mean and standard deviation of those.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

#include "base/file.h"
#include "base/strings.h"
#include "tasks/task.h"

namespace espalier {
namespace {

constexpr int64_t kHours = 48;
constexpr size_t kVariables = 37;   // measured
constexpr size_t kDescriptors = 3;  // of the patient
constexpr size_t kQuantities = kVariables + kDescriptors;
constexpr std::array<std::string_view, kQuantities> kNames = {
    "ALP",        "ALT",      "AST",     "Albumin",   "BUN",       "Bilirubin", "Cholesterol",
    "Creatinine", "DiasABP",  "FiO2",    "GCS",       "Glucose",   "HCO3",      "HCT",
    "HR",         "K",        "Lactate", "MAP",       "MechVent",  "Mg",        "NIDiasABP",
    "NIMAP",      "NISysABP", "Na",      "PaCO2",     "PaO2",      "Platelets", "RespRate",
    "SaO2",       "SysABP",   "Temp",    "TroponinI", "TroponinT", "Urine",     "WBC",
    "Weight",     "pH",       "Age",     "Gender",    "Height"};
constexpr size_t kUnits = 4;
constexpr size_t kFeatures = 2 * kVariables + kDescriptors + kUnits;
constexpr ValueType kInput = {Element::kF32, Layout::kSequence, static_cast<int64_t>(kFeatures)};
constexpr std::array<const char*, 3> kSets = {"a", "b", "c"};
constexpr char kHowToGet[] =
    " (icu-mortality needs Outcomes-a.txt, -b and -c and the records in the folders set-a, set-b "
    "and "
    "set-c of PhysioNet's Challenge 2012; point --data at their folder)";
constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

struct Stay {
  std::array<std::array<float, kVariables>, kHours> hours;  // means, or kUnknown
  std::array<float, kDescriptors> patient;                  // or kUnknown
  size_t unit = kUnits;                                     // in [0, kUnits), or kUnits for none
  int32_t label = 0;                                        // 1: died
};

// Takes the text up to the next `separator` off the front.
std::string_view Take(std::string_view* text, char separator) {
  const size_t end = std::min(text->find(separator), text->size());
  std::string_view part = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  if (part.ends_with('\r')) part.remove_suffix(1);
  return part;
}

template <typename T>
std::optional<T> NumberOf(std::string_view text) {
  T value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  const bool is_number = !text.empty() && parsed.ec == std::errc() && parsed.ptr == end;
  return is_number ? std::optional(value) : std::nullopt;
}

// Minutes from 00:00 to 48:00 of hh:mm, which lie in an hour's step.
std::optional<size_t> HourOf(std::string_view time) {
  const auto hour = NumberOf<uint16_t>(Take(&time, ':'));
  const auto minute = NumberOf<uint16_t>(time);
  if (!hour || !minute || *minute > 59 || *hour * 60 + *minute > kHours * 60) return std::nullopt;
  return std::min<size_t>(*hour, kHours - 1);
}

Result<Stay> ReadStay(const std::string& path) {
  Result<std::string> text = ReadTextFile(path);
  if (!text.ok()) return Status(text.status().code(), text.status().message() + kHowToGet);
  Stay stay;
  stay.patient.fill(kUnknown);
  std::array<std::array<double, kVariables>, kHours> sums = {};
  std::array<std::array<int64_t, kVariables>, kHours> counts = {};
  std::string_view rest = *text;
  for (int64_t number = 1; !rest.empty(); ++number) {
    std::string_view line = Take(&rest, '\n');
    if (number == 1 && line == "Time,Parameter,Value") continue;
    if (line.empty() && rest.empty()) break;
    const std::string found(line);
    const std::optional<size_t> hour = HourOf(Take(&line, ','));
    const std::string_view name = Take(&line, ',');
    const auto value = NumberOf<double>(line);
    if (!hour || !value || !(std::abs(*value) <= std::numeric_limits<float>::max())) {
      return BadFormat(StrCat(path, ": line ", number,
                              ": hh:mm up to 48:00, a parameter and a finite number, ",
                              "between commas, expected, '", found, "' found"));
    }
    if (name.empty() || name == "RecordID" || *value == -1.0) continue;
    if (name == "ICUType") {
      if (*value != 1.0 && *value != 2.0 && *value != 3.0 && *value != 4.0) {
        return BadFormat(
            StrCat(path, ": line ", number, ": ICUType 1, 2, 3 or 4 expected, '", line, "' found"));
      }
      stay.unit = static_cast<size_t>(*value) - 1;
      continue;
    }
    const auto at =
        static_cast<size_t>(std::find(kNames.begin(), kNames.end(), name) - kNames.begin());
    if (at == kQuantities) {
      const std::vector<std::string> names(kNames.begin(), kNames.end());
      return BadFormat(StrCat(path, ": line ", number, ": a parameter of the challenge expected, '",
                              name, "' found", DidYouMean(std::string(name), names)));
    }
    if (at >= kVariables) {
      stay.patient[at - kVariables] = static_cast<float>(*value);
    } else {
      sums[*hour][at] += *value;
      ++counts[*hour][at];
    }
  }
  for (size_t h = 0; h < kHours; ++h) {
    for (size_t v = 0; v < kVariables; ++v) {
      const bool is_measured = counts[h][v] > 0;
      stay.hours[h][v] = is_measured
                             ? static_cast<float>(sums[h][v] / static_cast<double>(counts[h][v]))
                             : kUnknown;
    }
  }
  return stay;
}

struct Outcome {
  std::string record;  // its number
  int32_t label = 0;
};

// Lines RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death under one of these names.
Result<std::vector<Outcome>> ReadOutcomes(const std::string& path) {
  Result<std::string> text = ReadTextFile(path);
  if (!text.ok()) return Status(text.status().code(), text.status().message() + kHowToGet);
  std::vector<Outcome> outcomes;
  std::set<std::string> seen;
  std::array<bool, 2> has = {};
  std::string_view rest = *text;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = Take(&rest, '\n');
    if (line.empty() && rest.empty()) break;
    if (number == 1 && line.starts_with("RecordID,")) continue;
    const std::string_view record = line.substr(0, line.find(','));
    const std::string_view death = line.substr(line.rfind(',') + 1);
    const bool is_outcome = std::count(line.begin(), line.end(), ',') == 5 &&
                            NumberOf<uint32_t>(record).has_value() &&
                            (death == "0" || death == "1");
    if (!is_outcome) {
      return BadFormat(StrCat(path, ": line ", number,
                              ": RecordID, four numbers and In-hospital_death (0 or 1), ",
                              "between commas, expected, '", line, "' found"));
    }
    if (!seen.insert(std::string(record)).second) {
      return BadFormat(
          StrCat(path, ": line ", number, ": each record once expected, ", record, " found twice"));
    }
    const int32_t label = death == "1" ? 1 : 0;
    has[static_cast<size_t>(label)] = true;
    outcomes.push_back({std::string(record), label});
  }
  if (!has[0] || !has[1]) {
    return BadFormat(
        path +
        ": patients who lived and patients who died expected, as the area under the ROC "
        "curve needs both, " +
        (has[0] || has[1] ? "one kind" : "none") + " found");
  }
  return outcomes;
}

std::string RecordFile(const char* set, const std::string& record) {
  return StrCat("set-", set, "/", record, ".txt");
}

// How a quantity's values become features.
struct Scale {
  float low = 0.0f, high = 0.0f;  // of training's quantiles
  float mean = 0.0f, deviation = 1.0f;

  float operator()(float value) const { return (std::clamp(value, low, high) - mean) / deviation; }
};

Scale ScaleOf(std::vector<float> values) {
  Scale scale;
  if (values.empty()) return scale;
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  scale.low = values[static_cast<size_t>(0.01 * (count - 1.0))];
  scale.high = values[static_cast<size_t>(0.99 * (count - 1.0))];
  double mean = 0.0, square = 0.0;
  for (float& value : values) {
    value = std::clamp(value, scale.low, scale.high);
    mean += static_cast<double>(value) / count;
  }
  for (const float value : values) {
    square += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean);
  }
  scale.mean = scale.low == scale.high ? scale.low : static_cast<float>(mean);
  if (scale.low < scale.high) scale.deviation = static_cast<float>(std::sqrt(square / count));
  return scale;
}

using Scales = std::array<Scale, kQuantities>;

Scales ScalesOf(const std::vector<Stay>& stays) {
  std::array<std::vector<float>, kQuantities> values;
  const auto add = [&](size_t i, float value) {
    if (!std::isnan(value)) values[i].push_back(value);
  };
  for (const Stay& stay : stays) {
    for (const auto& hour : stay.hours) {
      for (size_t v = 0; v < kVariables; ++v) add(v, hour[v]);
    }
    for (size_t d = 0; d < kDescriptors; ++d) add(kVariables + d, stay.patient[d]);
  }
  Scales scales;
  for (size_t i = 0; i < kQuantities; ++i) scales[i] = ScaleOf(std::move(values[i]));
  return scales;
}

Dataset DatasetOf(const std::vector<Stay>& stays, const Scales& scales) {
  Dataset dataset;
  dataset.input = kInput;
  dataset.classes = 2;
  dataset.metric = kAuroc;
  dataset.offsets = {0};
  dataset.features.reserve(stays.size() * kHours * kFeatures);
  for (const Stay& stay : stays) {
    std::array<float, kFeatures> features = {};
    for (size_t d = 0; d < kDescriptors; ++d) {
      const float value = stay.patient[d];
      if (!std::isnan(value)) features[2 * kVariables + d] = scales[kVariables + d](value);
    }
    if (stay.unit < kUnits) features[2 * kVariables + kDescriptors + stay.unit] = 1.0f;
    for (const auto& hour : stay.hours) {
      for (size_t v = 0; v < kVariables; ++v) {
        const bool is_measured = !std::isnan(hour[v]);
        if (is_measured) features[v] = scales[v](hour[v]);
        features[kVariables + v] = is_measured ? 1.0f : 0.0f;
      }
      dataset.features.insert(dataset.features.end(), features.begin(), features.end());
    }
    dataset.offsets.push_back(dataset.offsets.back() + kHours);
    dataset.labels.push_back(stay.label);
  }
  return dataset;
}

std::vector<std::string> Files(const std::string& dir) {
  std::vector<std::string> files;
  for (const char* set : kSets) {
    files.push_back(StrCat("Outcomes-", set, ".txt"));
    const Result<std::vector<Outcome>> outcomes = ReadOutcomes(dir + "/" + files.back());
    if (!outcomes.ok()) continue;
    for (const Outcome& outcome : *outcomes) files.push_back(RecordFile(set, outcome.record));
  }
  return files;
}

Result<TaskData> Load(const std::string& dir) {
  TaskData data;
  data.class_names = {"survived", "died"};
  const std::array<Dataset*, kSets.size()> datasets = {&data.train, &data.valid, &data.test};
  Scales scales;
  for (size_t s = 0; s < kSets.size(); ++s) {
    ESPALIER_ASSIGN_OR_RETURN(const std::vector<Outcome> outcomes,
                              ReadOutcomes(StrCat(dir, "/Outcomes-", kSets[s], ".txt")));
    std::vector<Stay> stays;
    stays.reserve(outcomes.size());
    for (const Outcome& outcome : outcomes) {
      ESPALIER_ASSIGN_OR_RETURN(Stay stay,
                                ReadStay(dir + "/" + RecordFile(kSets[s], outcome.record)));
      stay.label = outcome.label;
      stays.push_back(stay);
    }
    if (s == 0) scales = ScalesOf(stays);
    *datasets[s] = DatasetOf(stays, scales);
  }
  return data;
}

}  // namespace

TaskInfo IcuMortalityTask() {
  return {"icu-mortality",
          "death in hospital from 48 hours in intensive care: 81 features an hour, 2 classes",
          kAuroc,
          kInput,
          {Element::kF32, Layout::kVector, 2},
          "data/icu-mortality",
          Files,
          Load};
}

}  // namespace espalier
