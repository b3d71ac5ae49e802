// espalier: prunes recurrent networks and runs what is left fast.
#include <fcntl.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <sstream>

#include "base/strings.h"
#include "command.h"
#include "espalier/espalier.h"

namespace espalier {
namespace {

// Part of the interface (docs/conventions.md, section 13): never renumbered.
constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;

struct Command {
  const char* name;
  AddCommand add;
  const char* summary;
};

constexpr Command kCommands[] = {
#define ESPALIER_COMMAND(name, function, summary) {#name, function, summary},
#include "commands.inc"
#undef ESPALIER_COMMAND
};

// CLI11 reads an empty text as 0, or as an option that was not given: `--epochs "$EPOCHS"`.
std::string CheckNotEmpty(const std::string& text) {
  return text.empty() ? "a number expected, '' found" : "";
}

// Refuses an empty text for each number of the command, before other checks see it.
void RefuseEmptyNumbers(CLI::App* app) {
  for (CLI::Option* option : app->get_options()) {
    const std::string type = option->get_type_name();
    const bool is_number =
        type.starts_with("INT") || type.starts_with("UINT") || type.starts_with("FLOAT");
    if (is_number)
      option->transform(CLI::Validator([](std::string& text) { return CheckNotEmpty(text); }, ""));
  }
}

// Options that every command has.
void AddCommonOptions(CLI::App* app, Console* console) {
  if (app->get_option_no_throw("--seed") == nullptr && app->get_subcommands(nullptr).empty()) {
    app->add_option("--seed", "Taken by every command; nothing in this one is random")
        ->type_name("UINT")
        ->check(CheckSeed);
  }
  app->add_flag("--json", console->json, "Print the result as one JSON object");
  app->add_flag("--quiet", console->quiet, "Print nothing but results and errors");
  app->add_flag("--verbose", console->verbose, "Say which choices were made and why");
  RefuseEmptyNumbers(app);
}

// The innermost command that was named.
const CLI::App* Innermost(const CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

// As it is typed: "espalier recipe run".
std::string CommandPath(const CLI::App* command) {
  const CLI::App* parent = command->get_parent();
  return (parent == nullptr ? "" : CommandPath(parent) + " ") + command->get_name();
}

// What an argument that nothing takes was perhaps meant to be.
std::vector<std::string> Candidates(const CLI::App& app, const std::string& argument) {
  std::vector<std::string> names;
  if (argument.starts_with("-")) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  } else {
    for (const CLI::App* sub : app.get_subcommands(nullptr)) {
      names.push_back(sub->get_name());
      for (const std::string& alias : sub->get_aliases()) names.push_back(alias);
    }
  }
  return names;
}

// One sentence about arguments that CLI11 refused. It looks for what is missing before it names
// what nothing takes: `train --tsk mnist-rows` would be told that --task is required.
std::string UsageSentence(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = Innermost(&app);
  std::string sentence = error.what();
  std::vector<std::string> unknown;
  const auto is = [&](CLI::ExitCodes code) {
    return error.get_exit_code() == static_cast<int>(code);
  };
  if (is(CLI::ExitCodes::RequiredError)) unknown = app.remaining(true);
  // It has taken them out; its message ends in them, the first one last.
  if (is(CLI::ExitCodes::ExtrasError)) unknown = {sentence.substr(sentence.rfind(' ') + 1)};
  if (!unknown.empty()) {
    sentence = StrCat("unknown argument '", unknown[0], "'",
                      DidYouMean(unknown[0], Candidates(*command, unknown[0])));
  }
  return StrCat(sentence, "; see '", CommandPath(command), " --help'");
}

Status PrintUsage(const CLI::App& app, const CLI::ParseError& error, const Console& console) {
  std::ostringstream out;
  app.exit(error, out, out);
  return console.Print(out.str());
}

int Fail(Console* console, const Status& status) {
  console->Error(status);
  return status.code() == Code::kCancelled ? kExitInterrupted : kExitError;
}

// A file that is opened later must not become the stdout or stderr that is not there.
void OpenStandardFiles() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1) continue;
    const int opened = fd == 0 ? ::open("/dev/null", O_RDONLY) : ::open("/dev/full", O_WRONLY);
    if (opened != fd) std::abort();  // it takes the lowest free number
  }
}

int Main(int argc, char** argv) {
  OpenStandardFiles();
  // A file that grows past the user's limit is an error like a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  CLI::App app(
      "Prunes recurrent neural networks (LSTM, GRU, RNN) and runs what is left fast on a CPU.\n"
      "Exit codes: 0 done, 1 error, 2 wrong arguments, 130 interrupted.",
      "espalier");
  app.set_version_flag("--version", ESPALIER_VERSION);
  app.require_subcommand(1);
  Console console;
  std::map<const CLI::App*, Action> actions;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    actions[sub] = command.add(sub);
    AddCommonOptions(sub, &console);
    // `espalier recipe run ... --json`: the options belong to the innermost command.
    for (CLI::App* inner : sub->get_subcommands(nullptr)) AddCommonOptions(inner, &console);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) {
      console.Error(InvalidArgument(UsageSentence(app, error)));
      return kExitUsage;
    }
    const Status printed = PrintUsage(app, error, console);
    return printed.ok() ? 0 : Fail(&console, printed);
  }
  const Status status = actions.at(app.get_subcommands().front())(&console);
  return status.ok() ? 0 : Fail(&console, status);
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) {
  espalier::Console console;
  try {
    return espalier::Main(argc, argv);
  } catch (const std::bad_alloc&) {
    console.Error(espalier::OutOfMemory("out of memory"));
  } catch (const std::exception& error) {
    console.Error(espalier::Internal(std::string("internal error: ") + error.what()));
  }
  return espalier::kExitError;
}
