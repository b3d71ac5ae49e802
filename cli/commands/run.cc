#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "artifact/artifact.h"
#include "base/strings.h"
#include "command.h"
#include "compile/compile.h"
#include "runtime/golden.h"
#include "runtime/session.h"

namespace espalier {
namespace {

struct Flags {
  std::string network;
  std::string input = "-";
  std::string target;
  bool stream = false;
  bool check = false;
};

using Json = nlohmann::ordered_json;

Result<Artifact> OpenAny(const Flags& flags) {
  ESPALIER_ASSIGN_OR_RETURN(const bool is_artifact, IsArtifactFile(flags.network));
  if (is_artifact) return Artifact::Open(flags.network);
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, LoadNetwork(flags.network));
  CompileOptions options;
  options.target = flags.target;
  options.tuning = Tuning::kOff;
  ESPALIER_ASSIGN_OR_RETURN(auto bytes, Compile(graph, options));
  return Artifact::FromBytes(std::move(bytes));
}

// One sequence of text: a step a line, numbers parted by spaces or commas.
struct Sequence {
  std::vector<float> features;
  std::vector<int32_t> ids;
  int64_t steps = 0;
};

Status ReadStep(const std::string& line, int64_t line_number, const ValueType& type,
                Sequence* sequence) {
  const char* at = line.c_str();
  const auto expected = type.element == Element::kI32 ? int64_t{1} : type.features;
  int64_t count = 0;
  while (true) {
    at += std::strspn(at, " \t,;\r");
    if (*at == '\0') break;
    char* end = nullptr;
    const float value = std::strtof(at, &end);
    if (end == at) {
      return InvalidArgument(StrCat("line ", line_number, ": a number expected, '",
                                    std::string(at).substr(0, 20), "' found"));
    }
    at = end;
    ++count;
    if (type.element == Element::kF32) {
      sequence->features.push_back(value);
    } else {
      if (!(value >= 0.0f && value < static_cast<float>(type.features))) {
        return InvalidArgument(StrCat("line ", line_number, ": an id in [0, ", type.features,
                                      ") expected, ", value, " found"));
      }
      sequence->ids.push_back(static_cast<int32_t>(value));
    }
  }
  if (count != expected) {
    return InvalidArgument(
        StrCat("line ", line_number, ": ", expected, " numbers expected, ", count, " found"));
  }
  ++sequence->steps;
  return Ok();
}

std::string Line(std::span<const float> values) {
  std::ostringstream out;
  for (size_t i = 0; i < values.size(); ++i) out << (i > 0 ? " " : "") << values[i];
  return out.str();
}

// Runs one step at a time, so that the memory does not grow with a sequence. What a network says of
// a whole sequence (a vector) is its output after the last step.
class Runner {
 public:
  Runner(const Artifact& artifact, const Flags& flags, Session session, const Console& console)
      : flags_(flags), session_(std::move(session)), console_(console) {
    is_vector_ = artifact.types().at(artifact.graph().outputs[0]).layout == Layout::kVector;
  }

  Status Step(const Sequence& step) {
    ESPALIER_RETURN_IF_ERROR(step.ids.empty() ? session_.Step(std::span(step.features))
                                              : session_.Step(std::span(step.ids)));
    any_ = true;
    if (flags_.stream || !is_vector_) Print();
    return Ok();
  }

  void EndSequence() {
    if (any_ && is_vector_ && !flags_.stream) Print();
    if (any_) ++sequence_;
    any_ = false;
    session_.Reset();
  }

 private:
  void Print() {
    const std::span<const float> output = session_.Output(0);
    const Json json = {{"sequence", sequence_},
                       {"output", std::vector<float>(output.begin(), output.end())}};
    console_.Result(Line(output), json.dump());
  }

  const Flags& flags_;
  Session session_;
  const Console& console_;
  bool is_vector_ = false;
  bool any_ = false;
  int64_t sequence_ = 0;
};

// A reverse direction needs whole sequences.
Status RunWhole(const Artifact& artifact, const Flags& flags, const Sequence& sequence,
                int64_t index, const Console& console) {
  SessionOptions options;
  options.target = flags.target;
  options.max_steps = std::max<int64_t>(sequence.steps, 1);
  ESPALIER_ASSIGN_OR_RETURN(Session session, Session::Create(artifact, options));
  ESPALIER_RETURN_IF_ERROR(session.Run({sequence.steps, 1, sequence.features, sequence.ids, {}}));
  const std::span<const float> output = session.Output(0);
  const auto width = static_cast<size_t>(artifact.types().at(artifact.graph().outputs[0]).features);
  for (size_t first = 0; first < output.size(); first += width) {
    const std::span<const float> row = output.subspan(first, width);
    const Json json = {{"sequence", index}, {"output", std::vector<float>(row.begin(), row.end())}};
    console.Result(Line(row), json.dump());
  }
  return Ok();
}

Status RunAll(const Artifact& artifact, const Flags& flags, std::istream* in,
              const Console& console) {
  const ValueType& type = artifact.graph().inputs[0].type;
  const bool streams = IsStreamable(artifact.graph());
  SessionOptions options;
  options.target = flags.target;
  ESPALIER_ASSIGN_OR_RETURN(Session session, Session::Create(artifact, options));
  Runner runner(artifact, flags, std::move(session), console);
  Sequence sequence;
  int64_t line_number = 0;
  int64_t index = 0;
  const auto end_sequence = [&]() -> Status {
    if (streams) {
      runner.EndSequence();
    } else if (sequence.steps > 0) {
      ESPALIER_RETURN_IF_ERROR(RunWhole(artifact, flags, sequence, index++, console));
    }
    sequence = Sequence();
    return Ok();
  };
  for (std::string line; std::getline(*in, line) && !Console::cancelled();) {
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      ESPALIER_RETURN_IF_ERROR(end_sequence());
      continue;
    }
    ESPALIER_RETURN_IF_ERROR(ReadStep(line, line_number, type, &sequence));
    if (!streams) continue;
    ESPALIER_RETURN_IF_ERROR(runner.Step(sequence));
    sequence = Sequence();
  }
  return end_sequence();
}

Status Run(const Flags& flags, Console* console) {
  ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, OpenAny(flags));
  if (flags.check) {
    ESPALIER_RETURN_IF_ERROR(CheckGolden(artifact, flags.target));
    console->Note(flags.network + ": the golden sample comes out as it was compiled");
  }
  if (flags.input == "-") return RunAll(artifact, flags, &std::cin, *console);
  std::ifstream file(flags.input);
  if (!file) return IoError(flags.input + ": cannot open");
  return RunAll(artifact, flags, &file, *console).WithContext(flags.input);
}

}  // namespace

Action AddRun(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  if (const char* target = std::getenv("ESPALIER_TARGET")) flags->target = target;
  app->footer(
      "Reads text: one step a line, numbers parted by spaces or commas, an empty line between\n"
      "sequences. Prints one line (with --json one object) a sequence, or a step.\n"
      "example: espalier run sparse.esp --input steps.txt --stream");
  app->add_option("network", flags->network, "Network (.esp or .onnx)")->required();
  app->add_option("--input", flags->input, "File of steps, - for stdin")->capture_default_str();
  app->add_flag("--stream", flags->stream, "Print the output after every step");
  app->add_flag("--check", flags->check, "First check the golden sample that the file carries");
  app->add_option("--target", flags->target, "Instruction set (default: the best)");
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
