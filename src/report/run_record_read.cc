#include <limits>
#include <utility>

#include "base/file.h"
#include "base/strings.h"
#include "report/base64.h"
#include "report/json.h"
#include "report/run_record.h"

namespace espalier {
namespace {

// Reads each element of the list `key` with `read(reader, &element)`.
template <typename T, typename Read>
Status ReadList(const ObjectReader& object, const std::string& key, std::vector<T>* out,
                const Read& read) {
  const Json* list = nullptr;
  ESPALIER_RETURN_IF_ERROR(object.Array(key, &list));
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string path = StrCat(object.PathOf(key), "[", i, "]");
    ESPALIER_ASSIGN_OR_RETURN(const ObjectReader element, ObjectReader::Make((*list)[i], path));
    out->emplace_back();
    ESPALIER_RETURN_IF_ERROR(read(element, &out->back()));
  }
  return Ok();
}

template <typename T, typename Read>
Status ReadListIfAny(const ObjectReader& object, const std::string& key, std::vector<T>* out,
                     const Read& read) {
  return object.Find(key) == nullptr ? Ok() : ReadList(object, key, out, read);
}

Status ReadClassNames(const ObjectReader& task, std::vector<std::string>* out) {
  const Json* list = nullptr;
  ESPALIER_RETURN_IF_ERROR(task.Array("classes", &list));
  for (const Json& name : *list) {
    if (!name.is_string()) return task.Fail("classes", "a list of texts");
    out->push_back(name.get<std::string>());
  }
  return Ok();
}

Status ReadTask(const ObjectReader& object, TaskRecord* task) {
  ESPALIER_RETURN_IF_ERROR(object.Text("name", &task->name));
  ESPALIER_RETURN_IF_ERROR(object.Text("metric", &task->metric));
  ESPALIER_RETURN_IF_ERROR(ReadClassNames(object, &task->classes));
  ESPALIER_RETURN_IF_ERROR(object.Count("train", &task->train));
  ESPALIER_RETURN_IF_ERROR(object.Count("valid", &task->valid));
  return object.Count("test", &task->test);
}

Status ReadEpoch(const ObjectReader& object, EpochRecord* epoch) {
  ESPALIER_RETURN_IF_ERROR(object.Count("epoch", &epoch->epoch));
  ESPALIER_RETURN_IF_ERROR(object.Count("step", &epoch->step));
  ESPALIER_RETURN_IF_ERROR(object.NumberOrNan("train_loss", &epoch->train_loss));
  ESPALIER_RETURN_IF_ERROR(object.NumberOrNan("valid_loss", &epoch->valid_loss));
  ESPALIER_RETURN_IF_ERROR(object.NumberOrNan("valid_metric", &epoch->valid_metric));
  ESPALIER_RETURN_IF_ERROR(object.NumberOrNan("learning_rate", &epoch->learning_rate));
  ESPALIER_RETURN_IF_ERROR(object.Share("sparsity", &epoch->sparsity));
  return object.Number("seconds", &epoch->seconds);
}

// Shares that may be above 1: of a network that is larger or slower.
Status ReadCosts(const ObjectReader& object, std::optional<double>* bytes,
                 std::optional<double>* time) {
  if (object.Find("bytes") != nullptr) {
    ESPALIER_RETURN_IF_ERROR(object.Number("bytes", &bytes->emplace()));
  }
  if (object.Find("time") == nullptr) return Ok();
  return object.Number("time", &time->emplace());
}

Status ReadTried(const ObjectReader& object, TriedRecord* tried) {
  ESPALIER_RETURN_IF_ERROR(object.Share("sparsity", &tried->sparsity));
  ESPALIER_RETURN_IF_ERROR(ReadCosts(object, &tried->bytes, &tried->time));
  return object.NumberOrNan("metric", &tried->metric);
}

Status ReadSearch(const ObjectReader& object, SearchRecord* search) {
  ESPALIER_RETURN_IF_ERROR(object.NumberOrNan("metric_before", &search->metric_before));
  ESPALIER_RETURN_IF_ERROR(object.Share("within", &search->within));
  if (object.Find("kept") != nullptr) {
    ESPALIER_RETURN_IF_ERROR(object.Share("kept", &search->kept.emplace()));
  }
  ESPALIER_RETURN_IF_ERROR(ReadCosts(object, &search->bytes, &search->time));
  if (object.Find("is_met") != nullptr) {
    ESPALIER_RETURN_IF_ERROR(object.Flag("is_met", &search->is_met));
  }
  return ReadList(object, "tried", &search->tried, ReadTried);
}

Status ReadStage(const ObjectReader& object, StageRecord* stage) {
  ESPALIER_RETURN_IF_ERROR(object.Text("name", &stage->name));
  ESPALIER_RETURN_IF_ERROR(object.Text("kind", &stage->kind));
  ESPALIER_RETURN_IF_ERROR(object.Number("seconds", &stage->seconds));
  ESPALIER_RETURN_IF_ERROR(object.Count("seed", &stage->seed));
  ESPALIER_RETURN_IF_ERROR(object.TextOr("key", "", &stage->key));
  if (const Json* parameters = object.Find("parameters")) {
    if (!parameters->is_object()) return object.Fail("parameters", "an object");
    stage->parameters_json = PrintJson(*parameters, -1);
  }
  ESPALIER_RETURN_IF_ERROR(ReadListIfAny(object, "epochs", &stage->epochs, ReadEpoch));
  if (object.Find("search") != nullptr) {
    ESPALIER_ASSIGN_OR_RETURN(const ObjectReader search, object.Object("search"));
    ESPALIER_RETURN_IF_ERROR(ReadSearch(search, &stage->search.emplace()));
  }
  ESPALIER_RETURN_IF_ERROR(object.TextOr("output", "", &stage->output));
  return object.TextOr("crc32c", "", &stage->crc32c);
}

Status ReadGate(const ObjectReader& object, GateRecord* gate) {
  ESPALIER_RETURN_IF_ERROR(object.Text("name", &gate->name));
  return object.Share("sparsity", &gate->sparsity);
}

Status ReadCandidate(const ObjectReader& object, CandidateRecord* candidate) {
  ESPALIER_RETURN_IF_ERROR(object.Text("format", &candidate->format));
  ESPALIER_RETURN_IF_ERROR(object.Number("ns", &candidate->ns));
  return object.Count("bytes", &candidate->bytes);
}

// Rows and columns of what has a mask: rows * cols cannot overflow.
constexpr int64_t kMostSide = int64_t{1} << 31;

// A mask of so many rows and columns, in base64; none if the key is missing or "".
Status ReadMask(const ObjectReader& object, const std::string& key, int64_t rows, int64_t cols,
                std::vector<uint8_t>* out) {
  std::string text;
  ESPALIER_RETURN_IF_ERROR(object.TextOr(key, "", &text));
  if (text.empty()) return Ok();
  std::optional<std::vector<uint8_t>> mask = Base64Decode(text);
  if (!mask) return object.Fail(key, "base64");
  const auto expected = static_cast<uint64_t>((rows * cols + 7) / 8);
  if (mask->size() != expected) {
    return BadFormat(StrCat(object.PathOf(key), ": ", expected, " bytes expected for ", rows, "x",
                            cols, ", ", mask->size(), " found"));
  }
  *out = *std::move(mask);
  return Ok();
}

Status ReadWeight(const ObjectReader& object, WeightRecord* weight) {
  ESPALIER_RETURN_IF_ERROR(object.Text("name", &weight->name));
  ESPALIER_RETURN_IF_ERROR(object.Count("rows", &weight->rows));
  ESPALIER_RETURN_IF_ERROR(object.Count("cols", &weight->cols));
  if (weight->rows > kMostSide) return object.Fail("rows", "at most 2^31");
  if (weight->cols > kMostSide) return object.Fail("cols", "at most 2^31");
  ESPALIER_RETURN_IF_ERROR(object.Count("nonzeros", &weight->nonzeros));
  ESPALIER_RETURN_IF_ERROR(object.Share("sparsity", &weight->sparsity));
  ESPALIER_RETURN_IF_ERROR(ReadListIfAny(object, "gates", &weight->gates, ReadGate));
  ESPALIER_RETURN_IF_ERROR(ReadMask(object, "mask", weight->rows, weight->cols, &weight->mask));
  ESPALIER_RETURN_IF_ERROR(object.TextOr("format", "", &weight->format));
  ESPALIER_RETURN_IF_ERROR(object.TextOr("kernel", "", &weight->kernel));
  ESPALIER_RETURN_IF_ERROR(object.CountOr("encoded_bytes", 0, &weight->encoded_bytes));
  return ReadListIfAny(object, "candidates", &weight->candidates, ReadCandidate);
}

Status ReadClassMetric(const ObjectReader& object, size_t classes, std::vector<double>* out) {
  if (object.Find("class_metric") == nullptr) return Ok();
  const Json* list = nullptr;
  ESPALIER_RETURN_IF_ERROR(object.Array("class_metric", &list));
  for (const Json& value : *list) {
    if (!value.is_number() && !value.is_null()) {
      return object.Fail("class_metric", "a list of numbers");
    }
    out->push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                   : value.get<double>());
  }
  if (out->empty() || out->size() == classes) return Ok();
  return object.Fail("class_metric", StrCat("a list of ", classes, " (one a class)"));
}

Status ReadConfusion(const ObjectReader& object, size_t classes,
                     std::vector<std::vector<int64_t>>* out) {
  if (object.Find("confusion") == nullptr) return Ok();
  const Json* list = nullptr;
  ESPALIER_RETURN_IF_ERROR(object.Array("confusion", &list));
  const std::string expected = StrCat(classes, " lists of ", classes, " counts");
  if (!list->empty() && list->size() != classes) return object.Fail("confusion", expected);
  for (const Json& row : *list) {
    if (!row.is_array() || row.size() != classes) return object.Fail("confusion", expected);
    out->emplace_back();
    for (const Json& count : row) {
      if (!count.is_number_unsigned()) return object.Fail("confusion", expected);
      out->back().push_back(count.get<int64_t>());
    }
  }
  return Ok();
}

Status ReadHiddenSizes(const ObjectReader& object, std::map<std::string, int64_t>* out) {
  if (object.Find("hidden_sizes") == nullptr) return Ok();
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader sizes, object.Object("hidden_sizes"));
  for (const auto& [layer, size] : object.Find("hidden_sizes")->items()) {
    ESPALIER_RETURN_IF_ERROR(sizes.Count(layer, &(*out)[layer]));
  }
  return Ok();
}

Status ReadMap(const ObjectReader& object, ActivityMap* map) {
  ESPALIER_RETURN_IF_ERROR(object.Count("sequence", &map->sequence));
  for (const auto& [key, count] :
       {std::pair("steps", &map->steps), std::pair("inputs", &map->inputs),
        std::pair("units", &map->units)}) {
    ESPALIER_RETURN_IF_ERROR(object.Count(key, count));
    if (*count > kMostSide) return object.Fail(key, "at most 2^31");
  }
  const auto read = [&](const char* key, int64_t rows, std::vector<uint8_t>* out) {
    ESPALIER_RETURN_IF_ERROR(ReadMask(object, key, rows, map->steps, out));
    return out->empty() && rows * map->steps > 0 ? object.Fail(key, "base64") : Ok();
  };
  ESPALIER_RETURN_IF_ERROR(read("updates", 1, &map->updates));
  ESPALIER_RETURN_IF_ERROR(read("x_sent", map->inputs, &map->x_sent));
  ESPALIER_RETURN_IF_ERROR(read("h_sent", map->units, &map->h_sent));
  if (object.Find("rows_run") == nullptr) return Ok();
  const Json* shares = nullptr;
  ESPALIER_RETURN_IF_ERROR(object.Array("rows_run", &shares));
  for (const Json& share : *shares) {
    const double value = share.is_number() ? share.get<double>() : -1.0;
    if (!(value >= 0.0 && value <= 1.0)) return object.Fail("rows_run", "shares in [0, 1]");
    map->rows_run.push_back(value);
  }
  if (static_cast<int64_t>(map->rows_run.size()) == map->steps) return Ok();
  return object.Fail("rows_run", StrCat("one for each of ", map->steps, " steps"));
}

Status ReadActivity(const ObjectReader& object, ActivityRecord* activity) {
  ESPALIER_RETURN_IF_ERROR(object.Text("layer", &activity->layer));
  ESPALIER_RETURN_IF_ERROR(object.Flag("reverse", &activity->reverse));
  ESPALIER_RETURN_IF_ERROR(object.Number("delta_x", &activity->delta_x));
  ESPALIER_RETURN_IF_ERROR(object.Number("delta_h", &activity->delta_h));
  ESPALIER_RETURN_IF_ERROR(object.Flag("skip", &activity->skip));
  ESPALIER_RETURN_IF_ERROR(object.Count("steps", &activity->steps));
  ESPALIER_RETURN_IF_ERROR(object.Count("skipped", &activity->skipped));
  if (object.Find("banks") != nullptr) {  // records of before have none
    ESPALIER_RETURN_IF_ERROR(object.Flag("banks", &activity->banks));
    ESPALIER_RETURN_IF_ERROR(object.Count("units", &activity->units));
    ESPALIER_RETURN_IF_ERROR(object.Count("units_run", &activity->units_run));
  }
  if (object.Find("rows") != nullptr) {
    ESPALIER_RETURN_IF_ERROR(object.Number("idle", &activity->idle));
    ESPALIER_RETURN_IF_ERROR(object.Number("predicted", &activity->predicted));
    ESPALIER_RETURN_IF_ERROR(object.Count("rows", &activity->rows));
    ESPALIER_RETURN_IF_ERROR(object.Count("rows_run", &activity->rows_run));
  }
  if (object.Find("multiply_adds_skipped") != nullptr) {  // records of before have neither
    ESPALIER_RETURN_IF_ERROR(object.Count("rows_idle", &activity->rows_idle));
    ESPALIER_RETURN_IF_ERROR(
        object.Count("multiply_adds_skipped", &activity->multiply_adds_skipped));
  }
  ESPALIER_RETURN_IF_ERROR(object.Count("x_columns", &activity->x_columns));
  ESPALIER_RETURN_IF_ERROR(object.Count("x_sent", &activity->x_sent));
  ESPALIER_RETURN_IF_ERROR(object.Count("h_columns", &activity->h_columns));
  ESPALIER_RETURN_IF_ERROR(object.Count("h_sent", &activity->h_sent));
  ESPALIER_RETURN_IF_ERROR(object.Count("multiply_adds", &activity->multiply_adds));
  ESPALIER_RETURN_IF_ERROR(object.Count("multiply_adds_without", &activity->multiply_adds_without));
  if (object.Find("map") == nullptr) return Ok();
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader map, object.Object("map"));
  return ReadMap(map, &activity->map.emplace());
}

Status ReadModel(const ObjectReader& object, size_t classes, ModelRecord* model) {
  ESPALIER_RETURN_IF_ERROR(object.Text("file", &model->file));
  ESPALIER_RETURN_IF_ERROR(object.TextOr("onnx", "", &model->onnx));
  ESPALIER_RETURN_IF_ERROR(object.Count("bytes", &model->bytes));
  ESPALIER_RETURN_IF_ERROR(object.Count("params", &model->params));
  ESPALIER_RETURN_IF_ERROR(object.Count("nonzeros", &model->nonzeros));
  ESPALIER_RETURN_IF_ERROR(object.Count("multiply_adds_per_step", &model->multiply_adds_per_step));
  if (object.Find("metric") != nullptr) {
    ESPALIER_RETURN_IF_ERROR(object.Number("metric", &model->metric.emplace()));
  }
  ESPALIER_RETURN_IF_ERROR(ReadClassMetric(object, classes, &model->class_metric));
  ESPALIER_RETURN_IF_ERROR(ReadConfusion(object, classes, &model->confusion));
  ESPALIER_RETURN_IF_ERROR(ReadHiddenSizes(object, &model->hidden_sizes));
  ESPALIER_RETURN_IF_ERROR(object.TextOr("costs", "", &model->costs));
  ESPALIER_RETURN_IF_ERROR(ReadListIfAny(object, "activity", &model->activity, ReadActivity));
  return ReadList(object, "weights", &model->weights, ReadWeight);
}

Status ReadTiming(const ObjectReader& object, const std::string& key, TimingRecord* timing) {
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader reader, object.Object(key));
  ESPALIER_RETURN_IF_ERROR(reader.Number("median", &timing->median));
  ESPALIER_RETURN_IF_ERROR(reader.Number("p25", &timing->p25));
  return reader.Number("p75", &timing->p75);
}

Status ReadStepTimes(const ObjectReader& object, const std::string& key,
                     std::optional<StepTimes>* times) {
  if (object.Find(key) == nullptr) return Ok();
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader reader, object.Object(key));
  StepTimes& read = times->emplace();
  ESPALIER_RETURN_IF_ERROR(reader.Number("p50", &read.p50));
  ESPALIER_RETURN_IF_ERROR(reader.Number("p95", &read.p95));
  ESPALIER_RETURN_IF_ERROR(reader.Number("p99", &read.p99));
  read.mean = read.p50;  // records of before have none
  return reader.Find("mean") == nullptr ? Ok() : reader.Number("mean", &read.mean);
}

Status ReadSystem(const ObjectReader& object, SystemRecord* system) {
  ESPALIER_RETURN_IF_ERROR(object.Text("system", &system->system));
  ESPALIER_RETURN_IF_ERROR(ReadTiming(object, "us_per_sequence", &system->us_per_sequence));
  ESPALIER_RETURN_IF_ERROR(ReadStepTimes(object, "step_times", &system->step_times));
  if (object.Find("us_per_step") == nullptr) return Ok();
  return ReadTiming(object, "us_per_step", &system->us_per_step.emplace());
}

Status ReadBench(const ObjectReader& object, BenchRecord* bench) {
  ESPALIER_RETURN_IF_ERROR(object.Count("sequence_steps", &bench->sequence_steps));
  ESPALIER_RETURN_IF_ERROR(object.Count("repetitions", &bench->repetitions));
  ESPALIER_RETURN_IF_ERROR(object.Count("threads", &bench->threads));
  return ReadList(object, "systems", &bench->systems, ReadSystem);
}

Status ReadExit(const ObjectReader& object, ExitRecord* exit) {
  ESPALIER_RETURN_IF_ERROR(object.Share("confidence", &exit->confidence));
  ESPALIER_RETURN_IF_ERROR(object.Count("hold", &exit->hold));
  ESPALIER_RETURN_IF_ERROR(object.Count("every", &exit->every));
  ESPALIER_RETURN_IF_ERROR(object.NumberOrNan("metric", &exit->metric));
  ESPALIER_RETURN_IF_ERROR(object.Share("steps", &exit->steps));
  ESPALIER_RETURN_IF_ERROR(object.Count("ended_early", &exit->ended_early));
  return object.NumberOrNan("metric_after", &exit->metric_after);
}

Status ReadLayerPoint(const ObjectReader& object, LayerPoint* layer) {
  ESPALIER_RETURN_IF_ERROR(object.Text("layer", &layer->layer));
  ESPALIER_RETURN_IF_ERROR(object.Number("x", &layer->x));
  ESPALIER_RETURN_IF_ERROR(object.Number("h", &layer->h));
  ESPALIER_RETURN_IF_ERROR(object.Share("x_sent", &layer->x_sent));
  ESPALIER_RETURN_IF_ERROR(object.Share("h_sent", &layer->h_sent));
  ESPALIER_RETURN_IF_ERROR(object.Share("skipped", &layer->skipped));
  if (object.Find("epsilon") == nullptr) return Ok();  // records of before have none
  ESPALIER_RETURN_IF_ERROR(object.Share("epsilon", &layer->epsilon));
  return object.Share("rows_run", &layer->rows_run);
}

Status ReadThresholdPoint(const ObjectReader& object, ThresholdPoint* point) {
  ESPALIER_RETURN_IF_ERROR(object.Number("factor", &point->factor));
  ESPALIER_RETURN_IF_ERROR(object.Flag("skips", &point->skips));
  ESPALIER_RETURN_IF_ERROR(ReadList(object, "layers", &point->layers, ReadLayerPoint));
  ESPALIER_RETURN_IF_ERROR(object.NumberOrNan("metric", &point->metric));
  ESPALIER_RETURN_IF_ERROR(object.NumberOrNan("loss", &point->loss));
  ESPALIER_RETURN_IF_ERROR(object.Share("sent", &point->sent));
  if (object.Find("rows") != nullptr) {
    ESPALIER_RETURN_IF_ERROR(object.Share("rows", &point->rows));
  }
  ESPALIER_RETURN_IF_ERROR(object.Number("multiply_adds", &point->multiply_adds));
  return ReadStepTimes(object, "us_per_step", &point->us_per_step);
}

Status ReadThresholds(const ObjectReader& object, ThresholdCurve* curve) {
  ESPALIER_RETURN_IF_ERROR(object.Text("target", &curve->target));
  if (object.Find("of_rows") != nullptr) {
    ESPALIER_RETURN_IF_ERROR(object.Flag("of_rows", &curve->of_rows));
  }
  ESPALIER_RETURN_IF_ERROR(object.Share("most", &curve->most));
  ESPALIER_RETURN_IF_ERROR(object.Text("metric", &curve->metric));
  ESPALIER_RETURN_IF_ERROR(
      ReadStepTimes(object, "us_per_step_without", &curve->us_per_step_without));
  ESPALIER_RETURN_IF_ERROR(ReadList(object, "points", &curve->points, ReadThresholdPoint));
  int64_t chosen = 0;
  ESPALIER_RETURN_IF_ERROR(object.Count("chosen", &chosen));
  curve->chosen = static_cast<size_t>(chosen);
  if (curve->chosen < curve->points.size()) return Ok();
  return object.Fail("chosen", "the index of a point");
}

Status ReadSummaryModel(const ObjectReader& object, const std::string& key, SummaryModel* model) {
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader reader, object.Object(key));
  ESPALIER_RETURN_IF_ERROR(reader.Number("metric", &model->metric));
  ESPALIER_RETURN_IF_ERROR(reader.Count("bytes", &model->bytes));
  ESPALIER_RETURN_IF_ERROR(reader.Count("params", &model->params));
  return reader.Number("us_per_sequence", &model->us_per_sequence);
}

Status ReadSummary(const ObjectReader& object, SummaryRecord* summary) {
  ESPALIER_RETURN_IF_ERROR(object.Text("task", &summary->task));
  ESPALIER_RETURN_IF_ERROR(ReadSummaryModel(object, "dense", &summary->dense));
  ESPALIER_RETURN_IF_ERROR(ReadSummaryModel(object, "pruned", &summary->pruned));
  ESPALIER_RETURN_IF_ERROR(object.Share("weights_removed", &summary->weights_removed));
  ESPALIER_RETURN_IF_ERROR(object.Number("speedup_vs_own_dense", &summary->speedup_vs_own_dense));
  if (object.Find("speedup_vs_onnxruntime") != nullptr) {
    ESPALIER_RETURN_IF_ERROR(
        object.Number("speedup_vs_onnxruntime", &summary->speedup_vs_onnxruntime.emplace()));
  }
  if (object.Find("agreement") != nullptr) {
    ESPALIER_RETURN_IF_ERROR(object.Share("agreement", &summary->agreement.emplace()));
  }
  for (const auto& [key, member] :
       {std::pair("multiply_adds_done", &SummaryRecord::multiply_adds_done),
        std::pair("exit_metric", &SummaryRecord::exit_metric),
        std::pair("exit_steps", &SummaryRecord::exit_steps)}) {
    if (object.Find(key) == nullptr) continue;
    ESPALIER_RETURN_IF_ERROR(object.Number(key, &(summary->*member).emplace()));
  }
  const Json* seeds = nullptr;
  ESPALIER_RETURN_IF_ERROR(object.Array("seeds", &seeds));
  for (const Json& seed : *seeds) {
    if (!seed.is_number_integer()) return object.Fail("seeds", "a list of whole numbers");
    summary->seeds.push_back(seed.get<int64_t>());
  }
  return Ok();
}

Status ReadHead(const ObjectReader& object, RunRecord* record) {
  ESPALIER_RETURN_IF_ERROR(object.Text("name", &record->name));
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader espalier, object.Object("espalier"));
  ESPALIER_RETURN_IF_ERROR(espalier.Text("version", &record->version));
  ESPALIER_RETURN_IF_ERROR(object.TextOr("command", "", &record->command));
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader machine, object.Object("machine"));
  ESPALIER_RETURN_IF_ERROR(machine.Text("cpu", &record->machine.cpu));
  ESPALIER_RETURN_IF_ERROR(machine.Text("target", &record->machine.target));
  ESPALIER_RETURN_IF_ERROR(machine.Count("threads", &record->machine.threads));
  ESPALIER_RETURN_IF_ERROR(object.Count("seed", &record->seed));
  const Json* recipe = object.Find("recipe");
  if (recipe != nullptr && !recipe->is_object()) return object.Fail("recipe", "an object");
  if (recipe != nullptr) record->recipe_json = PrintJson(*recipe, -1);
  return Ok();
}

Status ReadRecord(const Json& json, RunRecord* record) {
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader object, ObjectReader::Make(json, ""));
  int64_t schema = 0;
  ESPALIER_RETURN_IF_ERROR(object.Count("schema", &schema));
  if (schema != kRunRecordSchema) {
    return Unsupported(StrCat("schema: ", kRunRecordSchema, " expected, ", schema,
                              " found; the run was made by another version of espalier"));
  }
  ESPALIER_RETURN_IF_ERROR(ReadHead(object, record));
  ESPALIER_ASSIGN_OR_RETURN(const ObjectReader task, object.Object("task"));
  ESPALIER_RETURN_IF_ERROR(ReadTask(task, &record->task));
  ESPALIER_RETURN_IF_ERROR(ReadListIfAny(object, "stages", &record->stages, ReadStage));
  if (object.Find("models") != nullptr) {
    ESPALIER_ASSIGN_OR_RETURN(const ObjectReader models, object.Object("models"));
    for (const auto& [role, value] : object.Find("models")->items()) {
      ESPALIER_ASSIGN_OR_RETURN(const ObjectReader model,
                                ObjectReader::Make(value, models.PathOf(role)));
      ESPALIER_RETURN_IF_ERROR(
          ReadModel(model, record->task.classes.size(), &record->models[role]));
    }
  }
  if (object.Find("thresholds") != nullptr) {
    ESPALIER_ASSIGN_OR_RETURN(const ObjectReader thresholds, object.Object("thresholds"));
    ESPALIER_RETURN_IF_ERROR(ReadThresholds(thresholds, &record->thresholds.emplace()));
  }
  if (object.Find("agreement") != nullptr) {
    ESPALIER_RETURN_IF_ERROR(object.Share("agreement", &record->agreement.emplace()));
  }
  if (object.Find("exit") != nullptr) {
    ESPALIER_ASSIGN_OR_RETURN(const ObjectReader exit, object.Object("exit"));
    ESPALIER_RETURN_IF_ERROR(ReadExit(exit, &record->exit.emplace()));
  }
  if (object.Find("bench") != nullptr) {
    ESPALIER_ASSIGN_OR_RETURN(const ObjectReader bench, object.Object("bench"));
    ESPALIER_RETURN_IF_ERROR(ReadBench(bench, &record->bench.emplace()));
  }
  if (object.Find("summary") != nullptr) {
    ESPALIER_ASSIGN_OR_RETURN(const ObjectReader summary, object.Object("summary"));
    ESPALIER_RETURN_IF_ERROR(ReadSummary(summary, &record->summary.emplace()));
  }
  return Ok();
}

}  // namespace

Result<RunRecord> ParseRunRecord(std::string_view json) {
  ESPALIER_ASSIGN_OR_RETURN(const Json parsed, ParseJson(json));
  RunRecord record;
  ESPALIER_RETURN_IF_ERROR(ReadRecord(parsed, &record));
  return record;
}

Result<RunRecord> ReadRunRecord(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  Result<RunRecord> record = ParseRunRecord(text);
  if (!record.ok()) return record.status().WithContext(path);
  return record;
}

}  // namespace espalier
