// The one door of the .esp file: everything that it says is checked here, field by field.
#include <cmath>
#include <cstring>
#include <new>
#include <set>

#include "artifact/artifact.h"
#include "artifact/layout.h"
#include "base/bytes.h"
#include "base/strings.h"
#include "formats/row_scales.h"
#include "model/serialize.h"

namespace espalier {
namespace {

// Bounds what a session allocates for one row of a value; graph.cc bounds hidden_size the same.
constexpr int64_t kMaxFeatures = int64_t{1} << 24;

Status Wrong(const std::string& field, const std::string& expected, const std::string& found) {
  return BadFormat(StrCat(field, ": ", expected, " expected, ", found, " found"));
}

bool IsKnownFormat(uint8_t id) {
  switch (id) {
#define ESPALIER_FORMAT(name, number) case number:
#include "formats/formats.inc"
#undef ESPALIER_FORMAT
    return true;
    default: return false;
  }
}

Status CheckHeader(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  std::array<uint8_t, 8> magic{};
  uint32_t version = 0;
  uint32_t crc = 0;
  uint64_t total_bytes = 0;
  ESPALIER_RETURN_IF_ERROR(reader.Read("header.magic", &magic));
  if (magic != kArtifactMagic) return BadFormat("header.magic: this is not an .esp file");
  ESPALIER_RETURN_IF_ERROR(reader.Read("header.version", &version));
  if (version != kArtifactVersion && version != kPlainPartsVersion) {
    return Unsupported(StrCat(
        "header.version: ", kArtifactVersion, " or ", kPlainPartsVersion, " expected, ", version,
        " found; ",
        version < kArtifactVersion ? "compile the network again" : "a newer espalier is needed"));
  }
  ESPALIER_RETURN_IF_ERROR(reader.Read("header.crc", &crc));
  ESPALIER_RETURN_IF_ERROR(reader.Read("header.total_bytes", &total_bytes));
  if (total_bytes != bytes.size()) {
    return Wrong("header.total_bytes", StrCat(bytes.size(), " (what is there)"),
                 StrCat(total_bytes));
  }
  const uint32_t actual = Crc32c(bytes.subspan(kTotalBytesOffset));
  if (crc != actual) {
    return BadFormat(
        StrCat("header.crc: the file is damaged (checksum ", crc, " kept, ", actual, " computed)"));
  }
  return Ok();
}

// Reads a u32 count of items of at least `min_bytes_each`.
Status ReadCount(ByteReader* reader, const std::string& field, size_t min_bytes_each,
                 uint32_t* count) {
  ESPALIER_RETURN_IF_ERROR(reader->Read(field, count));
  if (*count <= reader->remaining() / min_bytes_each) return Ok();
  return Wrong(field, StrCat("at most ", reader->remaining() / min_bytes_each, " items"),
               StrCat(*count));
}

Status ReadMetadata(ByteReader* reader, Metadata* metadata) {
  uint32_t count = 0;
  ESPALIER_RETURN_IF_ERROR(ReadCount(reader, "metadata", 8, &count));
  for (uint32_t i = 0; i < count; ++i) {
    std::string key;
    std::string value;
    ESPALIER_RETURN_IF_ERROR(reader->ReadString("metadata.key", kMaxTextBytes, &key));
    ESPALIER_RETURN_IF_ERROR(reader->ReadString("metadata." + key, kMaxTextBytes, &value));
    if (!metadata->emplace(key, value).second)
      return BadFormat("metadata." + key + ": found twice");
  }
  return Ok();
}

Status ReadSpec(ByteReader* reader, const std::string& field, FormatSpec* spec) {
  uint8_t id = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read(field + ".format", &id));
  if (!IsKnownFormat(id)) {
    return Unsupported(StrCat(field, ".format: a format that this build knows expected, number ",
                              int{id}, " found"));
  }
  spec->id = static_cast<FormatId>(id);
  ESPALIER_RETURN_IF_ERROR(reader->Read(field + ".strip_rows", &spec->strip_rows));
  ESPALIER_RETURN_IF_ERROR(reader->Read(field + ".bank_cols", &spec->bank_cols));
  uint8_t type = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read(field + ".type", &type));
  if (type > static_cast<uint8_t>(kLastWeightType)) {
    return Unsupported(StrCat(field,
                              ".type: a type of weights that this build knows expected, number ",
                              int{type}, " found"));
  }
  spec->type = static_cast<WeightType>(type);
  ESPALIER_RETURN_IF_ERROR(reader->Read(field + ".depth", &spec->depth));
  return Ok();
}

Status ReadNs(ByteReader* reader, const std::string& field, double* ns) {
  ESPALIER_RETURN_IF_ERROR(reader->Read(field, ns));
  if (std::isfinite(*ns) && *ns >= 0.0) return Ok();
  return Wrong(field, "a time >= 0", StrCat(*ns));
}

Status ReadDim(ByteReader* reader, const std::string& field, int64_t limit, int64_t* dim) {
  ESPALIER_RETURN_IF_ERROR(reader->Read(field, dim));
  if (*dim >= 1 && *dim <= limit) return Ok();
  return Wrong(field, StrCat("1 to ", limit), StrCat(*dim));
}

struct Record {
  std::string name;
  int64_t rows = 0;
  int64_t cols = 0;
  uint64_t size_bytes = 0;
  Choice choice;
};

Status ReadRecord(ByteReader* reader, Record* record) {
  ESPALIER_RETURN_IF_ERROR(reader->ReadString("matrix.name", kMaxTextBytes, &record->name));
  const std::string& name = record->name;
  Choice& choice = record->choice;
  ESPALIER_RETURN_IF_ERROR(ReadSpec(reader, name, &choice.spec));
  // A weight of G gates has at most 8 times as many rows as its layer has units.
  ESPALIER_RETURN_IF_ERROR(ReadDim(reader, name + ".rows", 8 * kMaxFeatures, &record->rows));
  ESPALIER_RETURN_IF_ERROR(ReadDim(reader, name + ".cols", kMaxFeatures, &record->cols));
  ESPALIER_RETURN_IF_ERROR(reader->Read(name + ".bytes", &record->size_bytes));
  ESPALIER_RETURN_IF_ERROR(reader->ReadString(name + ".kernel", kMaxTextBytes, &choice.kernel));
  ESPALIER_RETURN_IF_ERROR(ReadNs(reader, name + ".ns", &choice.ns));
  uint32_t count = 0;
  ESPALIER_RETURN_IF_ERROR(ReadCount(reader, name + ".candidates", 29, &count));
  choice.runners_up.resize(count);
  for (Candidate& candidate : choice.runners_up) {
    const std::string field = name + ".candidate";
    ESPALIER_RETURN_IF_ERROR(ReadSpec(reader, field, &candidate.spec));
    ESPALIER_RETURN_IF_ERROR(ReadNs(reader, field + ".ns", &candidate.ns));
    ESPALIER_RETURN_IF_ERROR(reader->Read(field + ".bytes", &candidate.bytes));
    ESPALIER_RETURN_IF_ERROR(
        reader->ReadString(field + ".reason", kMaxTextBytes, &candidate.reason));
  }
  return Ok();
}

// Every weight that may not be left out must be there with its shape, and vectors (biases) with
// finite values.
Status CheckVectors(const Graph& graph, const std::map<std::string, std::vector<int64_t>>& shapes) {
  for (const auto& [name, tensor] : graph.weights) {
    const auto it = shapes.find(name);
    if (it == shapes.end()) return BadFormat("weight '" + name + "': belongs to no node");
    if (tensor.shape != it->second) {
      return Wrong(name, ShapeString(it->second), ShapeString(tensor.shape));
    }
    if (tensor.shape.size() == 2 && !tensor.values.empty()) {
      return BadFormat("weight '" + name + "': stored as a vector and as a matrix");
    }
    for (const float value : tensor.values) {
      if (!std::isfinite(value)) return Wrong(name, "finite values", StrCat(value));
    }
  }
  const std::vector<std::string> names = LeftOutIfZero(graph);
  const std::set<std::string> left_out(names.begin(), names.end());
  for (const auto& [name, shape] : shapes) {
    if (graph.weights.contains(name) || left_out.contains(name)) continue;
    return Wrong(name, ShapeString(shape), "nothing");
  }
  return Ok();
}

Status CheckRecord(const MatrixPart& part, const Record& record) {
  if (record.name != part.name) return Wrong("matrix.name", part.name, "'" + record.name + "'");
  if (part.by_column && record.choice.spec.id != FormatId::k_columns) {
    return Wrong(part.name, "a format by columns", FormatName(record.choice.spec));
  }
  if (part.is_plain && record.choice.spec.id == FormatId::k_columns) {
    return Wrong(part.name, "a format by rows", FormatName(record.choice.spec));
  }
  if (record.rows == part.rows && record.cols == part.cols) return Ok();
  return Wrong(part.name, ShapeString({part.rows, part.cols}),
               ShapeString({record.rows, record.cols}));
}

Status ReadRecords(ByteReader* reader, std::vector<Record>* records) {
  uint32_t count = 0;
  ESPALIER_RETURN_IF_ERROR(ReadCount(reader, "matrices", 53, &count));
  records->resize(count);
  for (Record& record : *records) ESPALIER_RETURN_IF_ERROR(ReadRecord(reader, &record));
  return Ok();
}

// Gives the graph the shapes of its matrices, checks it whole, and pairs records with parts.
Status CheckStructure(const std::vector<Record>& records, Graph* graph,
                      std::vector<MatrixPart>* parts) {
  for (const auto& [name, tensor] : graph->weights) {
    if (tensor.shape.size() != 1) return Wrong(name, "a vector", ShapeString(tensor.shape));
  }
  // How wide a Gemm or an Embedding is, only its matrix says; they are never cut in parts.
  for (const Record& record : records) {
    const Node* owner = FindOwner(*graph, record.name);
    if (owner == nullptr || owner->op == Op::kRecurrent) continue;
    graph->weights[record.name].shape = {record.rows, record.cols};
  }
  ESPALIER_ASSIGN_OR_RETURN(*parts, MatrixPartsOf(*graph));
  std::erase_if(*parts, [&](const MatrixPart& part) {
    const auto is_it = [&](const Record& record) { return record.name == part.name; };
    return part.is_plain && std::none_of(records.begin(), records.end(), is_it);
  });
  if (records.size() != parts->size()) {
    return Wrong("matrices", StrCat(parts->size()), StrCat(records.size()));
  }
  ESPALIER_ASSIGN_OR_RETURN(const auto shapes, InferWeightShapes(*graph));
  for (size_t i = 0; i < records.size(); ++i) {
    ESPALIER_RETURN_IF_ERROR(CheckRecord((*parts)[i], records[i]));
    const std::string& weight = (*parts)[i].weight;
    graph->weights[weight].shape = shapes.at(weight);
  }
  ESPALIER_RETURN_IF_ERROR(CheckVectors(*graph, shapes));
  // Each as large as the bias_ih that the file has.
  for (const std::string& bias : LeftOutIfZero(*graph)) {
    if (!graph->weights.contains(bias)) graph->weights[bias] = Tensor(shapes.at(bias));
  }
  return Ok();
}

Status CheckTypes(const Graph& graph, const std::map<std::string, ValueType>& types) {
  for (const auto& [name, type] : types) {
    if (type.features > kMaxFeatures) {
      return Wrong("value '" + name + "'", StrCat("at most ", kMaxFeatures, " features"),
                   StrCat(type.features));
    }
  }
  if (graph.outputs.empty()) return Wrong("graph.outputs", "at least 1", "0");
  for (const std::string& output : graph.outputs) {
    if (!types.contains(output)) return BadFormat("output '" + output + "': made by no node");
  }
  return Ok();
}

template <typename T>
Status ReadValues(ByteReader* reader, const std::string& field, uint64_t count,
                  std::vector<T>* values) {
  if (count > reader->remaining() / sizeof(T)) {
    return Wrong(field, StrCat(count, " values"),
                 StrCat("room for ", reader->remaining() / sizeof(T)));
  }
  std::span<const std::byte> bytes;
  ESPALIER_RETURN_IF_ERROR(reader->ReadBytes(field, count * sizeof(T), &bytes));
  values->resize(count);
  if (count > 0) std::memcpy(values->data(), bytes.data(), bytes.size());
  return Ok();
}

Status ReadGolden(ByteReader* reader, const Graph& graph,
                  const std::map<std::string, ValueType>& types,
                  std::optional<GoldenSample>* golden) {
  uint8_t present = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read("golden", &present));
  if (present > 1) return Wrong("golden", "0 or 1", StrCat(int{present}));
  if (present == 0) return Ok();
  GoldenSample sample;
  Batch& batch = sample.batch;
  constexpr int64_t kMaxRows = int64_t{1} << 16;  // it is a small sample
  ESPALIER_RETURN_IF_ERROR(ReadDim(reader, "golden.T", kMaxRows, &batch.steps));
  ESPALIER_RETURN_IF_ERROR(ReadDim(reader, "golden.B", kMaxRows, &batch.size));
  const ValueType& input = graph.inputs[0].type;
  const auto rows = static_cast<uint64_t>(batch.steps * batch.size);
  if (input.element == Element::kF32) {
    ESPALIER_RETURN_IF_ERROR(ReadValues(
        reader, "golden.features", rows * static_cast<uint64_t>(input.features), &batch.features));
  } else {
    ESPALIER_RETURN_IF_ERROR(ReadValues(reader, "golden.ids", rows, &batch.ids));
  }
  ESPALIER_RETURN_IF_ERROR(
      ReadValues(reader, "golden.lengths", static_cast<uint64_t>(batch.size), &batch.lengths));
  ESPALIER_RETURN_IF_ERROR(ValidateBatch(graph, batch).WithContext("golden"));
  for (const std::string& name : graph.outputs) {
    const ValueType& type = types.at(name);
    const int64_t steps = type.layout == Layout::kSequence ? batch.steps : 1;
    sample.outputs.emplace_back();
    ESPALIER_RETURN_IF_ERROR(ReadValues(reader, "golden." + name,
                                        static_cast<uint64_t>(steps * batch.size * type.features),
                                        &sample.outputs.back()));
  }
  *golden = std::move(sample);
  return Ok();
}

Status ReadMatrix(ByteReader* reader, Record record, MatrixPart part,
                  std::vector<ArtifactMatrix>* matrices) {
  const std::string field = record.name + ".bytes";
  ESPALIER_RETURN_IF_ERROR(reader->Seek(field, RoundUp(reader->offset(), kAlignmentBytes)));
  EncodedView view{record.choice.spec, record.rows, record.cols, {}};
  ESPALIER_RETURN_IF_ERROR(reader->ReadBytes(field, record.size_bytes, &view.bytes));
  ESPALIER_RETURN_IF_ERROR(Validate(view).WithContext(record.name));
  if (view.spec.type == WeightType::kI8) record.choice.x_scale = ViewRowScales(view).x_scale;
  matrices->push_back({std::move(part), view, std::move(record.choice)});
  return Ok();
}

}  // namespace

Result<Artifact> Artifact::Parse(std::unique_ptr<Owner> owner, std::span<const std::byte> bytes) {
  try {
    Artifact artifact;
    artifact.owner_ = std::move(owner);
    artifact.bytes_ = bytes;
    const auto parse = [&]() -> Status {
      ESPALIER_RETURN_IF_ERROR(CheckHeader(bytes));
      ByteReader reader(bytes);
      ESPALIER_RETURN_IF_ERROR(reader.Seek("metadata", kHeaderBytes));
      ESPALIER_RETURN_IF_ERROR(ReadMetadata(&reader, &artifact.metadata_));
      ESPALIER_ASSIGN_OR_RETURN(artifact.graph_, ReadGraph(&reader));
      std::vector<Record> records;
      std::vector<MatrixPart> parts;
      ESPALIER_RETURN_IF_ERROR(ReadRecords(&reader, &records));
      ESPALIER_RETURN_IF_ERROR(CheckStructure(records, &artifact.graph_, &parts));
      ESPALIER_ASSIGN_OR_RETURN(artifact.types_, InferTypes(artifact.graph_));
      ESPALIER_RETURN_IF_ERROR(CheckTypes(artifact.graph_, artifact.types_));
      artifact.states_ = StatesOf(artifact.graph_);
      ESPALIER_RETURN_IF_ERROR(
          ReadGolden(&reader, artifact.graph_, artifact.types_, &artifact.golden_));
      for (size_t i = 0; i < records.size(); ++i) {
        ESPALIER_RETURN_IF_ERROR(
            ReadMatrix(&reader, std::move(records[i]), std::move(parts[i]), &artifact.matrices_));
      }
      std::span<const std::byte> tail;
      ESPALIER_RETURN_IF_ERROR(reader.ReadBytes("tail", kPaddingBytes, &tail));
      if (reader.remaining() == 0) return Ok();
      return Wrong("tail", StrCat(kPaddingBytes, " bytes after the last matrix"),
                   StrCat(reader.remaining(), " more"));
    };
    const Status status = parse();
    if (status.ok()) return artifact;
    // What the graph's own checks call an invalid argument is here a file that is not right.
    const bool is_ours = status.code() == Code::kInvalidArgument;
    return Status(is_ours ? Code::kBadFormat : status.code(), status.message());
  } catch (const std::bad_alloc&) {
    return OutOfMemory("artifact: memory is exhausted");
  }
}

}  // namespace espalier
