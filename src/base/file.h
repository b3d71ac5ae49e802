// Whole files, read and written safely: an output is complete under its name or not there at all.
#ifndef ESPALIER_BASE_FILE_H_
#define ESPALIER_BASE_FILE_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace espalier {

// Reads a whole regular file. Errors: kIo with the path and the reason.
Result<std::vector<std::byte>> ReadFile(const std::string& path);
Result<std::string> ReadTextFile(const std::string& path);

// Writes `bytes` under a temporary name beside `path`, flushes it to disk and renames it over
// `path`. On an error (full disk, no right) the temporary file is removed and what was at `path`
// stays. A file that is replaced keeps its mode. A link is followed; a device or pipe is written to
// as it is. Errors: kIo with the path and the reason.
Status WriteFileAtomic(const std::string& path, std::span<const std::byte> bytes);
Status WriteTextFileAtomic(const std::string& path, std::string_view text);

// Would WriteFileAtomic be able to begin? To be asked before long work. Errors: as that one's.
Status CheckWritable(const std::string& path);

}  // namespace espalier

#endif  // ESPALIER_BASE_FILE_H_
