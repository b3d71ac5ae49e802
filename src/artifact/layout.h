// What the writer and the reader of the .esp layout (artifact.h) share.
#ifndef ESPALIER_ARTIFACT_LAYOUT_H_
#define ESPALIER_ARTIFACT_LAYOUT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/graph.h"

namespace espalier {

inline constexpr std::array<uint8_t, 8> kArtifactMagic = {0x89, 'E',  'S',  'P',
                                                          0x0d, 0x0a, 0x1a, 0x0a};
inline constexpr uint32_t kArtifactVersion = 5;
// Of a file with a part that is_plain, which a program that knows 5 alone cannot read.
inline constexpr uint32_t kPlainPartsVersion = 6;
inline constexpr size_t kCrcOffset = 12;
inline constexpr size_t kTotalBytesOffset = 16;  // the checksum starts here
inline constexpr size_t kHeaderBytes = 24;

// The vectors that are in the file only if they are not all 0.
inline std::vector<std::string> LeftOutIfZero(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kRecurrent) continue;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      names.push_back(direction.bias_hh);
    }
  }
  return names;
}

}  // namespace espalier

#endif  // ESPALIER_ARTIFACT_LAYOUT_H_
