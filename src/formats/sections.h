// Encoding by sections: for a reader that multiplies some rows of a matrix and leaves out others.
#ifndef ESPALIER_FORMATS_SECTIONS_H_
#define ESPALIER_FORMATS_SECTIONS_H_

#include <cstdint>
#include <span>

#include "formats/format.h"

namespace espalier {

// As Encode. `sections`: [rows], the section of each row; empty: all are of one. Where a format
// orders rows (slot: strips, each of the section of its first row), those of a section come one
// after the other, and sections in their order, so that few row groups have rows of two. Errors: as
// Encode.
Result<EncodedMatrix> EncodeInSections(const FormatSpec& spec, MatrixView matrix,
                                       std::span<const int32_t> sections, float x_scale = 0.0f);

// Of slot.cc.
Result<AlignedBuffer<std::byte>> EncodeSlotInSections(const FormatSpec& spec, MatrixView matrix,
                                                      std::span<const int32_t> sections);

}  // namespace espalier

#endif  // ESPALIER_FORMATS_SECTIONS_H_
