#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "artifact/artifact.h"
#include "base/file.h"
#include "base/strings.h"
#include "command.h"
#include "pipeline/model_record.h"
#include "report/text.h"

namespace espalier {
namespace {

struct Subject {
  std::string path;
  uint64_t bytes = 0;
  Graph graph;
  std::optional<Artifact> artifact;
  ModelRecord record;
};

Result<Subject> Load(const std::string& path) {
  Subject subject;
  subject.path = path;
  ESPALIER_ASSIGN_OR_RETURN(const bool is_artifact, IsArtifactFile(path));
  ESPALIER_ASSIGN_OR_RETURN(const auto bytes, ReadFile(path));
  subject.bytes = bytes.size();
  ESPALIER_ASSIGN_OR_RETURN(subject.graph, LoadNetwork(path));
  subject.record = DescribeNetwork(subject.graph);
  if (is_artifact) {
    ESPALIER_ASSIGN_OR_RETURN(subject.artifact, Artifact::Open(path));
    DescribeArtifact(*subject.artifact, &subject.record);
  }
  return subject;
}

std::string NodeText(const Node& node, const std::map<std::string, ValueType>& types) {
  std::string text = StrCat("  ", node.name, ": ", OpName(node.op));
  if (node.op == Op::kRecurrent) {
    text += StrCat(" ", InfoOf(node.cell).name, ", ", node.hidden_size, " units, ",
                   DirectionName(node.direction));
    if (node.projection_size > 0) text += StrCat(", projected to ", node.projection_size);
    if (StartsFromValues(node)) text += ", starts from values";
    if (!node.end_c.empty()) text += ", makes c at the end a value";
    if (node.recurrent_dropout > 0.0)
      text += StrCat(", recurrent dropout ", node.recurrent_dropout);
    if (node.skip) text += ", skips steps";
    if (node.banks.has_value()) {
      text += StrCat(", runs ",
                     node.banks->top > 0 ? StrCat(node.banks->top, " of its ") : "some of its ",
                     BankCountOf(node), " banks of ", node.banks->size, " units");
    }
    if (node.idle.has_value()) {
      text += StrCat(", leaves out candidates within ", node.idle->epsilon, " of shut");
    }
    if (node.predicted.has_value()) {
      text += StrCat(", predicts rows within ", node.predicted->epsilon, " of an end, through ",
                     node.predicted->size);
    }
    if (node.delta.has_value()) {
      text +=
          StrCat(", sends changes of at least ", node.delta->x, " of x and ", node.delta->h,
                 " of h", node.delta->bank > 1 ? StrCat(" in banks of ", node.delta->bank) : "");
    }
  }
  if (node.op == Op::kConv1d) {
    text += StrCat(" of ", node.kernel_size, " steps, dilation ", node.dilation);
  }
  if (node.op == Op::kSlice) {
    text += StrCat(" of features ", node.first, " to ", node.first + node.count - 1);
  }
  if (node.op == Op::kDropout) text += StrCat(" ", node.rate);
  std::vector<std::string> inputs;
  for (const std::string& input : node.inputs) inputs.push_back(TypeString(types.at(input)));
  return text + "  " + StrJoin(inputs, " and ") + " -> " + TypeString(types.at(node.output)) + "\n";
}

// The further copies of a matrix, e.g. "786432 of them again in dense for steps at rest".
std::vector<std::string> CopiesText(const Artifact& artifact, const std::string& weight) {
  std::vector<std::string> copies;
  for (const ArtifactMatrix& matrix : artifact.matrices()) {
    const bool is_copy = matrix.part.by_column || matrix.part.is_plain;
    if (matrix.part.weight != weight || !is_copy) continue;
    copies.push_back(StrCat(matrix.view.bytes.size(), " of them again in ",
                            FormatName(matrix.choice.spec),
                            matrix.part.is_plain ? " for steps at rest" : " for changes"));
  }
  return copies;
}

// `timed`: what its times are, if it has some.
std::string WeightText(const WeightRecord& weight, const char* timed, const Artifact* artifact) {
  std::string text = StrCat("  ", weight.name, " ", weight.rows, "x", weight.cols, ": ",
                            FormatPercent(weight.sparsity, 2), " zeros");
  std::vector<std::string> gates;
  for (const GateRecord& gate : weight.gates) {
    gates.push_back(gate.name + " " +
                    FormatFixed(100.0 * gate.sparsity, DecimalsToShow(100.0 * gate.sparsity, 1)));
  }
  if (!gates.empty()) text += " (" + StrJoin(gates, ", ") + ")";
  if (weight.format.empty()) return text + "\n";
  text += StrCat("; ", weight.format, " by ", weight.kernel, ", ", weight.encoded_bytes, " bytes");
  const std::vector<std::string> copies =
      artifact == nullptr ? std::vector<std::string>() : CopiesText(*artifact, weight.name);
  if (!copies.empty()) text += " (" + StrJoin(copies, ", ") + ")";
  std::vector<std::string> others;
  bool has_times = false;
  for (const CandidateRecord& candidate : weight.candidates) {
    std::string other = candidate.format;
    if (candidate.ns > 0.0) {
      has_times = true;
      other += " " + FormatFixed(candidate.ns, 0) + " ns";
    }
    others.push_back(other + " " + std::to_string(candidate.bytes) + " B");
  }
  return text + StrCat("\n    ", has_times ? timed : "candidates", ": ") + StrJoin(others, ", ") +
         "\n";
}

std::string Text(const Subject& subject, const std::map<std::string, ValueType>& types) {
  const ModelRecord& record = subject.record;
  std::string text =
      StrCat(subject.path, ": '", subject.graph.name, "', ", HumanBytes(subject.bytes), "\n");
  if (subject.artifact) {
    for (const auto& [key, value] : subject.artifact->metadata())
      text += "  " + key + ": " + value + "\n";
  }
  for (const GraphInput& input : subject.graph.inputs) {
    text += "input " + input.name + "  " + TypeString(input.type) + "\n";
  }
  text += "layers\n";
  for (const Node& node : subject.graph.nodes) text += NodeText(node, types);
  text += "matrices\n";
  const bool by_costs = subject.artifact && subject.artifact->metadata().contains("costs");
  for (const WeightRecord& weight : record.weights) {
    text += WeightText(weight, by_costs ? "predicted" : "measured",
                       subject.artifact ? &*subject.artifact : nullptr);
  }
  text += StrCat("parameters ", record.params, ", of which ", record.nonzeros,
                 " are not 0; multiply-adds per step ", record.multiply_adds_per_step, " of ",
                 MultiplyAddsPerStep(subject.graph, Count::kDense), "\n");
  return text;
}

Json NodeJson(const Node& node, const std::map<std::string, ValueType>& types) {
  Json json = {{"name", node.name},
               {"op", OpName(node.op)},
               {"inputs", node.inputs},
               {"type", TypeString(types.at(node.output))}};
  if (node.op == Op::kRecurrent) {
    json["cell"] = InfoOf(node.cell).name;
    json["hidden"] = node.hidden_size;
    json["direction"] = DirectionName(node.direction);
    if (node.projection_size > 0) json["projection"] = node.projection_size;
    if (node.skip) json["skip"] = true;
    if (node.banks.has_value()) {
      json["banks"] = {{"size", node.banks->size}, {"top", node.banks->top}};
    }
    if (node.idle.has_value()) json["idle"] = {{"epsilon", node.idle->epsilon}};
    if (node.predicted.has_value()) {
      json["predicted"] = {{"size", node.predicted->size}, {"epsilon", node.predicted->epsilon}};
    }
    if (node.delta.has_value()) {
      json["delta"] = {{"x", node.delta->x}, {"h", node.delta->h}, {"bank", node.delta->bank}};
    }
  } else if (node.op == Op::kConv1d) {
    json["kernel_size"] = node.kernel_size;
    json["dilation"] = node.dilation;
  } else if (node.op == Op::kSlice) {
    json["first"] = node.first;
    json["count"] = node.count;
  } else if (node.op == Op::kLayerNorm) {
    json["epsilon"] = node.epsilon;
  }
  return json;
}

// `time_key`: what the times of its formats are called, if it has formats.
Json WeightJson(const WeightRecord& weight, const char* time_key, const Artifact* artifact) {
  Json json = {{"name", weight.name},
               {"rows", weight.rows},
               {"cols", weight.cols},
               {"nonzeros", weight.nonzeros},
               {"sparsity", weight.sparsity}};
  for (const GateRecord& gate : weight.gates) json["gates"][gate.name] = gate.sparsity;
  if (weight.format.empty()) return json;
  json["format"] = weight.format;
  json["kernel"] = weight.kernel;
  json["encoded_bytes"] = weight.encoded_bytes;
  for (const ArtifactMatrix& matrix : artifact->matrices()) {
    if (matrix.part.weight != weight.name) continue;
    json["parts"].push_back({{"name", matrix.part.name},
                             {"format", FormatName(matrix.choice.spec)},
                             {"bytes", matrix.view.bytes.size()}});
  }
  for (const CandidateRecord& candidate : weight.candidates) {
    json["candidates"].push_back(
        {{"format", candidate.format},
         {time_key, candidate.ns > 0.0 ? Json(candidate.ns) : Json()},  // null: there is none
         {"bytes", candidate.bytes}});
  }
  return json;
}

Status Run(const std::string& path, Console* console) {
  ESPALIER_ASSIGN_OR_RETURN(const Subject subject, Load(path));
  ESPALIER_ASSIGN_OR_RETURN(const auto types, InferTypes(subject.graph));
  Json json = {{"file", path},
               {"name", subject.graph.name},
               {"bytes", subject.bytes},
               {"params", subject.record.params},
               {"nonzeros", subject.record.nonzeros},
               {"multiply_adds_per_step", subject.record.multiply_adds_per_step}};
  if (subject.artifact) json["metadata"] = subject.artifact->metadata();
  for (const Node& node : subject.graph.nodes) json["layers"].push_back(NodeJson(node, types));
  const char* time_key = subject.artifact ? TimeKeyOf(*subject.artifact) : "";
  for (const WeightRecord& weight : subject.record.weights) {
    json["matrices"].push_back(
        WeightJson(weight, time_key, subject.artifact ? &*subject.artifact : nullptr));
  }
  return console->Result(Text(subject, types), json);
}

}  // namespace

Action AddInspect(CLI::App* app) {
  auto path = std::make_shared<std::string>();
  app->footer("example: espalier inspect sparse.esp");
  app->add_option("file", *path, "Network (.onnx or .esp)")->required();
  return [path](Console* console) { return Run(*path, console); };
}

}  // namespace espalier
