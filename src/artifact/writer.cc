#include <algorithm>
#include <cstring>
#include <new>

#include "artifact/artifact.h"
#include "artifact/layout.h"
#include "artifact/sections.h"
#include "base/bytes.h"
#include "base/strings.h"
#include "espalier/espalier.h"
#include "formats/sections.h"
#include "model/serialize.h"

namespace espalier {
namespace {

void WriteSpec(const FormatSpec& spec, ByteWriter* writer) {
  writer->Write(static_cast<uint8_t>(spec.id));
  writer->Write(spec.strip_rows);
  writer->Write(spec.bank_cols);
  writer->Write(static_cast<uint8_t>(spec.type));
  writer->Write(spec.depth);
}

void WriteMetadata(Metadata metadata, ByteWriter* writer) {
  metadata["espalier"] = ESPALIER_VERSION;
  writer->Write(static_cast<uint32_t>(metadata.size()));
  for (const auto& [key, value] : metadata) {
    writer->WriteString(key);
    writer->WriteString(value);
  }
}

void WriteGraphWithoutMatrices(const Graph& graph, ByteWriter* writer) {
  Graph rest = graph;
  for (const std::string& bias : LeftOutIfZero(graph)) {
    if (CountNonzeros(graph.weights.at(bias).values) == 0) rest.weights.erase(bias);
  }
  std::erase_if(rest.weights, [](const auto& weight) { return weight.second.shape.size() == 2; });
  WriteGraph(rest, writer);
}

void WriteMatrixRecord(const MatrixPart& part, const EncodedMatrix& matrix, const Choice& choice,
                       ByteWriter* writer) {
  writer->WriteString(part.name);
  WriteSpec(matrix.spec, writer);
  writer->Write(matrix.rows);
  writer->Write(matrix.cols);
  writer->Write(static_cast<uint64_t>(matrix.bytes.size()));
  writer->WriteString(choice.kernel);
  writer->Write(choice.ns);
  writer->Write(static_cast<uint32_t>(choice.runners_up.size()));
  for (const Candidate& candidate : choice.runners_up) {
    WriteSpec(candidate.spec, writer);
    writer->Write(candidate.ns);
    writer->Write(candidate.bytes);
    writer->WriteString(candidate.reason);
  }
}

template <typename T>
void WriteValues(const std::vector<T>& values, ByteWriter* writer) {
  writer->WriteBytes(std::as_bytes(std::span<const T>(values)));
}

void WriteGolden(const std::optional<GoldenSample>& golden, ByteWriter* writer) {
  writer->Write(static_cast<uint8_t>(golden.has_value()));
  if (!golden.has_value()) return;
  writer->Write(golden->batch.steps);
  writer->Write(golden->batch.size);
  WriteValues(golden->batch.features, writer);
  WriteValues(golden->batch.ids, writer);
  WriteValues(golden->batch.lengths, writer);
  for (const std::vector<float>& output : golden->outputs) WriteValues(output, writer);
}

Result<AlignedBuffer<std::byte>> Write(const Graph& graph, const ArtifactContent& content) {
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(graph));
  ESPALIER_ASSIGN_OR_RETURN(std::vector<MatrixPart> parts, MatrixPartsOf(graph));
  std::vector<std::string> names;
  for (const MatrixPart& part : parts) names.push_back(part.name);
  for (const auto& [name, choice] : content.choices) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return InvalidArgument(
          StrCat("choice '", name, "': no such matrix", DidYouMean(name, names)));
    }
  }

  std::erase_if(parts, [&](const MatrixPart& part) {
    return part.is_plain && !content.choices.contains(part.name);
  });

  ByteWriter writer;
  writer.WriteBytes(std::as_bytes(std::span(kArtifactMagic)));
  const bool has_plain =
      std::any_of(parts.begin(), parts.end(), [](const MatrixPart& part) { return part.is_plain; });
  writer.Write(has_plain ? kPlainPartsVersion : kArtifactVersion);
  writer.Write(uint32_t{0});  // checksum, below
  writer.Write(uint64_t{0});  // total bytes, below
  WriteMetadata(content.metadata, &writer);
  WriteGraphWithoutMatrices(graph, &writer);
  writer.Write(static_cast<uint32_t>(parts.size()));
  std::vector<EncodedMatrix> matrices;
  for (const MatrixPart& part : parts) {
    const auto it = content.choices.find(part.name);
    Choice choice = it == content.choices.end() ? Choice() : it->second;
    if (it == content.choices.end() && part.by_column) choice.spec = kColumnsSpec;
    const Tensor& weight = graph.weights.at(part.weight);
    Result<EncodedMatrix> matrix = EncodeInSections(
        choice.spec, {weight.values.data() + part.first_row * part.cols, part.rows, part.cols},
        SectionsOf(graph, part), choice.x_scale);
    if (!matrix.ok()) return matrix.status().WithContext(part.name);
    WriteMatrixRecord(part, *matrix, choice, &writer);
    matrices.push_back(*std::move(matrix));
  }
  WriteGolden(content.golden, &writer);
  for (const EncodedMatrix& matrix : matrices) {
    writer.PadTo(kAlignmentBytes);
    writer.WriteBytes(std::span<const std::byte>(matrix.bytes));
  }
  constexpr std::byte kTail[kPaddingBytes] = {};
  writer.WriteBytes(kTail);
  writer.WriteAt(kTotalBytesOffset, static_cast<uint64_t>(writer.size()));
  writer.WriteAt(kCrcOffset, Crc32c(std::span(writer.bytes()).subspan(kTotalBytesOffset)));

  AlignedBuffer<std::byte> bytes(writer.size());
  std::memcpy(bytes.data(), writer.bytes().data(), writer.size());
  const Result<Artifact> read_back = Artifact::View({bytes.data(), bytes.size()});
  if (!read_back.ok()) return InvalidArgument("content: " + read_back.status().message());
  return bytes;
}

}  // namespace

Result<AlignedBuffer<std::byte>> WriteArtifact(const Graph& graph, const ArtifactContent& content) {
  try {
    return Write(graph, content);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(StrCat("artifact of graph '", graph.name, "': memory is exhausted"));
  }
}

}  // namespace espalier
