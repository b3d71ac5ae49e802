// Encoding by sections: for a reader that multiplies some rows of a matrix and leaves out others.
#ifndef ESPALIER_FORMATS_SECTIONS_H_
#define ESPALIER_FORMATS_SECTIONS_H_

#include <cstdint>
#include <span>

#include "formats/format.h"

namespace espalier {

// As Encode. `starts`: the first rows of sections, ascending from 0. Where a format orders rows
// (slot), those of a section come one after the other, and sections in their order, so that as few
// row groups as possible have rows of two. Errors: as Encode.
Result<EncodedMatrix> EncodeInSections(const FormatSpec& spec, MatrixView matrix,
                                       std::span<const int64_t> starts, float x_scale = 0.0f);

// Of slot.cc.
Result<AlignedBuffer<std::byte>> EncodeSlotInSections(const FormatSpec& spec, MatrixView matrix,
                                                      std::span<const int64_t> starts);

}  // namespace espalier

#endif  // ESPALIER_FORMATS_SECTIONS_H_
