#include <charconv>
#include <cmath>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string_view>

#include "artifact/artifact.h"
#include "base/strings.h"
#include "command.h"
#include "report/text.h"
#include "runtime/golden.h"
#include "runtime/session.h"

namespace espalier {
namespace {

struct Flags {
  std::string network;
  std::string input = "-";
  std::string target;
  int threads = 1;
  bool stream = false;
  bool check = false;
  std::optional<double> budget_us;
  RuleChanges rules;
  ExitFlags exit;
};

// One sequence of text: a step a line, numbers parted by spaces or commas.
struct Sequence {
  std::vector<float> features;
  std::vector<int32_t> ids;
  int64_t steps = 0;
};

// What an error shows of a line that is not what it should be.
std::string Excerpt(std::string_view text) {
  std::string shown(text.substr(0, 20));
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  return shown;
}

// Reads one number, in full: "0x10" and "1.5" for an integer are none.
template <typename Number>
std::errc ReadNumber(std::string_view word, Number* number) {
  if (word.starts_with('+')) word.remove_prefix(1);
  const char* end = word.data() + word.size();
  const std::from_chars_result read = std::from_chars(word.data(), end, *number);
  return read.ptr == end ? read.ec : std::errc::invalid_argument;
}

// As f32. What is too small for one is 0, what is too large is none.
bool ReadFeature(std::string_view word, float* feature) {
  double value = 0.0;
  const std::errc error = ReadNumber(word, &value);
  const bool is_tiny = error == std::errc::result_out_of_range &&
                       word.find_first_of("eE") != std::string::npos &&
                       word[word.find_first_of("eE") + 1] == '-';
  *feature = is_tiny ? 0.0f : static_cast<float>(value);
  return (error == std::errc() || is_tiny) && std::isfinite(*feature);
}

Status AppendWord(std::string_view word, const ValueType& type, Sequence* sequence) {
  if (type.element == Element::kF32) {
    float value = 0.0f;
    if (!ReadFeature(word, &value)) {
      return InvalidArgument(StrCat("a finite number expected, '", Excerpt(word), "' found"));
    }
    sequence->features.push_back(value);
    return Ok();
  }
  int32_t id = -1;
  if (ReadNumber(word, &id) != std::errc() || id < 0 || id >= type.features) {
    return InvalidArgument(
        StrCat("an id of 0 to ", type.features - 1, " expected, '", Excerpt(word), "' found"));
  }
  sequence->ids.push_back(id);
  return Ok();
}

constexpr std::string_view kSeparators = " \t,;\r";

Status ReadStep(std::string_view line, const ValueType& type, Sequence* sequence) {
  const int64_t expected = type.element == Element::kI32 ? 1 : type.features;
  int64_t count = 0;
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(kSeparators), line.size()));
    if (line.empty()) break;
    const std::string_view word = line.substr(0, line.find_first_of(kSeparators));
    ESPALIER_RETURN_IF_ERROR(AppendWord(word, type, sequence));
    line.remove_prefix(word.size());
    ++count;
  }
  if (count != expected) {
    return InvalidArgument(StrCat(expected, " numbers expected, ", count, " found"));
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
// a whole sequence (a vector) is its output after the last step, or with an exit after the one at
// which it is sure: the steps that are left are not computed.
class Runner {
 public:
  // `exit`: a watch that has seen nothing yet, or none.
  Runner(const Artifact& artifact, const Flags& flags, Session session,
         std::optional<ExitWatch> exit, const Console& console)
      : flags_(flags), session_(std::move(session)), exit_(exit), watch_(exit), console_(console) {
    is_vector_ = artifact.types().at(artifact.graph().outputs[0]).layout == Layout::kVector;
    prints_steps_ = flags_.stream || !is_vector_;
  }

  Status Step(const Sequence& step) {
    ++steps_given_;
    if (watch_ && watch_->is_settled()) return Ok();
    ESPALIER_RETURN_IF_ERROR(step.ids.empty() ? session_.Step(std::span(step.features))
                                              : session_.Step(std::span(step.ids)));
    ++steps_;
    ++steps_run_;
    const bool looks = watch_ && steps_ % watch_->rule.every == 0;
    const bool is_settled = looks && watch_->Update(session_.Output(0));
    return prints_steps_ || is_settled ? Print() : Ok();  // at once, not at the end of the sequence
  }

  // What came of the budget, if there was one.
  std::string BudgetText() const {
    const BudgetReport& report = session_.Budget();
    if (report.step_ns == 0) return "";
    const auto us = [](int64_t ns) { return static_cast<double>(ns) / 1000.0; };
    return StrCat("budget of ", us(report.step_ns), " us: ", report.late, " of ", report.steps,
                  " steps late (the slowest ", us(report.slowest_ns), " us), ", report.raised,
                  " with raised thresholds (", report.foreseen,
                  " of them for a step that would have been late), ", report.late_at_most,
                  " late with the highest; at the end raised by a factor of ", report.factor);
  }

  // The same, last of the lines of --json.
  Json BudgetJson() const {
    const BudgetReport& report = session_.Budget();
    return {{"budget_ns", report.step_ns},
            {"steps", report.steps},
            {"raised", report.raised},
            {"foreseen", report.foreseen},
            {"late", report.late},
            {"late_at_most", report.late_at_most},
            {"slowest_ns", report.slowest_ns},
            {"factor", report.factor}};
  }

  // The same, last of the lines of --json.
  Json ExitJson() const {
    return {{"steps", steps_given_},
            {"steps_run", steps_run_},
            {"sequences", sequence_},
            {"ended_early", settled_}};
  }

  // e.g. "exit: 43.1 % of the steps were run; 5 of 8 sequences ended before their last".
  std::string ExitText() const {
    return StrCat("exit: ",
                  FormatPercent(static_cast<double>(steps_run_) /
                                    static_cast<double>(std::max<int64_t>(1, steps_given_)),
                                1),
                  " of the steps were run; ", settled_, " of ", sequence_,
                  sequence_ == 1 ? " sequence" : " sequences", " ended before the last");
  }

  Status EndSequence() {
    if (steps_ == 0) return Ok();
    const bool is_settled = watch_ && watch_->is_settled();
    if (!prints_steps_ && !is_settled) ESPALIER_RETURN_IF_ERROR(Print());
    settled_ += steps_given_ - steps_run_ > left_out_ ? 1 : 0;
    left_out_ = steps_given_ - steps_run_;
    ++sequence_;
    steps_ = 0;
    watch_ = exit_;
    session_.Reset();
    return Ok();
  }

 private:
  Status Print() {
    const std::span<const float> output = session_.Output(0);
    Json json = {{"sequence", sequence_},
                 {"output", std::vector<float>(output.begin(), output.end())}};
    if (exit_) json["steps"] = steps_;
    if (exit_) json["settled"] = watch_->is_settled();
    return console_.Result(Line(output), json);
  }

  const Flags& flags_;
  Session session_;
  std::optional<ExitWatch> exit_;   // as it begins
  std::optional<ExitWatch> watch_;  // of this sequence
  const Console& console_;
  bool is_vector_ = false;
  bool prints_steps_ = false;
  int64_t sequence_ = 0;
  int64_t steps_ = 0;  // of this sequence, that were run
  int64_t steps_given_ = 0, steps_run_ = 0;
  int64_t left_out_ = 0;  // of the sequences before
  int64_t settled_ = 0;   // sequences with steps left out
};

// Refuses what no threshold can bring about.
Status SetBudget(const Artifact& artifact, const Flags& flags, Session* session) {
  const double us = *flags.budget_us;
  constexpr double kMostUs = 1e12;
  if (!(us > 0.0 && us <= kMostUs)) {
    return InvalidArgument(
        StrCat("--budget-us: a time above 0 and up to ", kMostUs, " expected, ", us, " found"));
  }
  BudgetOptions options;
  options.step_ns = std::max<int64_t>(1, static_cast<int64_t>(us * 1000.0));
  ESPALIER_RETURN_IF_ERROR(session->SetBudget(options).WithContext(flags.network));
  SessionOptions one;
  one.target = flags.target;
  one.threads = flags.threads;
  ESPALIER_ASSIGN_OR_RETURN(const int64_t least_ns, LeastStepNs(artifact, one));
  if (options.step_ns >= least_ns) return Ok();
  return InvalidArgument(
      StrCat("--budget-us: ", us, " us a step cannot be kept: here one that sends nothing takes ",
             static_cast<double>(least_ns) / 1000.0, "; give it more time, or a smaller network"));
}

// A reverse direction needs whole sequences.
Status RunWhole(const Artifact& artifact, const Flags& flags, const Sequence& sequence,
                int64_t index, const Console& console) {
  SessionOptions options;
  options.target = flags.target;
  options.threads = flags.threads;
  options.max_steps = std::max<int64_t>(sequence.steps, 1);
  ESPALIER_ASSIGN_OR_RETURN(Session session, Session::Create(artifact, options));
  ESPALIER_RETURN_IF_ERROR(ChangeRules(artifact.graph(), flags.rules, &session));
  ESPALIER_RETURN_IF_ERROR(session.Run({sequence.steps, 1, sequence.features, sequence.ids, {}}));
  const std::span<const float> output = session.Output(0);
  const auto width = static_cast<size_t>(artifact.types().at(artifact.graph().outputs[0]).features);
  for (size_t first = 0; first < output.size(); first += width) {
    const std::span<const float> row = output.subspan(first, width);
    const Json json = {{"sequence", index}, {"output", std::vector<float>(row.begin(), row.end())}};
    ESPALIER_RETURN_IF_ERROR(console.Result(Line(row), json));
  }
  return Ok();
}

Status RunAll(const Artifact& artifact, const Flags& flags, const std::optional<ExitRule>& rule,
              std::istream* in, Console* console) {
  const std::string source = flags.input == "-" ? "stdin" : flags.input;
  const ValueType& type = artifact.graph().inputs[0].type;
  const bool streams = IsStreamable(artifact.graph());
  if (flags.budget_us && !streams) {
    return InvalidArgument(
        flags.network +
        ": --budget-us needs a network that runs step by step, and this one has a "
        "reverse direction or a decoder");
  }
  SessionOptions options;
  options.target = flags.target;
  options.threads = flags.threads;
  ESPALIER_ASSIGN_OR_RETURN(Session session, Session::Create(artifact, options));
  ESPALIER_RETURN_IF_ERROR(ChangeRules(artifact.graph(), flags.rules, &session));
  std::optional<ExitWatch> exit;
  if (rule) {
    Result<ExitWatch> watch = session.WatchFor(*rule);
    if (!watch.ok()) return watch.status().WithContext(flags.network);
    exit = *watch;
  }
  if (flags.budget_us) ESPALIER_RETURN_IF_ERROR(SetBudget(artifact, flags, &session));
  Runner runner(artifact, flags, std::move(session), exit, *console);
  Sequence sequence;
  int64_t line_number = 0;
  int64_t steps = 0;
  int64_t index = 0;
  const auto end_sequence = [&]() -> Status {
    if (streams) return runner.EndSequence();
    if (sequence.steps == 0) return Ok();
    ESPALIER_RETURN_IF_ERROR(RunWhole(artifact, flags, sequence, index++, *console));
    sequence = Sequence();
    return Ok();
  };
  for (std::string line; std::getline(*in, line);) {
    ++line_number;
    if (line_number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);  // a BOM
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      ESPALIER_RETURN_IF_ERROR(end_sequence());
      continue;
    }
    ESPALIER_RETURN_IF_ERROR(
        ReadStep(line, type, &sequence).WithContext(StrCat(source, ": line ", line_number)));
    ++steps;
    if (!streams) continue;
    ESPALIER_RETURN_IF_ERROR(runner.Step(sequence));
    sequence = Sequence();
  }
  if (in->bad()) return IoError(source + ": cannot be read to its end");
  if (steps == 0) return InvalidArgument(source + ": at least 1 step expected, 0 found");
  ESPALIER_RETURN_IF_ERROR(end_sequence());
  if (exit) {
    console->Note(runner.ExitText());
    if (console->json) ESPALIER_RETURN_IF_ERROR(console->Result("", {{"exit", runner.ExitJson()}}));
  }
  if (flags.budget_us) {
    console->Note(runner.BudgetText());
    if (console->json)
      ESPALIER_RETURN_IF_ERROR(console->Result("", {{"budget", runner.BudgetJson()}}));
  }
  return Ok();
}

Status Run(const Flags& flags, Console* console) {
  ESPALIER_ASSIGN_OR_RETURN(const std::optional<ExitRule> rule, flags.exit.Resolve());
  ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, OpenToRun(flags.network, flags.target));
  if (flags.check) {
    ESPALIER_RETURN_IF_ERROR(CheckGolden(artifact, flags.target));
    console->Note(flags.network + ": the golden sample comes out as it was compiled");
  }
  if (flags.input == "-") return RunAll(artifact, flags, rule, &std::cin, console);
  std::ifstream file(flags.input);
  if (!file) return IoError(flags.input + ": cannot open");
  return RunAll(artifact, flags, rule, &file, console);
}

}  // namespace

Action AddRun(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  app->footer(
      "Reads text: one step a line, numbers parted by spaces or commas, an empty line between\n"
      "sequences. Prints one line (with --json one object) a sequence, or a step; with\n"
      "--exit-confidence as soon as the network is sure, and reads on to the empty line.\n"
      "example: espalier run sparse.esp --input steps.txt --stream");
  app->add_option("network", flags->network, "Network (.esp or .onnx)")->required();
  app->add_option("--input", flags->input, "File of steps, - for stdin")->capture_default_str();
  app->add_flag("--stream", flags->stream, "Print the output after every step");
  app->add_flag("--check", flags->check, "First check the golden sample that the file carries");
  app->add_option("--budget-us", flags->budget_us,
                  "Microseconds that a step may take: thresholds of delta are raised where one "
                  "takes longer");
  AddRuleOptions(app, &flags->rules);
  AddExitOptions(app, &flags->exit);
  AddTargetOption(app, &flags->target);
  AddThreadsOption(app, &flags->threads, "Threads that share large matrices")
      ->capture_default_str();
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
