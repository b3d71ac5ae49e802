#include "pipeline/recipe.h"

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"
#include "base/strings.h"
#include "command.h"
#include "pipeline/dry_run.h"
#include "pipeline/plan_text.h"
#include "pipeline/recipe_overrides.h"
#include "pipeline/run.h"
#include "report/html.h"
#include "report/summary.h"
#include "report/text.h"

namespace espalier {
namespace {

struct Flags {
  std::string file;
  std::string run;
  std::string data;
  std::string modules;
  std::string target;
  RecipeOverrides overrides;
  bool fresh = false;
  bool without_onnxruntime = false;
};

RunHooks HooksFor(Console* console) {
  RunHooks hooks;
  hooks.on_stage = [console](const StageSpec& stage, size_t index, size_t count, StageStart start) {
    console->SetStage(stage.name);
    console->Note(StrCat("[", index + 1, "/", count, "] ", stage.name, " (",
                         StageKindName(stage.kind), ")",
                         start == StageStart::kReused ? ": done before" : ""));
  };
  hooks.on_stage_end = [console](const StageRecord& stage) {
    console->Note(StrCat("      ", stage.name, ": ", FormatSeconds(stage.seconds)));
  };
  hooks.on_step = [console](const TrainProgress& progress) { console->Step(progress); };
  hooks.on_epoch = [console](const TrainEpoch& epoch) { console->Epoch(epoch); };
  hooks.on_note = [console](const std::string& text) { console->Note("      " + text); };
  hooks.cancel = Console::StopOnSignals();
  return hooks;
}

// The report is worth having even where the chart libraries are missing: then it says how to get
// it.
Status WriteReport(const RunRecord& record, const Flags& flags, Console* console) {
  const Result<ChartLibraries> libraries = LoadChartLibraries(flags.modules);
  if (!libraries.ok()) {
    console->Note("no report.html: " + libraries.status().message());
    return Ok();
  }
  return WriteTextFileAtomic(flags.run + "/report.html", ReportHtml(record, *libraries));
}

// As a shell reads it: in quotes if it has to be.
std::string ShellWord(const std::string& word) {
  constexpr char kPlain[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./=:,@";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// The command that repeats the run.
std::string CommandLine(const Flags& flags, const Recipe& recipe) {
  std::string line =
      StrCat("espalier recipe run ", ShellWord(flags.file), " --run ", ShellWord(flags.run),
             " --data ", ShellWord(flags.data), " --node-modules ", ShellWord(flags.modules),
             " --seed ", recipe.seed, " --threads ", recipe.threads);
  if (flags.overrides.task) line += " --task " + ShellWord(*flags.overrides.task);
  if (flags.overrides.epochs_scale) {
    line += StrCat(" --epochs-scale ", *flags.overrides.epochs_scale);
  }
  if (!flags.target.empty()) line += " --target " + ShellWord(flags.target);
  if (flags.without_onnxruntime) line += " --without-onnxruntime";
  return line;
}

Result<Recipe> ReadWithOverrides(const Flags& flags) {
  ESPALIER_ASSIGN_OR_RETURN(Recipe recipe, ReadRecipe(flags.file));
  return Override(std::move(recipe), flags.overrides);
}

Status Run(Flags flags, Console* console) {
  ESPALIER_ASSIGN_OR_RETURN(const Recipe recipe, ReadWithOverrides(flags));
  if (flags.run.empty()) flags.run = "runs/" + std::filesystem::path(flags.file).stem().string();
  ESPALIER_ASSIGN_OR_RETURN(const TaskInfo task, FindTask(recipe.task));
  flags.data = DataDirOf(task, flags.data);
  console->SetMetric(task.metric.name);
  RunOptions options;
  options.run_dir = flags.run;
  options.data_dir = flags.data;
  options.fresh = flags.fresh;
  options.target = flags.target;
  options.command = CommandLine(flags, recipe);
  if (!flags.without_onnxruntime) {
    const Result<std::string> library = FindOnnxRuntimeIn(flags.modules);
    if (library.ok()) {
      options.onnxruntime = *library;
    } else {
      console->Note("ONNX Runtime will not be timed: " + library.status().message());
    }
  }
  ESPALIER_ASSIGN_OR_RETURN(const RunRecord record, RunRecipe(recipe, options, HooksFor(console)));
  console->SetStage("");
  const std::string json = record.summary ? SummaryJson(*record.summary) : "{}";
  ESPALIER_RETURN_IF_ERROR(console->Print(console->json ? json : SummaryTable(record)));
  return WriteReport(record, flags, console);
}

// The dry run: what every stage will do, without any training.
Status Check(const Flags& flags, Console* console) {
  ESPALIER_ASSIGN_OR_RETURN(const Recipe recipe, ReadWithOverrides(flags));
  Result<std::vector<PlannedStage>> planned = DryRun(recipe);
  if (!planned.ok()) return planned.status().WithContext(flags.file);
  return console->Result(
      StrCat(flags.file, ": good, ", recipe.stages.size(), " stages\n", PlanText(recipe, *planned)),
      {{"recipe", flags.file},
       {"stages", recipe.stages.size()},
       {"plan", Json::parse(PlanJson(recipe, *planned))}});
}

Status Show(const Flags& flags, Console* console) {
  ESPALIER_ASSIGN_OR_RETURN(const Recipe recipe, ReadWithOverrides(flags));
  return console->Print(RecipeJson(recipe));
}

CLI::App* AddInner(CLI::App* app, const std::string& name, const char* summary, Flags* flags) {
  CLI::App* inner = app->add_subcommand(name, summary);
  inner->footer("example: espalier recipe " + name + " recipes/quickstart.yaml" +
                (name == "run" ? " --run runs/quickstart" : ""));
  inner->add_option("file", flags->file, "Recipe (.yaml)")->required();
  RecipeOverrides& overrides = flags->overrides;
  AddSeedOption(inner, &overrides.seed, "Instead of the recipe's seed");
  AddThreadsOption(inner, &overrides.threads, "Instead of the recipe's threads");
  inner->add_option("--task", overrides.task, "Instead of the recipe's task");
  inner->add_option("--epochs-scale", overrides.epochs_scale,
                    "Times as many epochs in every stage, e.g. 0.2 for a quick look");
  return inner;
}

}  // namespace

Action AddRecipe(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  app->require_subcommand(1);
  app->footer("example: espalier recipe run recipes/quickstart.yaml --run runs/quickstart");
  CLI::App* run = AddInner(app, "run", "Run a recipe; what is done already is reused", flags.get());
  run->add_option("--run", flags->run, "Run folder (default: runs/<recipe>)");
  AddDataOption(run, &flags->data);
  AddNodeModulesOption(run, &flags->modules);
  AddTargetOption(run, &flags->target);
  run->add_flag("--fresh", flags->fresh, "Run every stage again");
  run->add_flag("--without-onnxruntime", flags->without_onnxruntime, "Do not time ONNX Runtime");
  CLI::App* check =
      AddInner(app, "check", "Check a recipe and print its plan, without running it", flags.get());
  check->alias("dry-run");
  const CLI::App* show = AddInner(app, "show", "Print the recipe with every default", flags.get());
  return [flags, check, show](Console* console) {
    if (check->parsed()) return Check(*flags, console);
    if (show->parsed()) return Show(*flags, console);
    return Run(*flags, console);
  };
}

}  // namespace espalier
