// espalier: prunes recurrent networks and runs what is left fast.
#include <iterator>
#include <map>

#include "command.h"
#include "espalier/espalier.h"

namespace espalier {
namespace {

// Part of the interface (docs/versioning): never renumbered.
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

// Options that every command has.
void AddCommonOptions(CLI::App* app, Console* console) {
  if (app->get_option_no_throw("--seed") == nullptr && app->get_subcommands(nullptr).empty()) {
    app->add_option("--seed", "Taken by every command; nothing in this one is random");
  }
  app->add_flag("--json", console->json, "Print the result as one JSON object");
  app->add_flag("--quiet", console->quiet, "Print nothing but results and errors");
  app->add_flag("--verbose", console->verbose, "Say which choices were made and why");
}

int Main(int argc, char** argv) {
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
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  Console::InstallSignalHandlers();
  const Status status = actions.at(app.get_subcommands().front())(&console);
  if (status.ok()) return 0;
  console.Error(status);
  return Console::cancelled() ? kExitInterrupted : kExitError;
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) {
  try {
    return espalier::Main(argc, argv);
  } catch (const std::bad_alloc&) {
    espalier::Console().Error(espalier::OutOfMemory("out of memory"));
  } catch (const std::exception& error) {
    espalier::Console().Error(espalier::Internal(std::string("internal error: ") + error.what()));
  }
  return 1;
}
