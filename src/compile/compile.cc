#include "compile/compile.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "artifact/sections.h"
#include "base/strings.h"
#include "compile/tuner.h"
#include "formats/row_scales.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

namespace espalier {
namespace {

Status CheckName(const char* what, const std::string& name, const std::vector<MatrixPart>& parts) {
  std::vector<std::string> names;
  for (const MatrixPart& part : parts) {
    if (part.name == name || part.weight == name) return Ok();
    names.push_back(part.name);
  }
  return InvalidArgument(StrCat(what, " of '", name, "': no such matrix", DidYouMean(name, names)));
}

Status CheckOptions(const CompileOptions& options, const std::vector<MatrixPart>& parts) {
  if (options.repetitions < 1) {
    return InvalidArgument(
        StrCat("repetitions: at least 1 expected, ", options.repetitions, " found"));
  }
  if (options.batched_rows < 1 || options.batched_rows > kMaxBatchedRows) {
    return InvalidArgument(StrCat("batched_rows: 1 to ", kMaxBatchedRows, " expected, ",
                                  options.batched_rows, " found"));
  }
  if (options.tuning == Tuning::kCosts) {
    if (options.costs == nullptr) return InvalidArgument("costs: a table expected, none found");
    ESPALIER_RETURN_IF_ERROR(CheckCosts(*options.costs));
    if (options.cache == CacheState::kCold) {
      return InvalidArgument("cache: warm expected, cold found: costs are those of warm weights");
    }
  }
  for (const auto& [name, spec] : options.forced) {
    ESPALIER_RETURN_IF_ERROR(CheckName("forced format", name, parts));
  }
  for (const auto& [name, x_scale] : options.x_scales) {
    ESPALIER_RETURN_IF_ERROR(CheckName("x scale", name, parts));
    if (IsXScale(x_scale)) continue;
    return InvalidArgument(StrCat("x scale of '", name, "': 0, or ", kLeastXScale, " to ",
                                  kMostXScale, " expected, ", x_scale, " found"));
  }
  return Ok();
}

const FormatSpec* ForcedFormat(const CompileOptions& options, const MatrixPart& part) {
  for (const std::string& name : {part.name, part.weight}) {
    const bool is_second = part.by_column || part.is_plain;
    if (is_second && name == part.weight) continue;  // that is the other part's
    const auto it = options.forced.find(name);
    if (it != options.forced.end()) return &it->second;
  }
  return nullptr;
}

MatrixUse UseOf(const Graph& graph, const std::map<std::string, ValueType>& types,
                const MatrixPart& part) {
  const Node& node = *FindOwner(graph, part.weight);
  if (node.op == Op::kEmbedding) {
    return IsMultiplied(graph, part.weight) ? MatrixUse::kBatched : MatrixUse::kLookup;
  }
  if (node.op == Op::kRecurrent) {
    if (node.banks || IsPredictor(graph, part.weight)) return MatrixUse::kSingle;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      if (direction.weight_hh == part.weight) return MatrixUse::kSingle;
    }
    return MatrixUse::kBatched;
  }
  const bool has_time = types.at(node.inputs[0]).layout == Layout::kSequence;
  return has_time ? MatrixUse::kBatched : MatrixUse::kSingle;
}

// TunedPart::most_by_row. Rows that are predicted are many, idle candidates few. Products of many x
// at once are made ahead, with all rows.
double MostByRow(const Graph& graph, const MatrixPart& part, bool is_single) {
  const Node& node = *FindOwner(graph, part.weight);
  if (GatesOfWeight(node, part.weight) == 0 || !is_single || part.is_plain) return 0.0;
  return node.predicted.has_value() ? 2.0 : node.idle.has_value() ? 1.05 : 0.0;
}

// Rounds what the chosen kernels round while no row is left out.
MatrixInputFn RoundingOf(const std::vector<MatrixPart>& parts,
                         const std::map<std::string, Choice>& choices) {
  std::map<std::pair<std::string, int64_t>, float> x_scales;
  for (const MatrixPart& part : parts) {
    const auto it = choices.find(part.name);
    if (it == choices.end()) continue;
    // A plain part comes later than the one that it stands for.
    x_scales.erase({part.weight, part.first_row});
    if (it->second.spec.type != WeightType::kI8) continue;
    x_scales[{part.weight, part.first_row}] = it->second.x_scale;
  }
  if (x_scales.empty()) return {};
  return [x_scales](const std::string& weight, int64_t first_row, std::span<double> x) {
    const auto it = x_scales.find({weight, first_row});
    if (it != x_scales.end()) RoundX(it->second, x);
  };
}

// The format of a part that is_plain, if it is worth a second of the matrix: faster for all rows
// than the one by row that was taken for those that are left out. By times of one run.
std::optional<Candidate> PlainFormat(const Choice& by_row) {
  constexpr double kMostShare = 0.97;
  std::optional<Candidate> fastest;
  for (const Candidate& other : by_row.runners_up) {
    const double most = fastest ? fastest->ns : kMostShare * by_row.ns;
    if (other.ns > 0.0 && other.ns < most) fastest = other;
  }
  return by_row.spec.id == FormatId::k_rows ? fastest : std::nullopt;
}

// A plain part rounds x as the one that it stands for.
std::map<std::string, float> XScalesOf(const CompileOptions& options,
                                       const std::vector<MatrixPart>& parts) {
  std::map<std::string, float> x_scales = options.x_scales;
  for (const MatrixPart& part : parts) {
    const auto it = options.x_scales.find(part.weight);
    if (part.is_plain && it != options.x_scales.end()) x_scales[part.name] = it->second;
  }
  return x_scales;
}

// A candidate of another type than matrices are rounded to stores next to none of them.
void WarnOfTypes(const CompileOptions& options) {
  for (const FormatSpec& spec : options.candidates) {
    if (spec.type == WeightType::kF32 || spec.type == options.weights) continue;
    options.log.Warning(StrCat(
        "format ", FormatName(spec), ": weights of type ", WeightTypeName(spec.type), " expected, ",
        WeightTypeName(options.weights), " found: it is taken only where all happen to be such"));
  }
}

Result<AlignedBuffer<std::byte>> CompileGraph(const Graph& given,
                                              const CompileOptions& given_options) {
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(given));
  const Graph rounded = RoundMatrices(given, given_options.weights);
  const Graph graph = MergeBiases(rounded);
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<MatrixPart> parts, MatrixPartsOf(graph));
  ESPALIER_RETURN_IF_ERROR(CheckOptions(given_options, parts));
  WarnOfTypes(given_options);
  CompileOptions options = given_options;
  options.x_scales = XScalesOf(given_options, parts);
  ESPALIER_ASSIGN_OR_RETURN(const KernelTable* kernels, FindKernels(options.target));
  ESPALIER_ASSIGN_OR_RETURN(const auto types, InferTypes(graph));

  ArtifactContent content;
  content.metadata = options.metadata;
  content.metadata["target"] = kernels->target;
  if (options.tuning == Tuning::kCosts) {
    content.metadata["target"] = options.costs->target;
    content.metadata["costs"] = options.costs->cpu;
  }
  if (options.tuning == Tuning::kMeasure) {  // how the recorded times were taken
    content.metadata["cache"] = CacheStateName(options.cache);
  }
  if (options.weights != WeightType::kF32) {
    content.metadata["weights"] = WeightTypeName(options.weights);
  }
  Tuner tuner(options, kernels);
  // W sent is kept in f32 and changed without rounding x, so its plain product rounds none either.
  CompileOptions exact_options = options;
  if (options.weights == WeightType::kI8) exact_options.weights = WeightType::kF32;
  std::erase_if(exact_options.candidates,
                [](const FormatSpec& spec) { return spec.type == WeightType::kI8; });
  if (exact_options.candidates.empty() && !options.candidates.empty()) {
    exact_options.candidates.push_back(FormatSpec());  // not all there are
  }
  Tuner exact_tuner(exact_options, kernels);
  // Its weights are rounded to i8 in any case, but x only with all others.
  CompileOptions predictor_options = options;
  predictor_options.candidates = {
      FormatSpec{.type = options.weights == WeightType::kI8 ? WeightType::kI8 : WeightType::kF32}};
  Tuner predictor_tuner(predictor_options, kernels);
  for (const MatrixPart& part : parts) {
    const MatrixUse use = UseOf(graph, types, part);
    const bool is_single = use == MatrixUse::kSingle || options.batched_rows == 1;
    const TunedPart tuned{part.name,
                          {graph.weights.at(part.weight).values.data() + part.first_row * part.cols,
                           part.rows, part.cols},
                          SectionsOf(graph, part),
                          MostByRow(graph, part, is_single)};
    const FormatSpec* forced = ForcedFormat(options, part);
    const std::optional<Candidate> plain =
        part.is_plain ? PlainFormat(content.choices.at(part.weight)) : std::nullopt;
    if (part.is_plain && forced == nullptr && !plain) continue;
    const bool is_exact = FindOwner(graph, part.weight)->delta.has_value();
    const bool is_predictor = IsPredictor(graph, part.weight);
    Tuner& chooser = is_exact ? exact_tuner : is_predictor ? predictor_tuner : tuner;
    if (forced != nullptr && is_exact && forced->type == WeightType::kI8) {
      return InvalidArgument(StrCat("forced format of '", part.name,
                                    "': one that does not round x, "
                                    "since its layer has delta, expected, ",
                                    FormatName(*forced), " found"));
    }
    if (forced != nullptr && part.by_column && forced->id != FormatId::k_columns) {
      return InvalidArgument(StrCat("forced format of '", part.name, "': one by columns expected, ",
                                    FormatName(*forced), " found"));
    }
    const auto choose = [&] {
      if (forced != nullptr) return chooser.Force(tuned, *forced);
      if (plain) return chooser.Force(tuned, plain->spec, plain->ns);
      if (!part.by_column) return chooser.Choose(tuned, use);
      return chooser.ByColumn(tuned, content.choices.at(part.weight), use);  // listed before it
    };
    ESPALIER_ASSIGN_OR_RETURN(Choice choice, choose());
    options.log.Info(StrCat("choice matrix=", part.name, " format=", FormatName(choice.spec),
                            " kernel=", choice.kernel, " ns=", choice.ns));
    const auto x_scale = options.x_scales.find(part.name);
    if (x_scale != options.x_scales.end()) {
      if (choice.spec.type == WeightType::kI8) {
        choice.x_scale = x_scale->second;
      } else if (x_scale->second > 0.0f && !is_exact) {
        options.log.Warning(StrCat(part.name, ": its x scale ", x_scale->second,
                                   " is not used, since the format ", FormatName(choice.spec),
                                   " is not of type i8"));
      }
    }
    content.choices[part.name] = std::move(choice);
  }
  ESPALIER_ASSIGN_OR_RETURN(
      content.golden, MakeGoldenSample(rounded, options.seed, RoundingOf(parts, content.choices)));
  return WriteArtifact(graph, content);
}

}  // namespace

Graph RoundMatrices(const Graph& graph, WeightType type) {
  Graph rounded = graph;
  for (auto& [name, weight] : rounded.weights) {
    if (weight.shape.size() != 2) continue;
    const bool is_predictor = IsPredictor(graph, name);
    RoundMatrix(is_predictor ? WeightType::kI8 : type, weight.dim(1), weight.values);
  }
  return rounded;
}

Graph MergeBiases(const Graph& graph) {
  Graph merged = graph;
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kRecurrent || InfoOf(node.cell).sums_apart) continue;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      std::vector<float>& bias_ih = merged.weights.at(direction.bias_ih).values;
      std::vector<float>& bias_hh = merged.weights.at(direction.bias_hh).values;
      std::vector<float> sum(bias_ih.size());
      std::transform(bias_ih.begin(), bias_ih.end(), bias_hh.begin(), sum.begin(), std::plus());
      const auto is_finite = [](float value) { return std::isfinite(value); };
      if (!std::all_of(sum.begin(), sum.end(), is_finite)) continue;
      bias_ih = std::move(sum);
      std::fill(bias_hh.begin(), bias_hh.end(), 0.0f);
    }
  }
  return merged;
}

Result<AlignedBuffer<std::byte>> Compile(const Graph& graph, const CompileOptions& options) {
  try {
    return CompileGraph(graph, options);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(StrCat("compiling graph '", graph.name, "': memory is exhausted"));
  }
}

}  // namespace espalier
