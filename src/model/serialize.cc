#include "model/serialize.h"

#include <cstring>

#include "base/strings.h"

namespace espalier {
namespace {

constexpr uint32_t kVersion = 6;
constexpr uint32_t kOldestVersion = 1;
constexpr size_t kMaxNameBytes = 4096;
constexpr uint32_t kMaxRank = 8;

Status ReadCount(ByteReader* reader, const char* field, size_t min_bytes_each, uint32_t* count) {
  ESPALIER_RETURN_IF_ERROR(reader->Read(field, count));
  if (*count > reader->remaining() / min_bytes_each) {
    return BadFormat(StrCat(field, ": ", *count, " do not fit in the ", reader->remaining(),
                            " bytes that are left"));
  }
  return Ok();
}

template <typename E>
Status ReadEnum(ByteReader* reader, const std::string& field, size_t count, E* out) {
  uint8_t value = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read(field, &value));
  if (value >= count) {
    return BadFormat(StrCat(field, ": less than ", count, " expected, ", int{value}, " found"));
  }
  *out = static_cast<E>(value);
  return Ok();
}

Status ReadNames(ByteReader* reader, const char* field, std::vector<std::string>* names) {
  uint32_t count = 0;
  ESPALIER_RETURN_IF_ERROR(ReadCount(reader, field, sizeof(uint32_t), &count));
  names->resize(count);
  for (std::string& name : *names) {
    ESPALIER_RETURN_IF_ERROR(reader->ReadString(field, kMaxNameBytes, &name));
  }
  return Ok();
}

void WriteNames(const std::vector<std::string>& names, ByteWriter* writer) {
  writer->Write(static_cast<uint32_t>(names.size()));
  for (const std::string& name : names) writer->WriteString(name);
}

Status ReadBanks(ByteReader* reader, Node* node) {
  uint8_t has_banks = 0;
  ESPALIER_RETURN_IF_ERROR(ReadEnum(reader, node->name + ".has_banks", 2, &has_banks));
  if (has_banks == 0) return Ok();
  UnitBanks& banks = node->banks.emplace();
  ESPALIER_RETURN_IF_ERROR(reader->Read("node.banks.size", &banks.size));
  return reader->Read("node.banks.top", &banks.top);
}

Status ReadRowRules(ByteReader* reader, Node* node) {
  uint8_t has_idle = 0, has_predicted = 0;
  ESPALIER_RETURN_IF_ERROR(ReadEnum(reader, node->name + ".has_idle", 2, &has_idle));
  if (has_idle != 0) {
    ESPALIER_RETURN_IF_ERROR(reader->Read("node.idle.epsilon", &node->idle.emplace().epsilon));
  }
  ESPALIER_RETURN_IF_ERROR(ReadEnum(reader, node->name + ".has_predicted", 2, &has_predicted));
  if (has_predicted == 0) return Ok();
  PredictedRows& predicted = node->predicted.emplace();
  ESPALIER_RETURN_IF_ERROR(reader->Read("node.predicted.size", &predicted.size));
  return reader->Read("node.predicted.epsilon", &predicted.epsilon);
}

Status ReadDynamic(ByteReader* reader, uint32_t version, Node* node) {
  uint8_t has_delta = 0, skips = 0;
  ESPALIER_RETURN_IF_ERROR(ReadEnum(reader, node->name + ".skip", 2, &skips));
  node->skip = skips != 0;
  ESPALIER_RETURN_IF_ERROR(ReadEnum(reader, node->name + ".has_delta", 2, &has_delta));
  if (has_delta != 0) {
    Delta& delta = node->delta.emplace();
    ESPALIER_RETURN_IF_ERROR(reader->Read("node.delta.x", &delta.x));
    ESPALIER_RETURN_IF_ERROR(reader->Read("node.delta.h", &delta.h));
    ESPALIER_RETURN_IF_ERROR(reader->Read("node.delta.bank", &delta.bank));
  }
  if (version < 5) return Ok();
  ESPALIER_RETURN_IF_ERROR(ReadBanks(reader, node));
  return version < 6 ? Ok() : ReadRowRules(reader, node);
}

Status ReadNode(ByteReader* reader, uint32_t version, Node* node) {
  constexpr size_t kOpCount = static_cast<size_t>(Op::kSlice) + 1;
  ESPALIER_RETURN_IF_ERROR(reader->ReadString("node.name", kMaxNameBytes, &node->name));
  ESPALIER_RETURN_IF_ERROR(ReadEnum(reader, node->name + ".op", kOpCount, &node->op));
  ESPALIER_RETURN_IF_ERROR(ReadNames(reader, "node.inputs", &node->inputs));
  ESPALIER_RETURN_IF_ERROR(reader->ReadString("node.output", kMaxNameBytes, &node->output));
  ESPALIER_RETURN_IF_ERROR(ReadEnum(reader, node->name + ".cell", kCellCount, &node->cell));
  ESPALIER_RETURN_IF_ERROR(ReadEnum(reader, node->name + ".direction", 3, &node->direction));
  ESPALIER_RETURN_IF_ERROR(reader->Read("node.hidden_size", &node->hidden_size));
  ESPALIER_RETURN_IF_ERROR(reader->Read("node.recurrent_dropout", &node->recurrent_dropout));
  ESPALIER_RETURN_IF_ERROR(reader->Read("node.rate", &node->rate));
  switch (node->op) {
    case Op::kRecurrent:
      if (version < 2) return Ok();
      ESPALIER_RETURN_IF_ERROR(reader->Read("node.projection_size", &node->projection_size));
      if (version < 3) return Ok();
      ESPALIER_RETURN_IF_ERROR(reader->ReadString("node.end_c", kMaxNameBytes, &node->end_c));
      return version < 4 ? Ok() : ReadDynamic(reader, version, node);
    case Op::kGemm:
      if (version < 3) return Ok();
      return reader->ReadString("node.tied", kMaxNameBytes, &node->tied);
    case Op::kConv1d:
      ESPALIER_RETURN_IF_ERROR(reader->Read("node.kernel_size", &node->kernel_size));
      return reader->Read("node.dilation", &node->dilation);
    case Op::kLayerNorm: return reader->Read("node.epsilon", &node->epsilon);
    case Op::kSlice:
      ESPALIER_RETURN_IF_ERROR(reader->Read("node.first", &node->first));
      return reader->Read("node.count", &node->count);
    default: return Ok();
  }
}

void WriteNode(const Node& node, ByteWriter* writer) {
  writer->WriteString(node.name);
  writer->Write(static_cast<uint8_t>(node.op));
  WriteNames(node.inputs, writer);
  writer->WriteString(node.output);
  writer->Write(static_cast<uint8_t>(node.cell));
  writer->Write(static_cast<uint8_t>(node.direction));
  writer->Write(node.hidden_size);
  writer->Write(node.recurrent_dropout);
  writer->Write(node.rate);
  switch (node.op) {
    case Op::kRecurrent:
      writer->Write(node.projection_size);
      writer->WriteString(node.end_c);
      writer->Write(static_cast<uint8_t>(node.skip));
      writer->Write(static_cast<uint8_t>(node.delta.has_value()));
      if (node.delta.has_value()) {
        writer->Write(node.delta->x);
        writer->Write(node.delta->h);
        writer->Write(node.delta->bank);
      }
      writer->Write(static_cast<uint8_t>(node.banks.has_value()));
      if (node.banks.has_value()) {
        writer->Write(node.banks->size);
        writer->Write(node.banks->top);
      }
      writer->Write(static_cast<uint8_t>(node.idle.has_value()));
      if (node.idle.has_value()) writer->Write(node.idle->epsilon);
      writer->Write(static_cast<uint8_t>(node.predicted.has_value()));
      if (!node.predicted.has_value()) return;
      writer->Write(node.predicted->size);
      writer->Write(node.predicted->epsilon);
      return;
    case Op::kGemm: writer->WriteString(node.tied); return;
    case Op::kConv1d:
      writer->Write(node.kernel_size);
      writer->Write(node.dilation);
      return;
    case Op::kLayerNorm: writer->Write(node.epsilon); return;
    case Op::kSlice:
      writer->Write(node.first);
      writer->Write(node.count);
      return;
    default: return;
  }
}

Status ReadTensor(ByteReader* reader, std::string* name, Tensor* tensor) {
  ESPALIER_RETURN_IF_ERROR(reader->ReadString("weight.name", kMaxNameBytes, name));
  uint32_t rank = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read(*name + ".rank", &rank));
  if (rank > kMaxRank) {
    return BadFormat(StrCat(*name, ".rank: at most ", kMaxRank, " expected, ", rank, " found"));
  }
  tensor->shape.resize(rank);
  uint64_t elements = 1;
  for (int64_t& dim : tensor->shape) {
    ESPALIER_RETURN_IF_ERROR(reader->Read(*name + ".dims", &dim));
    // The product is bounded by what is left to read, so it cannot overflow.
    const uint64_t left = reader->remaining() / sizeof(float);
    if (dim < 0 || (dim > 0 && elements > left / static_cast<uint64_t>(dim))) {
      return BadFormat(StrCat(*name, ".dims: dimension ", dim, " does not fit in the ",
                              reader->remaining(), " bytes that are left"));
    }
    elements *= static_cast<uint64_t>(dim);
  }
  std::span<const std::byte> bytes;
  ESPALIER_RETURN_IF_ERROR(reader->ReadBytes(*name, elements * sizeof(float), &bytes));
  tensor->values.resize(elements);
  if (elements > 0) std::memcpy(tensor->values.data(), bytes.data(), bytes.size());
  return Ok();
}

}  // namespace

void WriteTensors(const TensorStore& tensors, ByteWriter* writer) {
  writer->Write(static_cast<uint32_t>(tensors.size()));
  for (const auto& [name, tensor] : tensors) {
    writer->WriteString(name);
    writer->Write(static_cast<uint32_t>(tensor.shape.size()));
    for (const int64_t dim : tensor.shape) writer->Write(dim);
    writer->WriteBytes(std::as_bytes(std::span<const float>(tensor.values)));
  }
}

Result<TensorStore> ReadTensors(ByteReader* reader) {
  uint32_t count = 0;
  ESPALIER_RETURN_IF_ERROR(ReadCount(reader, "weights", 2 * sizeof(uint32_t), &count));
  TensorStore tensors;
  for (uint32_t i = 0; i < count; ++i) {
    std::string name;
    Tensor tensor;
    ESPALIER_RETURN_IF_ERROR(ReadTensor(reader, &name, &tensor));
    if (!tensors.emplace(name, std::move(tensor)).second) {
      return BadFormat("weight '" + name + "' is stored twice");
    }
  }
  return tensors;
}

void WriteGraph(const Graph& graph, ByteWriter* writer) {
  writer->Write(kVersion);
  writer->WriteString(graph.name);
  writer->Write(static_cast<uint32_t>(graph.inputs.size()));
  for (const GraphInput& input : graph.inputs) {
    writer->WriteString(input.name);
    writer->Write(static_cast<uint8_t>(input.type.element));
    writer->Write(static_cast<uint8_t>(input.type.layout));
    writer->Write(input.type.features);
  }
  writer->Write(static_cast<uint32_t>(graph.nodes.size()));
  for (const Node& node : graph.nodes) WriteNode(node, writer);
  WriteNames(graph.outputs, writer);
  WriteTensors(graph.weights, writer);
}

Result<Graph> ReadGraph(ByteReader* reader) {
  Graph graph;
  uint32_t version = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read("graph.version", &version));
  if (version < kOldestVersion || version > kVersion) {
    return BadFormat(StrCat("graph.version: ", kOldestVersion, " to ", kVersion, " expected, ",
                            version, " found"));
  }
  ESPALIER_RETURN_IF_ERROR(reader->ReadString("graph.name", kMaxNameBytes, &graph.name));
  uint32_t count = 0;
  ESPALIER_RETURN_IF_ERROR(ReadCount(reader, "graph.inputs", 14, &count));
  graph.inputs.resize(count);
  for (GraphInput& input : graph.inputs) {
    ESPALIER_RETURN_IF_ERROR(reader->ReadString("input.name", kMaxNameBytes, &input.name));
    ESPALIER_RETURN_IF_ERROR(ReadEnum(reader, "input.element", 2, &input.type.element));
    ESPALIER_RETURN_IF_ERROR(ReadEnum(reader, "input.layout", 2, &input.type.layout));
    ESPALIER_RETURN_IF_ERROR(reader->Read("input.features", &input.type.features));
  }
  ESPALIER_RETURN_IF_ERROR(ReadCount(reader, "graph.nodes", 39, &count));
  graph.nodes.resize(count);
  for (Node& node : graph.nodes) ESPALIER_RETURN_IF_ERROR(ReadNode(reader, version, &node));
  ESPALIER_RETURN_IF_ERROR(ReadNames(reader, "graph.outputs", &graph.outputs));
  ESPALIER_ASSIGN_OR_RETURN(graph.weights, ReadTensors(reader));
  return graph;
}

}  // namespace espalier
