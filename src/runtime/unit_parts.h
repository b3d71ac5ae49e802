// Parts of a layer's units for a team of threads. Who multiplies the rows of a part's units, those
// of all gates in both matrices, runs the gates of these units, too: of a step only x and h go from
// one core to another, and it is one loop of the team.
#ifndef ESPALIER_RUNTIME_UNIT_PARTS_H_
#define ESPALIER_RUNTIME_UNIT_PARTS_H_

#include <cstddef>

#include "formats/format.h"
#include "runtime/arena.h"
#include "runtime/operation.h"

namespace espalier {

// Parts of about equal work, of both matrices together. None where a thread would have more than
// 1.25 times its share, since row groups have rows of two parts wherever else a matrix is cut:
// slots in narrow strips, which are sorted, by halves of the units (artifact/sections.h), for more
// than two threads; units that are no multiple of a group's rows. Of an arena that counts they are
// of no meaning.
UnitParts CutUnits(const EncodedView& input, const EncodedView& recurrent, size_t units,
                   size_t threads, Arena* arena);

// y = W x + b of `count` rows, of the rows of W of the units of one part; `backward`: of the last
// range first.
void MultiplyPart(const PartGroups& part, const Product& product, RowsAt x, RowsAt y, size_t count,
                  bool backward = false);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_UNIT_PARTS_H_
