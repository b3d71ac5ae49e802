// The bytes of a Graph inside checkpoints and .esp files (a network for others is .onnx).
//   u32 version (6) | name | u32 inputs { name, u8 element, u8 layout, i64 features }
//   | u32 nodes { name, u8 op, u32 inputs { name }, output, u8 cell, u8 direction, i64 hidden_size,
//     f64 recurrent_dropout, f64 rate, then what only some have: Recurrent i64 projection_size
//     (from version 2 on), end_c (from version 3 on) and u8 skip, u8 has_delta { f64 x, f64 h, i64
//     bank } (from version 4 on), u8 has_banks { i64 size, i64 top } (from version 5 on), u8
//     has_idle { f64 epsilon }, u8 has_predicted { i64 size, f64 epsilon } (from version 6 on),
//     Gemm tied (from version 3 on), Conv1d i64 kernel_size, i64 dilation, LayerNormalization f64
//     epsilon, Slice i64 first, i64 count }
//   | u32 outputs { name }
//   | u32 weights { name, u32 rank, i64 dims[rank], f32 values[] }
// Texts are a u32 length and that many bytes. Little-endian, no padding.
#ifndef ESPALIER_MODEL_SERIALIZE_H_
#define ESPALIER_MODEL_SERIALIZE_H_

#include "base/bytes.h"
#include "base/status.h"
#include "model/graph.h"

namespace espalier {

void WriteGraph(const Graph& graph, ByteWriter* writer);
// Reads what WriteGraph wrote, and versions 1 to 5, which knew less (no projection, nothing tied,
// no delta, no banks, no idle or predicted rows); does not call ValidateGraph (an artifact keeps
// its matrices elsewhere). Errors: kBadFormat, naming the field.
Result<Graph> ReadGraph(ByteReader* reader);

void WriteTensors(const TensorStore& tensors, ByteWriter* writer);
Result<TensorStore> ReadTensors(ByteReader* reader);

}  // namespace espalier

#endif  // ESPALIER_MODEL_SERIALIZE_H_
