// Constants of the .esp layout (artifact.h) that its writer and its reader share.
#ifndef ESPALIER_ARTIFACT_LAYOUT_H_
#define ESPALIER_ARTIFACT_LAYOUT_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace espalier {

inline constexpr std::array<uint8_t, 8> kArtifactMagic = {0x89, 'E',  'S',  'P',
                                                          0x0d, 0x0a, 0x1a, 0x0a};
inline constexpr uint32_t kArtifactVersion = 5;
inline constexpr size_t kCrcOffset = 12;
inline constexpr size_t kTotalBytesOffset = 16;  // the checksum starts here
inline constexpr size_t kHeaderBytes = 24;

}  // namespace espalier

#endif  // ESPALIER_ARTIFACT_LAYOUT_H_
