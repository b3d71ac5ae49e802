#include <google/protobuf/message.h>
#include <onnx/onnx_pb.h>

#include <exception>
#include <limits>

#include "base/file.h"
#include "base/strings.h"
#include "exchange/onnx.h"
#include "exchange/onnx_importer.h"

namespace espalier {
namespace {

namespace pb = ::google::protobuf;

// Texts whose declaration says so, and those of attributes, which ONNX declares as bytes.
bool IsText(const pb::FieldDescriptor& field) {
  return field.type() == pb::FieldDescriptor::TYPE_STRING ||
         field.full_name() == "onnx.AttributeProto.s" ||
         field.full_name() == "onnx.AttributeProto.strings";
}

// Protobuf leaves it to the reader of a proto2 file whether its texts are UTF-8.
Status CheckTexts(const pb::Message& message, const std::string& path) {
  const pb::Reflection& reflection = *message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    const bool is_message = field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
    if (!is_message && !IsText(*field)) continue;
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const std::string where = StrCat(path, path.empty() ? "" : ".", field->name(),
                                       field->is_repeated() ? StrCat("[", i, "]") : "");
      if (is_message) {
        const pb::Message& child = field->is_repeated()
                                       ? reflection.GetRepeatedMessage(message, field, i)
                                       : reflection.GetMessage(message, field);
        ESPALIER_RETURN_IF_ERROR(CheckTexts(child, where));
        continue;
      }
      std::string scratch;
      const std::string& text =
          field->is_repeated() ? reflection.GetRepeatedStringReference(message, field, i, &scratch)
                               : reflection.GetStringReference(message, field, &scratch);
      if (!IsUtf8(text)) return BadFormat(where + ": a text in UTF-8 expected, other bytes found");
    }
  }
  return Ok();
}

}  // namespace

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
    ESPALIER_RETURN_IF_ERROR(CheckTexts(model, ""));
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
