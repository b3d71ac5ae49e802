#include "train/checkpoint.h"

#include <cstring>

#include "base/bytes.h"
#include "base/file.h"
#include "base/strings.h"
#include "model/serialize.h"

namespace espalier {
namespace {

constexpr char kMagic[8] = {'E', 'S', 'P', 'T', 'R', 'A', 'I', 'N'};
constexpr uint32_t kVersion = 4;
constexpr size_t kMaxTextBytes = 1 << 16;
constexpr uint32_t kMaxRank = 8;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t checksum;
  uint64_t payload_bytes;
};
static_assert(sizeof(Header) == 24);

template <typename T>
void WriteVector(const std::vector<T>& values, ByteWriter* writer) {
  writer->Write(static_cast<uint64_t>(values.size()));
  writer->WriteBytes(std::as_bytes(std::span<const T>(values)));
}

// Reads `count` elements; the reader bounds what a damaged count can ask for.
template <typename T>
Status ReadElements(ByteReader* reader, const std::string& field, uint64_t count,
                    std::vector<T>* values) {
  if (count > reader->remaining() / sizeof(T)) {
    return BadFormat(StrCat(field, ": ", count, " elements do not fit in the ", reader->remaining(),
                            " bytes that are left"));
  }
  std::span<const std::byte> bytes;
  ESPALIER_RETURN_IF_ERROR(reader->ReadBytes(field, count * sizeof(T), &bytes));
  values->resize(count);
  if (count > 0) std::memcpy(values->data(), bytes.data(), bytes.size());
  return Ok();
}

template <typename T>
Status ReadVector(ByteReader* reader, const std::string& field, std::vector<T>* values) {
  uint64_t count = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read(field, &count));
  return ReadElements(reader, field, count, values);
}

void WriteMasks(const MaskSet& masks, ByteWriter* writer) {
  writer->Write(static_cast<uint32_t>(masks.size()));
  for (const auto& [name, mask] : masks) {
    writer->WriteString(name);
    writer->Write(static_cast<uint32_t>(mask.shape.size()));
    for (const int64_t dim : mask.shape) writer->Write(dim);
    writer->WriteBytes(std::as_bytes(std::span<const uint8_t>(mask.keep)));
  }
}

Status ReadMasks(ByteReader* reader, MaskSet* masks) {
  uint32_t count = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read("masks", &count));
  for (uint32_t i = 0; i < count; ++i) {
    std::string name;
    ESPALIER_RETURN_IF_ERROR(reader->ReadString("mask.name", kMaxTextBytes, &name));
    const std::string field = "mask '" + name + "'";
    uint32_t rank = 0;
    ESPALIER_RETURN_IF_ERROR(reader->Read(field + ".rank", &rank));
    if (rank > kMaxRank) {
      return BadFormat(StrCat(field, ".rank: at most ", kMaxRank, " expected, ", rank, " found"));
    }
    Mask mask;
    uint64_t elements = 1;
    for (uint32_t axis = 0; axis < rank; ++axis) {
      int64_t dim = 0;
      ESPALIER_RETURN_IF_ERROR(reader->Read(field + ".dims", &dim));
      if (dim < 1 || elements > reader->remaining() / static_cast<uint64_t>(dim)) {
        return BadFormat(StrCat(field, ".dims: dimension ", dim, " does not fit in the ",
                                reader->remaining(), " bytes that are left"));
      }
      elements *= static_cast<uint64_t>(dim);
      mask.shape.push_back(dim);
    }
    ESPALIER_RETURN_IF_ERROR(ReadElements(reader, field, elements, &mask.keep));
    (*masks)[name] = std::move(mask);
  }
  return Ok();
}

void WriteIdentity(const TrainIdentity& identity, ByteWriter* writer) {
  writer->Write(static_cast<uint32_t>(identity.size()));
  for (const auto& [key, value] : identity) {
    writer->WriteString(key);
    writer->WriteString(value);
  }
}

Status CheckIdentity(ByteReader* reader, const TrainIdentity& identity) {
  uint32_t count = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read("identity", &count));
  for (uint32_t i = 0; i < count; ++i) {
    std::string key, value;
    ESPALIER_RETURN_IF_ERROR(reader->ReadString("identity.key", kMaxTextBytes, &key));
    ESPALIER_RETURN_IF_ERROR(reader->ReadString("identity.value", kMaxTextBytes, &value));
    if (i < identity.size() && identity[i] == std::pair(key, value)) continue;
    return InvalidArgument(StrCat(
        "it belongs to another training: ", i < identity.size() ? identity[i].first : "nothing",
        " ", i < identity.size() ? identity[i].second : "", " expected, ",
        i < identity.size() && identity[i].first == key ? "" : key + " ", value, " found"));
  }
  if (count == identity.size()) return Ok();
  return InvalidArgument(StrCat("it belongs to another training: ", identity[count].first, " ",
                                identity[count].second, " expected, nothing found"));
}

void WriteOptimizer(const Optimizer::State& state, ByteWriter* writer) {
  writer->Write(state.steps);
  WriteVector(state.first, writer);
  WriteVector(state.second, writer);
  writer->Write(static_cast<uint32_t>(state.averages));
}

Status ReadOptimizer(ByteReader* reader, const std::string& field, Optimizer::State* state) {
  ESPALIER_RETURN_IF_ERROR(reader->Read(field + ".steps", &state->steps));
  ESPALIER_RETURN_IF_ERROR(ReadVector(reader, field + ".first", &state->first));
  ESPALIER_RETURN_IF_ERROR(ReadVector(reader, field + ".second", &state->second));
  uint32_t averages = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read(field + ".averages", &averages));
  state->averages = averages != 0;
  return Ok();
}

void WriteState(const TrainState& state, ByteWriter* writer) {
  WriteGraph(state.graph, writer);
  WriteOptimizer(state.optimizer, writer);
  WriteMasks(state.masks, writer);
  writer->Write(state.pruner_last_step);
  WriteMasks(state.pruner_masks, writer);
  const Regularization::State& regularization = state.regularization;
  writer->Write(static_cast<uint32_t>(regularization.parameters.size()));
  for (size_t i = 0; i < regularization.parameters.size(); ++i) {
    WriteVector(regularization.parameters[i], writer);
    WriteOptimizer(regularization.optimizers[i], writer);
  }
  writer->Write(regularization.rng.state());
  WriteVector(state.movement, writer);
  WriteVector(state.momentum, writer);
  writer->Write(state.step);
  writer->Write(state.epoch);
  writer->Write(state.epoch_batches);
  writer->Write(state.order.state());
  writer->Write(state.dropout.state());
  writer->Write(state.loss_sum);
  writer->Write(state.labels);
  writer->Write(state.epoch_seconds);
  writer->Write(static_cast<uint32_t>(state.epochs.size()));
  for (const TrainEpoch& epoch : state.epochs) writer->Write(epoch);
  writer->Write(state.best_epoch);
  writer->Write(state.best_metric);
  if (state.best_epoch > 0) WriteGraph(state.best, writer);
}

Status ReadRng(ByteReader* reader, const char* field, Rng* rng) {
  std::array<uint64_t, 4> words{};
  ESPALIER_RETURN_IF_ERROR(reader->Read(field, &words));
  rng->set_state(words);
  return Ok();
}

Status ReadRegularization(ByteReader* reader, Regularization::State* state) {
  uint32_t count = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read("regularizers", &count));
  for (uint32_t i = 0; i < count; ++i) {
    const std::string field = StrCat("regularizer ", i);
    ESPALIER_RETURN_IF_ERROR(
        ReadVector(reader, field + ".parameters", &state->parameters.emplace_back()));
    ESPALIER_RETURN_IF_ERROR(ReadOptimizer(reader, field, &state->optimizers.emplace_back()));
  }
  return ReadRng(reader, "regularizers.rng", &state->rng);
}

Status ReadState(ByteReader* reader, TrainState* state) {
  ESPALIER_ASSIGN_OR_RETURN(state->graph, ReadGraph(reader));
  ESPALIER_RETURN_IF_ERROR(ReadOptimizer(reader, "optimizer", &state->optimizer));
  ESPALIER_RETURN_IF_ERROR(ReadMasks(reader, &state->masks));
  ESPALIER_RETURN_IF_ERROR(reader->Read("pruner.last_step", &state->pruner_last_step));
  ESPALIER_RETURN_IF_ERROR(ReadMasks(reader, &state->pruner_masks));
  ESPALIER_RETURN_IF_ERROR(ReadRegularization(reader, &state->regularization));
  ESPALIER_RETURN_IF_ERROR(ReadVector(reader, "movement", &state->movement));
  ESPALIER_RETURN_IF_ERROR(ReadVector(reader, "momentum", &state->momentum));
  ESPALIER_RETURN_IF_ERROR(reader->Read("step", &state->step));
  ESPALIER_RETURN_IF_ERROR(reader->Read("epoch", &state->epoch));
  ESPALIER_RETURN_IF_ERROR(reader->Read("epoch_batches", &state->epoch_batches));
  ESPALIER_RETURN_IF_ERROR(ReadRng(reader, "order", &state->order));
  ESPALIER_RETURN_IF_ERROR(ReadRng(reader, "dropout", &state->dropout));
  ESPALIER_RETURN_IF_ERROR(reader->Read("loss_sum", &state->loss_sum));
  ESPALIER_RETURN_IF_ERROR(reader->Read("labels", &state->labels));
  ESPALIER_RETURN_IF_ERROR(reader->Read("epoch_seconds", &state->epoch_seconds));
  uint32_t epochs = 0;
  ESPALIER_RETURN_IF_ERROR(reader->Read("epochs", &epochs));
  ESPALIER_RETURN_IF_ERROR(ReadElements(reader, "epochs", epochs, &state->epochs));
  ESPALIER_RETURN_IF_ERROR(reader->Read("best_epoch", &state->best_epoch));
  ESPALIER_RETURN_IF_ERROR(reader->Read("best_metric", &state->best_metric));
  if (state->best_epoch > 0) {
    ESPALIER_ASSIGN_OR_RETURN(state->best, ReadGraph(reader));
  }
  return Ok();
}

}  // namespace

bool IsTrainingOf(const Graph& start, const Graph& graph, bool learns_thresholds) {
  Graph expected = start;
  expected.weights = graph.weights;
  for (size_t i = 0; learns_thresholds && i < graph.nodes.size(); ++i) {
    if (i == expected.nodes.size()) return false;
    std::optional<Delta>& delta = expected.nodes[i].delta;
    const std::optional<Delta>& learned = graph.nodes[i].delta;
    if (delta.has_value() && learned.has_value()) *delta = {learned->x, learned->h, delta->bank};
  }
  return graph == expected && ValidateGraph(graph).ok();
}

bool IsLater(const TrainState& start, const TrainState& state, const TrainOptions& options,
             int64_t steps_per_epoch) {
  const auto fits = [&](const Graph& graph) {
    return IsTrainingOf(start.graph, graph, options.send_penalty > 0.0);
  };
  return fits(state.graph) && (state.best_epoch == 0 || fits(state.best)) &&
         state.optimizer.first.size() == start.optimizer.first.size() &&
         state.optimizer.second.size() == start.optimizer.second.size() &&
         state.movement.size() == start.movement.size() &&
         state.momentum.size() == start.momentum.size() &&
         (state.pruner_last_step == kNoPruner) == (start.pruner_last_step == kNoPruner) &&
         state.epoch >= 0 && state.epoch <= options.epochs && state.epoch_batches >= 0 &&
         state.epoch_batches < steps_per_epoch &&
         state.step == state.epoch * steps_per_epoch + state.epoch_batches &&
         static_cast<int64_t>(state.epochs.size()) == state.epoch;
}

Status SaveCheckpoint(const std::string& path, const TrainIdentity& identity,
                      const TrainState& state) {
  ByteWriter payload;
  WriteIdentity(identity, &payload);
  WriteState(state, &payload);
  ByteWriter writer;
  writer.WriteBytes(std::as_bytes(std::span(kMagic)));
  writer.Write(kVersion);
  writer.Write(Crc32c(payload.bytes()));
  writer.Write(static_cast<uint64_t>(payload.size()));
  writer.WriteBytes(payload.bytes());
  return WriteFileAtomic(path, writer.bytes()).WithContext("checkpoint");
}

Result<TrainState> LoadCheckpoint(const std::string& path, const TrainIdentity& identity) {
  const std::string context = "checkpoint '" + path + "'";
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, ReadFile(path));
  ByteReader reader(bytes);
  Header header{};
  ESPALIER_RETURN_IF_ERROR(reader.Read("header", &header).WithContext(context));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
    return BadFormat(context + ": not a training checkpoint (magic ESPTRAIN expected)");
  }
  if (header.version != kVersion) {
    return BadFormat(
        StrCat(context, ": version ", kVersion, " expected, ", header.version, " found"));
  }
  if (header.payload_bytes != reader.remaining()) {
    return BadFormat(StrCat(context, ": ", header.payload_bytes, " bytes of payload expected, ",
                            reader.remaining(), " found"));
  }
  if (header.checksum != Crc32c(std::span(bytes).subspan(sizeof(Header)))) {
    return BadFormat(context + ": the checksum does not match, the file is damaged");
  }
  ESPALIER_RETURN_IF_ERROR(CheckIdentity(&reader, identity).WithContext(context));
  TrainState state;
  ESPALIER_RETURN_IF_ERROR(ReadState(&reader, &state).WithContext(context));
  return state;
}

}  // namespace espalier
