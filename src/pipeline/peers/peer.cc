#include "pipeline/peers/peer.h"

#include <string_view>

#include "base/strings.h"

namespace espalier {
namespace peers {
#define ESPALIER_PEER(system, dtype, format) \
  Result<BenchSystem> system(const Peer& peer, const PeerCase& c);
#include "pipeline/peers/peers.inc"
#undef ESPALIER_PEER
}  // namespace peers

std::span<const Peer> AllPeers() {
  static constexpr Peer kAll[] = {
#define ESPALIER_PEER(system, dtype, format) \
  {#system "_" #dtype, #system, #dtype, #format, &peers::system},
#include "pipeline/peers/peers.inc"
#undef ESPALIER_PEER
  };
  return kAll;
}

Result<const Peer*> FindPeer(const std::string& name) {
  std::vector<std::string> names;
  for (const Peer& peer : AllPeers()) {
    if (peer.name == name) return &peer;
    names.emplace_back(peer.name);
  }
  return InvalidArgument(StrCat("peer: one of ", StrJoin(names, ", "), " expected, '", name,
                                "' found", DidYouMean(name, names)));
}

BenchSystem SystemOf(const Peer& peer, const PeerCase& c, LayerRunner runner) {
  const std::string_view dtype = peer.dtype;
  BenchSystem system;
  system.name = peer.name;
  system.graph = &c.graph;
  if (dtype == "i8") system.rms_tolerance = kInt8RmsTolerance;
  if (dtype == "bf16") system.rms_tolerance = kBf16RmsTolerance;
  system.run_sequence = std::move(runner.run_sequence);
  system.run_step = std::move(runner.run_step);
  system.reset_stream = std::move(runner.reset_stream);
  system.output = std::move(runner.output);
  return system;
}

}  // namespace espalier
