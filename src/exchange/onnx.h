// Networks as ONNX files (opset 17, IR 8): what other tools open, and how a network lies on disk.
//
// What an exported file looks like, for a graph whose input is "x":
//   x            f32 [T, B, F], or i32 [T, B] ids; T and B are free dimensions
//   lengths      i32 [B], each in [0, T]                          (unless options.lengths is kNone)
//   <node>.h     f32 [D, B, H], LSTM also <node>.c: the start state of a Recurrent node, D
//                directions, forward first                        (unless options.states is kZero)
//   <node>.last  f32 [B, F], of LastStep; <node>.sum [B, F] and <node>.count [B, 1], of
//                MeanOverTime; <node>.past [B, (K-1)*D*I], of Conv1d
//   outputs      the graph's outputs, then "<state>.out" for each of these states
// A start state of zeros begins a sequence; to go on, feed "<state>.out" as "<state>". Weights are
// initialisers: <node>.W, .R, .B of Recurrent in ONNX's gate order (iofc, zrh), <node>.weight,
// .bias. A Gemm tied to an Embedding transposes its table, which is there once. Conv1d is a Conv
// between two Transposes, padded in front or (explicit states) with the past joined there. A layer
// that starts from values of the graph has no state in the file.
//
// LastStep, MeanOverTime, that joining, projected LSTMs and EGRUs are model-local functions of
// domain "ai.espalier" whose bodies are standard operators, so a runtime needs to know nothing of
// espalier. Dropout is ONNX's Dropout in inference mode (an identity that runtimes remove); exact
// rates are in metadata_props under "espalier.rate.<node>", "espalier.recurrent_dropout.<node>" and
// "espalier.epsilon.<node>"; other keys that no node reads are refused. Dynamic pruning is there
// alone, as "espalier.delta.{x,h,bank}.<node>" and "espalier.skip.<weight>": another tool runs
// every step of such a layer in full, and the file has no states but h and c for it.
#ifndef ESPALIER_EXCHANGE_ONNX_H_
#define ESPALIER_EXCHANGE_ONNX_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"

namespace espalier {

struct OnnxExportOptions {
  // kExplicit: states are graph inputs and outputs. kZero: each run starts from zeros.
  enum class States { kExplicit, kZero };
  // kInput: "lengths" is a graph input. kNone: all sequences are T >= 1 steps long; the leanest
  // form for a runtime (LastStep reads the end state of the layer below it and has no state of its
  // own). A kNone file computes the same network, but reading it back may lose names and Dropout
  // nodes.
  enum class Lengths { kInput, kNone };

  States states = States::kExplicit;
  Lengths lengths = Lengths::kInput;
};

// The bytes of the ONNX file. Errors: what ValidateGraph says; kInvalidArgument if a value of the
// graph has a name that the file needs for something else; kUnsupported for more than 2 GB.
Result<std::vector<std::byte>> ExportOnnx(const Graph& graph,
                                          const OnnxExportOptions& options = {});
// The same, written atomically to `path`.
Status ExportOnnxFile(const Graph& graph, const std::string& path,
                      const OnnxExportOptions& options = {});

// Reads a file of ours exactly (names, float bits, rates), and plain ONNX graphs of opset 13 or
// later made of LSTM, GRU, RNN (which may start from vectors or from the end of another layer),
// Gemm, MatMul (+ Add), Gather from a table, Dropout, Relu, Sigmoid, Tanh, Softmax,
// LayerNormalization, Concat, Slice, Split, Add, Mul and causal 1-D Conv, with the Squeeze,
// Transpose, Pad and Reshape that exporters put around them. An input that the file takes as [B, T,
// F] and transposes is [T, B, F] in the Graph, as all sequences are. Errors: kBadFormat for bytes
// that are no consistent ONNX model, kUnsupported naming the node, the operator and the attribute
// that has no counterpart in a Graph.
Result<Graph> ImportOnnx(std::span<const std::byte> bytes);
Result<Graph> ImportOnnxFile(const std::string& path);

// The size of the file that ExportOnnx makes with these options.
Result<uint64_t> OnnxFileBytes(const Graph& graph, const OnnxExportOptions& options = {});

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_H_
