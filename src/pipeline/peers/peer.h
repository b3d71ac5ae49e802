// Peer: a competitor that `espalier bench --problem` times beside ours, on one recurrent layer.
#ifndef ESPALIER_PIPELINE_PEERS_PEER_H_
#define ESPALIER_PIPELINE_PEERS_PEER_H_

#include <span>
#include <string>

#include "base/status.h"
#include "model/graph.h"
#include "model/layer.h"
#include "peers/onnxruntime.h"
#include "pipeline/bench.h"

namespace espalier {

// What one entry of the list is asked to run. All of it must outlive the system that comes of it.
struct PeerCase {
  const Graph& graph;  // one recurrent layer
  BenchShape shape;
  const OnnxRuntime* onnxruntime = nullptr;  // nullptr: it is not there
  int threads = 1;
};

struct Peer {
  const char* name;    // "onnxruntime_i8"
  const char* system;  // "onnxruntime"
  const char* dtype;   // "f32", "bf16" or "i8"
  const char* format;  // "dense", or "csr" for a network pruned by elements
  // Errors: kUnsupported saying what is missing - the library, this cell, this CPU, threads.
  Result<BenchSystem> (*make)(const Peer& peer, const PeerCase& c);
};

// In the order of peers.inc.
std::span<const Peer> AllPeers();
// Errors: kInvalidArgument, naming the nearest.
Result<const Peer*> FindPeer(const std::string& name);

// `runner` as a system that is verified against `c.graph`, as well as `peer`'s dtype can be.
BenchSystem SystemOf(const Peer& peer, const PeerCase& c, LayerRunner runner);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_PEERS_PEER_H_
