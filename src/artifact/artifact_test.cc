#include "artifact/artifact.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <limits>

#include "artifact/layout.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/strings.h"
#include "espalier/espalier.h"
#include "model/build.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::ZeroRandomWeights;
using Bytes = AlignedBuffer<std::byte>;

// Every kind of weight: a table, a cell with two parts, both directions, a Gemm.
Graph TestGraph() {
  Rng rng(7);
  GraphBuilder builder("digits", {"ids", {Element::kI32, Layout::kSequence, 11}}, &rng);
  builder.Embedding(6).Recurrent(CellKind::kGruResetBeforeCell, 5).Dropout(0.25);
  builder.Recurrent(CellKind::kLstmCell, 4, {Direction::kBidirectional, 0.5}).LastStep().Gemm(3);
  Graph graph = ValueOrDie(builder.Finish());
  ZeroRandomWeights(0.7, &rng, &graph);
  testing::RoundForEveryFormat(&graph);
  return graph;
}

Choice ChoiceOf(const std::string& format) {
  return {ValueOrDie(FindFormat(format)),
          "kernel_" + format,
          12.5,
          {{FormatSpec(), 80.0, 4096, "slower"}}};
}

ArtifactContent TestContent(const Graph& graph) {
  ArtifactContent content;
  content.metadata = {{"task", "digits"}, {"seed", "3"}};
  const std::vector<FormatSpec> formats = AllFormats();
  size_t next = 0;
  for (const MatrixPart& part : ValueOrDie(MatrixPartsOf(graph))) {
    content.choices[part.name] = ChoiceOf(FormatName(formats[next++ % formats.size()]));
  }
  content.golden = ValueOrDie(MakeGoldenSample(graph, 5));
  return content;
}

Bytes TestBytes() {
  const Graph graph = TestGraph();
  return ValueOrDie(WriteArtifact(graph, TestContent(graph)));
}

// Not the constructor from a range: GCC 12 at -O2 takes it for a free of what is not on the heap.
std::vector<std::byte> Copy(const Bytes& bytes) {
  std::vector<std::byte> copy(bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.begin());
  return copy;
}

Bytes Aligned(const std::vector<std::byte>& from) {
  Bytes bytes(from.size());
  std::copy(from.begin(), from.end(), bytes.begin());
  return bytes;
}

// Makes size and checksum right again, so that only the checks of fields are left.
Bytes Sealed(std::vector<std::byte> bytes) {
  const uint64_t total_bytes = bytes.size();
  std::memcpy(bytes.data() + kTotalBytesOffset, &total_bytes, sizeof(total_bytes));
  const uint32_t crc = Crc32c(std::span(bytes).subspan(kTotalBytesOffset));
  std::memcpy(bytes.data() + kCrcOffset, &crc, sizeof(crc));
  return Aligned(bytes);
}

Status Refusal(Bytes bytes) {
  const Result<Artifact> artifact = Artifact::FromBytes(std::move(bytes));
  return artifact.ok() ? Ok() : artifact.status();
}

// Offset of the first byte after `text`; the file must hold it after `from`.
size_t After(const std::vector<std::byte>& bytes, const std::string& text, size_t from = 0) {
  const auto* needle = reinterpret_cast<const std::byte*>(text.data());
  const auto it = std::search(bytes.begin() + static_cast<std::ptrdiff_t>(from), bytes.end(),
                              needle, needle + text.size());
  EXPECT_NE(it, bytes.end()) << text;
  return static_cast<size_t>(it - bytes.begin()) + text.size();
}

template <typename T>
std::vector<std::byte> With(std::vector<std::byte> bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
  return bytes;
}

TEST(Artifact, GivesBackTheGraphItWasMadeOf) {
  const Graph graph = TestGraph();
  const Artifact artifact =
      ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(graph, TestContent(graph)))));
  EXPECT_EQ(ValueOrDie(artifact.Decode()), graph);
}

TEST(Artifact, GivesBackChoicesMetadataAndGoldenSample) {
  const Graph graph = TestGraph();
  const ArtifactContent content = TestContent(graph);
  const Artifact artifact = ValueOrDie(Artifact::FromBytes(TestBytes()));
  for (const ArtifactMatrix& matrix : artifact.matrices()) {
    EXPECT_EQ(matrix.choice, content.choices.at(matrix.part.name)) << matrix.part.name;
    EXPECT_EQ(matrix.view.spec, matrix.choice.spec);
  }
  Metadata metadata = content.metadata;
  metadata["espalier"] = ESPALIER_VERSION;
  EXPECT_EQ(artifact.metadata(), metadata);
  ASSERT_TRUE(artifact.golden().has_value());
  EXPECT_EQ(artifact.golden()->batch.ids, content.golden->batch.ids);
  EXPECT_EQ(artifact.golden()->batch.lengths, content.golden->batch.lengths);
  EXPECT_EQ(artifact.golden()->outputs, content.golden->outputs);
}

TEST(Artifact, CutsTheRecurrentWeightOfACellThatResetsBefore) {
  const Artifact artifact = ValueOrDie(Artifact::FromBytes(TestBytes()));
  const ArtifactMatrix& matrix = artifact.matrix("gru_reset_before0.weight_hh[10:15]");
  EXPECT_EQ(matrix.part.weight, "gru_reset_before0.weight_hh");
  EXPECT_EQ(matrix.part.first_row, 10);
  EXPECT_EQ(matrix.view.rows, 5);
}

TEST(Artifact, KeepsMatricesAlignedAndPadded) {
  const Artifact artifact = ValueOrDie(Artifact::FromBytes(TestBytes()));
  for (const ArtifactMatrix& matrix : artifact.matrices()) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(matrix.view.bytes.data()) % kAlignmentBytes, 0u);
  }
}

TEST(Artifact, IsTheSameBytesEveryTime) { EXPECT_EQ(Copy(TestBytes()), Copy(TestBytes())); }

TEST(Artifact, ReadsAFileByMappingIt) {
  const TempDir dir;
  const Bytes bytes = TestBytes();
  ASSERT_OK(WriteFileAtomic(dir.path("a.esp"), {bytes.data(), bytes.size()}));
  Artifact opened = ValueOrDie(Artifact::Open(dir.path("a.esp")));
  const Artifact artifact = std::move(opened);
  EXPECT_EQ(ValueOrDie(artifact.Decode()), TestGraph());
}

TEST(Artifact, NamesAFileThatCannotBeOpened) {
  ExpectError(Artifact::Open("/nowhere/a.esp").status(), Code::kIo, {"/nowhere/a.esp"});
}

TEST(Artifact, RefusesAnEmptyFile) {
  const TempDir dir;
  ASSERT_OK(WriteFileAtomic(dir.path("a.esp"), {}));
  ExpectError(Artifact::Open(dir.path("a.esp")).status(), Code::kBadFormat, {"a.esp", "0 found"});
}

TEST(Artifact, RefusesMemoryThatIsNotAligned) {
  const Bytes bytes = TestBytes();
  ExpectError(Artifact::View({bytes.data() + 1, bytes.size() - 1}).status(), Code::kInvalidArgument,
              {"64", "1 bytes past"});
}

TEST(Artifact, RefusesEveryTruncation) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<std::byte> shorter(bytes.begin(),
                                         bytes.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_EQ(Refusal(Aligned(shorter)).code(), Code::kBadFormat) << size;
  }
}

TEST(Artifact, RefusesEveryTruncationWhoseChecksumIsRight) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  for (size_t size = kHeaderBytes; size < bytes.size(); ++size) {
    const std::vector<std::byte> shorter(bytes.begin(),
                                         bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const Status status = Refusal(Sealed(shorter));
    ASSERT_EQ(status.code(), Code::kBadFormat) << size;
    ASSERT_NE(status.message().find(':'), std::string::npos) << status.message();
  }
}

TEST(Artifact, RefusesEveryFlippedBit) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::vector<std::byte> damaged = bytes;
    damaged[i] ^= std::byte{1} << (i % 8);
    ASSERT_FALSE(Refusal(Aligned(damaged)).ok()) << i;
  }
}

// Any byte may be anything, with a checksum that is right: the file is refused or it is usable, and
// whatever it is, nothing reads or writes where it should not (run under ASan).
TEST(Artifact, SurvivesRandomBytesWhoseChecksumIsRight) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  Rng rng(1);
  int refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::vector<std::byte> damaged = bytes;
    const int flips = 1 + static_cast<int>(rng.Below(3));
    for (int i = 0; i < flips; ++i) {
      damaged[kHeaderBytes + rng.Below(bytes.size() - kHeaderBytes)] =
          static_cast<std::byte>(rng.Next());
    }
    Result<Artifact> artifact = Artifact::FromBytes(Sealed(damaged));
    if (!artifact.ok()) {
      ++refused;
      continue;
    }
    const Result<Graph> graph = artifact->Decode();
    if (graph.ok()) EXPECT_OK(ValidateGraph(*graph));
  }
  EXPECT_GT(refused, 1000);
}

TEST(Artifact, SurvivesHugeNumbersAnywhere) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  for (size_t i = kHeaderBytes; i + 8 <= bytes.size(); ++i) {
    for (const uint64_t value : {~uint64_t{0}, uint64_t{1} << 40, uint64_t{0x7fffffff}}) {
      const Result<Artifact> artifact = Artifact::FromBytes(Sealed(With(bytes, i, value)));
      if (!artifact.ok()) {
        ASSERT_NE(artifact.status().code(), Code::kOutOfMemory)
            << i << ' ' << artifact.status().message();
      }
    }
  }
}

TEST(Artifact, RefusesAnotherMagic) {
  ExpectError(Refusal(Sealed(With(Copy(TestBytes()), 0, 'x'))), Code::kBadFormat, {"header.magic"});
}

TEST(Artifact, RefusesOtherVersions) {
  for (const uint32_t version : {kArtifactVersion - 1, kPlainPartsVersion + 1}) {
    ExpectError(Refusal(Sealed(With(Copy(TestBytes()), 8, version))), Code::kUnsupported,
                {"header.version", StrCat(kArtifactVersion, " or ", kPlainPartsVersion,
                                          " expected, ", version, " found")});
  }
}

TEST(Artifact, RefusesAnUnknownFormat) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  const size_t offset = After(bytes, "gemm0.weight");
  ExpectError(Refusal(Sealed(With(bytes, offset, uint8_t{200}))), Code::kUnsupported,
              {"gemm0.weight.format", "200"});
}

TEST(Artifact, RefusesRowsThatDoNotFitTheGraph) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  const size_t rows = After(bytes, "lstm0.weight_hh") + 14;
  ExpectError(Refusal(Sealed(With(bytes, rows, int64_t{15}))), Code::kBadFormat,
              {"lstm0.weight_hh: 16x4 expected, 15x4 found"});
}

TEST(Artifact, RefusesColsOutOfRange) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  const size_t cols = After(bytes, "lstm0.weight_hh") + 22;
  ExpectError(Refusal(Sealed(With(bytes, cols, int64_t{-1}))), Code::kBadFormat,
              {"lstm0.weight_hh.cols", "-1 found"});
}

TEST(Artifact, RefusesAMatrixOfTheWrongSize) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  const size_t size = After(bytes, "gemm0.weight") + 30;
  ExpectError(Refusal(Sealed(With(bytes, size, uint64_t{4}))), Code::kBadFormat, {"gemm0.weight"});
}

TEST(Artifact, RefusesATimeThatIsNotANumber) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const size_t kernel = After(bytes, "kernel_", After(bytes, "gemm0.weight"));
  size_t ns = kernel;
  while (std::isprint(static_cast<int>(bytes[ns])) != 0) ++ns;
  ExpectError(Refusal(Sealed(With(bytes, ns, nan))), Code::kBadFormat, {".ns", "nan found"});
}

TEST(Artifact, RefusesABiasThatIsNotFinite) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  const size_t value = After(bytes, "gemm0.bias") + 4 + 8;
  ExpectError(Refusal(Sealed(With(bytes, value, std::numeric_limits<float>::infinity()))),
              Code::kBadFormat, {"gemm0.bias", "inf found"});
}

// Only a bias_hh may be left out, and it is as large as the bias_ih beside it: a short file cannot
// ask for much memory.
TEST(Artifact, LeavesOutABiasOfHThatIsZeroAndNoOtherVector) {
  Graph graph = TestGraph();
  for (auto& [name, weight] : graph.weights) {
    if (weight.shape.size() == 1) std::fill(weight.values.begin(), weight.values.end(), 0.0f);
  }
  const std::vector<std::byte> bytes = Copy(ValueOrDie(WriteArtifact(graph, TestContent(graph))));
  EXPECT_EQ(ValueOrDie(ValueOrDie(Artifact::FromBytes(Aligned(bytes))).Decode()), graph);
  const auto holds = [&](const std::string& name) {
    const auto* needle = reinterpret_cast<const std::byte*>(name.data());
    return std::search(bytes.begin(), bytes.end(), needle, needle + name.size()) != bytes.end();
  };
  EXPECT_TRUE(holds("lstm0.bias_ih"));
  EXPECT_FALSE(holds("lstm0.bias_hh"));
  // The name of the bias_ih made that of the bias_hh: now a vector is missing that may not be.
  const size_t end = After(bytes, "lstm0.bias_ih");
  std::vector<std::byte> renamed = bytes;
  renamed[end - 2] = renamed[end - 1] = std::byte{'h'};
  ExpectError(Refusal(Sealed(renamed)), Code::kBadFormat, {"lstm0.bias_ih", "nothing found"});
}

TEST(Artifact, RefusesAMatrixOfAnotherName) {
  const std::vector<std::byte> bytes = Copy(TestBytes());
  const size_t end = After(bytes, "lstm0.weight_hh");
  ExpectError(Refusal(Sealed(With(bytes, end - 1, 'x'))), Code::kBadFormat,
              {"matrix.name", "lstm0.weight_hx"});
}

TEST(Artifact, RefusesANameThatIsNotUtf8AndSaysWhich) {
  std::vector<std::byte> bytes = Copy(TestBytes());
  const std::string name = "embedding0";
  const auto at = std::search(bytes.begin(), bytes.end(), name.begin(), name.end(),
                              [](std::byte a, char b) { return static_cast<char>(a) == b; });
  *at = std::byte{0xff};
  ExpectError(Artifact::FromBytes(Sealed(bytes)).status(), Code::kBadFormat,
              {"node.name: a text in UTF-8 expected"});
}

TEST(Artifact, RefusesBytesAfterTheEnd) {
  std::vector<std::byte> bytes = Copy(TestBytes());
  bytes.resize(bytes.size() + 64);
  ExpectError(Refusal(Sealed(bytes)), Code::kBadFormat, {"tail", "64 more"});
}

TEST(WriteArtifact, NamesAChoiceThatFitsNoMatrix) {
  const Graph graph = TestGraph();
  ArtifactContent content;
  content.choices["gemm0.wight"] = Choice();
  ExpectError(WriteArtifact(graph, content).status(), Code::kInvalidArgument,
              {"gemm0.wight", "did you mean 'gemm0.weight'?"});
}

TEST(WriteArtifact, RefusesAContentThatCouldNotBeReadBack) {
  const Graph graph = TestGraph();
  ArtifactContent content;
  content.metadata["notes"] = std::string(70000, 'x');
  ExpectError(WriteArtifact(graph, content).status(), Code::kInvalidArgument,
              {"metadata.notes", "65536", "70000 found"});
}

TEST(WriteArtifact, RefusesAGraphThatIsNotValid) {
  Graph graph = TestGraph();
  graph.weights.erase("gemm0.bias");
  ExpectError(WriteArtifact(graph, {}).status(), Code::kInvalidArgument, {"gemm0.bias"});
}

}  // namespace
}  // namespace espalier
