#include <onnx/onnx_pb.h>

#include <exception>
#include <limits>

#include "base/file.h"
#include "base/strings.h"
#include "exchange/onnx.h"
#include "exchange/onnx_importer.h"

namespace espalier {

Result<Graph> ImportOnnx(std::span<const std::byte> bytes) {
  try {
    if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
      return Unsupported(
          StrCat("an ONNX file of at most 2 GB expected, ", HumanBytes(bytes.size()), " found"));
    }
    onnx::ModelProto model;
    if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return BadFormat("the file is not an ONNX model (its protobuf is damaged or cut off)");
    }
    return OnnxImporter(model).Import();
  } catch (const std::bad_alloc&) {
    return OutOfMemory("not enough memory to read the ONNX model");
  } catch (const std::exception& error) {
    return Internal(StrCat("reading the ONNX model: ", error.what()));
  }
}

Result<Graph> ImportOnnxFile(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, ReadFile(path));
  auto graph = ImportOnnx(bytes);
  if (!graph.ok()) return graph.status().WithContext(path);
  return graph;
}

}  // namespace espalier
