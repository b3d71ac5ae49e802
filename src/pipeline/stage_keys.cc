#include "pipeline/stage_keys.h"

#include <cstdio>
#include <span>

#include "artifact/layout.h"
#include "base/bytes.h"
#include "base/strings.h"
#include "espalier/espalier.h"

namespace espalier {
namespace {

// CRC-32C twice over different texts: 64 bits against accidents.
std::string HashOf(const std::string& text) {
  const auto hash = [](const std::string& t) { return Crc32c(std::as_bytes(std::span(t))); };
  char key[17];
  std::snprintf(key, sizeof(key), "%08x%08x", hash(text), hash("salt" + text));
  return key;
}

std::string FactsOf(const Recipe& recipe, size_t index, const RunFacts& facts) {
  const StageSpec& stage = recipe.stages[index];
  switch (stage.kind) {
    case StageKind::kTrain: return facts.data;
    case StageKind::kPrune: {
      if (!stage.search.HasCosts()) return "";
      const StageSpec* compile = CompileStageAfter(recipe, index);
      return StrCat(facts.cpu, "|", facts.target, "|", facts.costs, "|",
                    compile == nullptr ? "" : StageJson(*compile));
    }
    case StageKind::kCompact:
    case StageKind::kEvaluate: return "";
    case StageKind::kThresholds: return StrCat(facts.cpu, "|", facts.target);
    case StageKind::kCompile:  // files of another version are of no use
      return StrCat(facts.cpu, "|", facts.target, "|", facts.costs, "|", kArtifactVersion);
    case StageKind::kBench: return StrCat(facts.cpu, "|", facts.target, "|", facts.onnxruntime);
  }
  return "";
}

}  // namespace

std::vector<std::string> StageKeys(const Recipe& recipe, const RunFacts& facts) {
  Recipe head = recipe;
  head.stages.clear();
  head.name.clear();
  std::string previous = StrCat(ESPALIER_VERSION, "|", RecipeJson(head));
  std::vector<std::string> keys;
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    const StageSpec& stage = recipe.stages[i];
    previous = HashOf(StrCat(previous, "|", StageKindName(stage.kind), "|", StageJson(stage), "|",
                             FactsOf(recipe, i, facts)));
    keys.push_back(previous);
  }
  return keys;
}

}  // namespace espalier
