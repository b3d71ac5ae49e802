#include "compile/compile.h"

#include <exception>

#include "base/strings.h"
#include "compile/tuner.h"
#include "kernels/kernels.h"

namespace espalier {
namespace {

// Larger would only make compiling slower.
constexpr int64_t kMaxBatchedRows = 4096;

Status CheckOptions(const CompileOptions& options, const std::vector<MatrixPart>& parts) {
  if (options.repetitions < 1) {
    return InvalidArgument(
        StrCat("repetitions: at least 1 expected, ", options.repetitions, " found"));
  }
  if (options.batched_rows < 1 || options.batched_rows > kMaxBatchedRows) {
    return InvalidArgument(StrCat("batched_rows: 1 to ", kMaxBatchedRows, " expected, ",
                                  options.batched_rows, " found"));
  }
  for (const auto& [name, spec] : options.forced) {
    std::vector<std::string> names;
    bool is_known = false;
    for (const MatrixPart& part : parts) {
      names.push_back(part.name);
      is_known = is_known || part.name == name || part.weight == name;
    }
    if (!is_known) {
      return InvalidArgument(
          StrCat("forced format of '", name, "': no such matrix", DidYouMean(name, names)));
    }
  }
  return Ok();
}

const FormatSpec* ForcedFormat(const CompileOptions& options, const MatrixPart& part) {
  for (const std::string& name : {part.name, part.weight}) {
    const auto it = options.forced.find(name);
    if (it != options.forced.end()) return &it->second;
  }
  return nullptr;
}

MatrixUse UseOf(const Graph& graph, const std::map<std::string, ValueType>& types,
                const MatrixPart& part) {
  const Node& node = *FindOwner(graph, part.weight);
  if (node.op == Op::kEmbedding) return MatrixUse::kLookup;
  if (node.op == Op::kRecurrent) {
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      if (direction.weight_hh == part.weight) return MatrixUse::kSingle;
    }
    return MatrixUse::kBatched;
  }
  const bool has_time = types.at(node.inputs[0]).layout == Layout::kSequence;
  return has_time ? MatrixUse::kBatched : MatrixUse::kSingle;
}

Result<AlignedBuffer<std::byte>> CompileGraph(const Graph& given, const CompileOptions& options) {
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(given));
  const Graph graph = RoundMatrices(given, options.weights);
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<MatrixPart> parts, MatrixPartsOf(graph));
  ESPALIER_RETURN_IF_ERROR(CheckOptions(options, parts));
  ESPALIER_ASSIGN_OR_RETURN(const KernelTable* kernels, FindKernels(options.target));
  ESPALIER_ASSIGN_OR_RETURN(const auto types, InferTypes(graph));

  ArtifactContent content;
  content.metadata = options.metadata;
  content.metadata["target"] = kernels->target;
  if (options.weights != WeightType::kF32) {
    content.metadata["weights"] = WeightTypeName(options.weights);
  }
  ESPALIER_ASSIGN_OR_RETURN(content.golden, MakeGoldenSample(graph, options.seed));
  Tuner tuner(options, kernels);
  for (const MatrixPart& part : parts) {
    const MatrixView matrix{
        graph.weights.at(part.weight).values.data() + part.first_row * part.cols, part.rows,
        part.cols};
    const FormatSpec* forced = ForcedFormat(options, part);
    ESPALIER_ASSIGN_OR_RETURN(Choice choice,
                              forced != nullptr
                                  ? tuner.Force(part.name, matrix, *forced)
                                  : tuner.Choose(part.name, matrix, UseOf(graph, types, part)));
    options.log.Info(StrCat("choice matrix=", part.name, " format=", FormatName(choice.spec),
                            " kernel=", choice.kernel, " ns=", choice.ns));
    content.choices[part.name] = std::move(choice);
  }
  return WriteArtifact(graph, content);
}

}  // namespace

Graph RoundMatrices(const Graph& graph, WeightType type) {
  Graph rounded = graph;
  for (auto& [name, weight] : rounded.weights) {
    if (weight.shape.size() != 2) continue;
    RoundMatrix(type, weight.dim(1), weight.values);
  }
  return rounded;
}

Result<AlignedBuffer<std::byte>> Compile(const Graph& graph, const CompileOptions& options) {
  try {
    return CompileGraph(graph, options);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(StrCat("compiling graph '", graph.name, "': memory is exhausted"));
  }
}

}  // namespace espalier
