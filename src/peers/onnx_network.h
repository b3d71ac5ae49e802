// A network that exchange/onnx.h exported, run in ONNX Runtime on our batches and states: the same
// call as RunReference, for checks. For timing, bind once instead (onnxruntime.h).
#ifndef ESPALIER_PEERS_ONNX_NETWORK_H_
#define ESPALIER_PEERS_ONNX_NETWORK_H_

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "model/reference.h"
#include "peers/onnxruntime.h"

namespace espalier {

class OnnxNetwork {
 public:
  // `model` are the bytes that ExportOnnx made of `graph`, with any options.
  static Result<OnnxNetwork> Load(const OnnxRuntime& runtime, std::span<const std::byte> model,
                                  const Graph& graph);

  // Returns the graph's outputs by name. Where the file has explicit states, runs from `*states`
  // and leaves the end states there; else leaves `*states` as they are. T >= 1. Where the file has
  // no lengths, every length must be T. Errors: what ValidateBatch says; kInvalidArgument for a
  // missing state or a length below T; kInternal with ONNX Runtime's message.
  Result<std::map<std::string, Value>> Run(const Batch& batch, StateSet* states) const;

 private:
  OnnxNetwork(Graph graph, OnnxSession session)
      : graph_(std::move(graph)), session_(std::move(session)) {}

  Graph graph_;  // without its weights
  std::map<std::string, ValueType> types_;
  std::vector<StateSpec> states_;
  OnnxSession session_;
};

}  // namespace espalier

#endif  // ESPALIER_PEERS_ONNX_NETWORK_H_
