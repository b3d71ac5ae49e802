#include "records.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "base/strings.h"

namespace espalier {
namespace {

// A matrix of `gates` (one letter each, "" for none) with about `sparsity` zeros, which come in
// runs of one row and `run` columns, more of them in the first gate than in the last.
WeightRecord Weight(const std::string& name, int64_t rows, int64_t cols, const std::string& gates,
                    double sparsity, Rng* rng) {
  WeightRecord weight;
  weight.name = name;
  weight.rows = rows;
  weight.cols = cols;
  std::vector<uint8_t> keep(static_cast<size_t>(rows * cols), 1);
  const auto count = static_cast<int64_t>(std::max<size_t>(1, gates.size()));
  for (int64_t g = 0; g < count; ++g) {
    const double shift = 0.08 * (0.5 - static_cast<double>(g) / static_cast<double>(count));
    const double share = sparsity == 0.0 ? 0.0 : std::clamp(sparsity + shift, 0.0, 1.0);
    const int64_t first = g * rows / count;
    const int64_t last = (g + 1) * rows / count;
    int64_t zeros = 0;
    for (int64_t row = first; row < last; ++row) {
      for (int64_t col = 0; col < cols; ++col) {
        // The middle columns matter more, as the middle pixels of a digit do.
        const double x = (static_cast<double>(col) + 0.5) / static_cast<double>(cols);
        const double edge = std::pow(2.0 * x - 1.0, 2.0);
        if (rng->Uniform() < share * (1.0 - 0.5 * (1.0 - share) * (1.0 - 3.0 * edge))) {
          keep[static_cast<size_t>(row * cols + col)] = 0;
          ++zeros;
        }
      }
    }
    weight.nonzeros += (last - first) * cols - zeros;
    if (gates.empty()) continue;
    weight.gates.push_back({std::string(1, gates[static_cast<size_t>(g)]),
                            static_cast<double>(zeros) /
                                static_cast<double>(std::max<int64_t>(1, (last - first) * cols))});
  }
  weight.sparsity = 1.0 - static_cast<double>(weight.nonzeros) /
                              static_cast<double>(std::max<int64_t>(1, rows * cols));
  weight.mask = PackMask(keep);
  return weight;
}

void Compiled(const std::string& format, double ns, WeightRecord* weight) {
  weight->format = format;
  weight->kernel = format == "dense" ? "matvec_dense_f32" : "matvec_slot_f32_8x16";
  const int64_t dense = weight->rows * weight->cols * 4;
  weight->encoded_bytes = format == "dense" ? dense : weight->nonzeros * 5;
  weight->candidates = {{format, ns, weight->encoded_bytes},
                        {"slot_8x32", ns * 1.14, weight->nonzeros * 6},
                        {"csr", ns * 2.31, weight->nonzeros * 8},
                        {"dense", ns * 3.9, dense}};
  if (format == "dense") weight->candidates.pop_back();
}

// `test` sequences over the classes, about `error` of them wrong.
void Results(const std::vector<std::string>& classes, int64_t test, double error, Rng* rng,
             ModelRecord* model) {
  const size_t count = classes.size();
  model->confusion.assign(count, std::vector<int64_t>(count, 0));
  for (int64_t i = 0; i < test; ++i) {
    const size_t truth = static_cast<size_t>(i) % count;
    const bool wrong = count > 1 && rng->Uniform() < error * (0.4 + 0.13 * double(truth % 10));
    // Mistakes are not spread evenly: 4 is taken for 9 and 7 for 2.
    const size_t other = rng->Uniform() < 0.5 ? (truth + 5) % count : rng->Below(count);
    ++model->confusion[truth][wrong ? other : truth];
  }
  int64_t right = 0;
  for (size_t t = 0; t < count; ++t) {
    int64_t total = 0;
    for (const int64_t n : model->confusion[t]) total += n;
    right += model->confusion[t][t];
    model->class_metric.push_back(static_cast<double>(model->confusion[t][t]) /
                                  static_cast<double>(std::max<int64_t>(1, total)));
  }
  model->metric = static_cast<double>(right) / static_cast<double>(test);
}

void Count(ModelRecord* model) {
  for (const WeightRecord& weight : model->weights) {
    model->params += weight.rows * weight.cols;
    model->nonzeros += weight.nonzeros;
  }
  model->multiply_adds_per_step = model->nonzeros;
}

StageRecord Stage(const std::string& name, const std::string& kind, int epochs, double loss,
                  double first_sparsity, double last_sparsity) {
  StageRecord stage;
  stage.name = name;
  stage.kind = kind;
  stage.seed = 1;
  stage.output = name + ".onnx";
  stage.parameters_json = StrCat("{\"epochs\":", epochs, ",\"optimizer\":\"adam\"}");
  for (int e = 0; e < epochs; ++e) {
    const double done = static_cast<double>(e + 1) / epochs;
    const double train = loss * std::pow(0.12, done) + 0.008;
    const double left = 1.0 - std::min(1.0, 1.25 * done);
    const double sparsity = last_sparsity + (first_sparsity - last_sparsity) * left * left * left;
    stage.epochs.push_back({e + 1, 430 * (e + 1), train, 0.75 * train + 0.022 + 0.004 * done,
                            1.0 - 0.3 * (0.75 * train + 0.02), 0.003 * (1.02 - done), sparsity,
                            13.1});
    stage.seconds += 13.1;
  }
  return stage;
}

RunRecord Base(const std::string& name) {
  RunRecord record;
  record.name = name;
  record.version = "0.1.0";
  record.machine = {"AMD EPYC 7763 64-Core Processor", "AVX2", 1};
  record.seed = 1;
  record.task.name = "mnist-rows";
  record.task.metric = "accuracy";
  record.task.train = 55000;
  record.task.valid = 5000;
  record.task.test = 10000;
  return record;
}

// `rows` features over `steps`, of which some move much and most little.
std::vector<uint8_t> Sent(int64_t rows, int64_t steps, Rng* rng) {
  std::vector<uint8_t> sent;
  for (int64_t i = 0; i < rows; ++i) {
    const double active = std::pow(rng->Uniform(), 3.0);
    for (int64_t t = 0; t < steps; ++t) {
      const double wave = 0.5 + 0.5 * std::sin(0.4 * static_cast<double>(t));
      sent.push_back(rng->Uniform() < active * wave);
    }
  }
  return PackMask(sent);
}

// A layer that sends changes and one that skips, and how the thresholds of the first were found.
void Dynamic(Rng* rng, RunRecord* record, ModelRecord* model) {
  ActivityRecord delta;
  delta.layer = "lstm0";
  delta.delta_x = 0.21;
  delta.delta_h = 0.08;
  delta.steps = 280000;
  delta.x_columns = 7840000;
  delta.x_sent = 2010000;
  delta.h_columns = 28000000;
  delta.h_sent = 3900000;
  delta.multiply_adds = 900000000;
  delta.multiply_adds_without = 2600000000;
  delta.map = ActivityMap{17,
                          28,
                          28,
                          100,
                          PackMask(std::vector<uint8_t>(28, 1)),
                          Sent(28, 28, rng),
                          Sent(100, 28, rng)};
  ActivityRecord skip;
  skip.layer = "lstm1";
  skip.skip = true;
  skip.steps = 280000;
  skip.skipped = 170000;
  skip.multiply_adds = 1020000000;
  skip.multiply_adds_without = 2600000000;
  std::vector<uint8_t> updates;
  for (int t = 0; t < 28; ++t) updates.push_back(t % 3 == 0 || t == 10);
  skip.map = ActivityMap{17, 28, 0, 0, PackMask(updates), {}, {}};
  ActivityRecord banks;
  banks.layer = "lstm2";
  banks.banks = true;
  banks.steps = 280000;
  banks.units = 28000000;
  banks.units_run = 9100000;
  banks.multiply_adds = 930000000;
  banks.multiply_adds_without = 2600000000;
  banks.map =
      ActivityMap{17, 28, 0, 100, PackMask(std::vector<uint8_t>(28, 1)), {}, Sent(100, 28, rng)};
  ActivityRecord rows;
  rows.layer = "lstm3";
  rows.predicted = 0.25;
  rows.steps = 280000;
  rows.rows = 112000000;
  rows.rows_run = 41000000;
  rows.multiply_adds = 1130000000;
  rows.multiply_adds_without = 2600000000;
  rows.map = ActivityMap{17, 28, 0, 0, PackMask(std::vector<uint8_t>(28, 1)), {}, {}};
  for (int t = 0; t < 28; ++t) rows.map->rows_run.push_back(0.37 + 0.2 * std::sin(0.7 * t));
  model->activity = {delta, skip, banks, rows};
  ThresholdCurve& curve = record->thresholds.emplace();
  curve.target = "loss";
  curve.most = 0.01;
  curve.metric = "accuracy";
  curve.us_per_step_without = StepTimes{9.1, 9.8, 12.2};
  for (int i = 0; i < 8; ++i) {
    const double factor = i == 0 ? 0.0 : 0.125 * std::pow(2.0, 0.5 * i);
    const double sent = 1.0 / (1.0 + 6.0 * factor);
    curve.points.push_back({factor,
                            true,
                            {{"lstm0", 0.5 * factor, 0.2 * factor, sent, 0.8 * sent, 0.0},
                             {"lstm1", 0.0, 0.0, 0.0, 0.0, 0.61}},
                            0.985 - 0.02 * factor * factor,
                            0.05,
                            sent,
                            0.1 + 0.95 * sent,
                            StepTimes{2.0 + 8.0 * sent, 3.5 + 8.5 * sent, 5.0 + 9.0 * sent}});
  }
  curve.chosen = 5;
}

}  // namespace

RunRecord FullRecord() {
  Rng rng(1);
  RunRecord record = Base("quickstart");
  record.command = "espalier recipe run recipes/quickstart.yaml --seed 1 --out runs/quickstart";
  record.recipe_json =
      R"({"name":"quickstart","task":"mnist-rows","network":{"cell":"lstm","hidden":128,)"
      R"("dropout":0.2},"stages":[{"train":{"epochs":6,"optimizer":"adam","rate":0.003}},)"
      R"({"prune":{"granularity":"hidden_unit","sparsity":0.22}},{"prune":{"granularity":"slot",)"
      R"("sparsity":0.86,"schedule":"cubic","epochs":8}},{"compact":{}},{"compile":{}}]})";
  for (int i = 0; i < 10; ++i) record.task.classes.push_back(std::to_string(i));

  record.stages = {
      Stage("dense", "train", 6, 0.71, 0.0, 0.0),    Stage("units", "prune", 2, 0.11, 0.0, 0.22),
      Stage("slots", "prune", 8, 0.13, 0.22, 0.903), Stage("compact", "compact", 0, 0.0, 0.0, 0.0),
      Stage("compile", "compile", 0, 0.0, 0.0, 0.0), Stage("bench", "bench", 0, 0.0, 0.0, 0.0)};
  record.stages[3].seconds = 0.04;
  record.stages[4].seconds = 1.7;
  record.stages[4].output = "pruned.esp";
  record.stages[5].seconds = 9.3;
  record.stages[5].output = "";

  ModelRecord dense;
  dense.file = "dense.onnx";
  dense.bytes = 331211;
  dense.hidden_sizes = {{"lstm0", 128}};
  dense.weights = {Weight("lstm0.weight_ih", 512, 28, "ifgo", 0.0, &rng),
                   Weight("lstm0.weight_hh", 512, 128, "ifgo", 0.0, &rng),
                   Weight("output.weight", 10, 128, "", 0.0, &rng)};
  Count(&dense);
  Results(record.task.classes, 10000, 0.011, &rng, &dense);

  ModelRecord pruned;
  pruned.file = "pruned.esp";
  pruned.onnx = "pruned.onnx";
  pruned.bytes = 51234;
  pruned.hidden_sizes = {{"lstm0", 100}};
  pruned.weights = {Weight("lstm0.weight_ih", 400, 28, "ifgo", 0.71, &rng),
                    Weight("lstm0.weight_hh", 400, 100, "ifgo", 0.885, &rng),
                    Weight("output.weight", 10, 100, "", 0.0, &rng)};
  Compiled("slot_8x16", 310.2, &pruned.weights[0]);
  Compiled("slot_8x16", 702.8, &pruned.weights[1]);
  Compiled("dense", 88.1, &pruned.weights[2]);
  Count(&pruned);
  Results(record.task.classes, 10000, 0.0145, &rng, &pruned);

  Dynamic(&rng, &record, &pruned);

  record.bench =
      BenchRecord{28,
                  200,
                  1,
                  {{"espalier-pruned", {30.1, 29.8, 30.9}, TimingRecord{1.12, 1.10, 1.16}},
                   {"espalier-dense", {95.0, 94.1, 97.2}, TimingRecord{3.47, 3.41, 3.60}},
                   {"onnxruntime-pruned", {118.0, 113.2, 124.9}, TimingRecord{11.9, 11.2, 13.5}},
                   {"onnxruntime-dense", {135.5, 131.0, 147.3}, TimingRecord{13.3, 12.4, 15.2}}}};
  record.summary = SummaryRecord{
      record.task.name,
      {*dense.metric, dense.bytes, dense.nonzeros, 95.0},
      {*pruned.metric, pruned.bytes, pruned.nonzeros, 30.1},
      1.0 - static_cast<double>(pruned.weights[0].nonzeros + pruned.weights[1].nonzeros) / 79872.0,
      95.0 / 30.1,
      135.5 / 30.1,
      1.0,
      {1}};
  record.models = {{"dense", dense}, {"pruned", pruned}};
  return record;
}

RunRecord NastyRecord() {
  const std::string nasty = "</script><b>&\"'<!-- \xe2\x80\xa8 {{x}} %s \xc3\xa9";
  Rng rng(2);
  RunRecord record = Base(nasty);
  record.command = nasty;
  record.machine = {nasty, nasty, 2};
  record.task.name = nasty;
  record.task.metric = nasty;
  record.task.classes = {nasty};
  record.recipe_json = R"({"</script><b>":["<!--","]]>","\u0000\u2028"]})";
  StageRecord stage = Stage(nasty, nasty, 3, 0.7, 0.0, 0.5);
  stage.epochs[1].train_loss = std::numeric_limits<double>::quiet_NaN();
  stage.epochs[2].valid_loss = std::numeric_limits<double>::infinity();
  stage.epochs[2].train_loss = 0.0;  // no logarithm
  record.stages = {stage};
  ModelRecord model;
  model.file = nasty;
  model.hidden_sizes = {{nasty, 1}};
  model.weights = {Weight(nasty, 4, 3, "rz", 0.5, &rng), Weight("empty", 0, 7, "ifgo", 0.0, &rng),
                   Weight("all gone", 4, 4, "", 1.0, &rng),
                   Weight("ragged", 7, 5, "rzn", 0.5, &rng),
                   Weight("no mask", 8, 8, "", 0.5, &rng)};
  model.weights[4].mask.clear();
  Compiled(nasty, 0.0, &model.weights[0]);
  Results(record.task.classes, 5, 0.0, &rng, &model);
  ActivityRecord activity;
  activity.layer = nasty;
  activity.x_columns = 1;
  activity.map = ActivityMap{0, 1, 1, 1, {0}, {0}, {1}};
  model.activity = {activity, ActivityRecord()};  // the second has no map
  record.thresholds =
      ThresholdCurve{"sent",
                     0.5,
                     nasty,
                     {{0.0, false, {}, std::numeric_limits<double>::quiet_NaN(), 0.0, 1.0, 1.2, {}},
                      {1e-9, true, {{nasty, 0.0, 0.0, 0.0, 0.0, 0.0}}, 0.5, 0.0, 0.0, 0.0, {}}},
                     1,
                     {}};
  record.models = {{"dense", model}, {"pruned", model}, {nasty, model}};
  return record;
}

RunRecord BegunRecord() { return Base("just begun"); }

RunRecord LargeRecord() {
  Rng rng(3);
  RunRecord record = Base("large");
  ModelRecord dense;
  ModelRecord pruned;
  dense.file = pruned.file = "a-file-name-that-is-rather-long-for-a-label.onnx";
  dense.bytes = 98000000;
  pruned.bytes = 99000000;  // worse than dense
  for (int i = 0; i < 100; ++i) {
    record.task.classes.push_back(StrCat("a class with quite a long name ", i));
  }
  for (int layer = 0; layer < 2; ++layer) {
    for (const char* part : {".weight_ih", ".weight_hh", ".weight_ih_reverse"}) {
      const std::string name = StrCat("encoder.bidirectional.gru", layer, part);
      pruned.weights.push_back(Weight(name, 3 * 512, 512, "rzn", 0.9, &rng));
      Compiled("slot_8x32", 90000.0, &pruned.weights.back());
    }
  }
  Count(&pruned);
  dense.nonzeros = dense.params = pruned.params;
  Results(record.task.classes, 5000, 0.1, &rng, &dense);
  Results(record.task.classes, 5000, 0.2, &rng, &pruned);
  record.models = {{"dense", dense}, {"pruned", pruned}};
  record.stages = {Stage("a stage with a long name", "train", 60, 2.0, 0.0, 0.0),
                   Stage("another stage with a long name", "prune", 200, 0.4, 0.0, 0.9)};
  record.bench = BenchRecord{1000,
                             20,
                             1,
                             {{"espalier-pruned", {91234.0, 90000.0, 99999.0}, {}},
                              {"espalier-dense", {81234.0, 80000.0, 89999.0}, {}}}};
  return record;
}

std::vector<BenchRow> ManyBenchRows() {
  struct System {
    const char* name;
    const char* format;
    const char* dtype;
    double share;  // of the dense time at density 1
  };
  const System systems[] = {
      {"espalier", "dense", "f32", 1.0},       {"espalier", "slot_8x8", "f32", 1.1},
      {"espalier", "slot_8x8", "bf16", 0.9},   {"espalier", "slot_16x64x4", "i8", 0.7},
      {"espalier", "blocked_8x4", "f32", 1.0}, {"espalier", "blocked_16x1", "f32", 1.05},
      {"espalier", "csr", "f32", 4.0},         {"onnxruntime", "dense", "f32", 1.2},
      {"onnxruntime", "dense", "i8", 0.4},     {"onednn", "dense", "f32", 1.1},
      {"libtorch", "dense", "f32", 5.0},       {"eigen", "csr", "f32", 5.5}};
  std::vector<BenchRow> rows;
  for (const int64_t hidden : {128, 1024}) {
    for (const int64_t batch : {1, 16}) {
      for (const double density : {0.05, 0.3}) {
        for (const System& system : systems) {
          const bool dense = std::string(system.format) == "dense";
          BenchRow row;
          row.system = system.name;
          row.cell = "lstm";
          row.hidden = row.input = hidden;
          row.batch = batch;
          row.steps = 1;
          row.density = dense ? 1.0 : density;
          row.format = system.format;
          row.dtype = system.dtype;
          row.target = row.system == "espalier" ? "AVX2" : "";
          const double weights = 8.0 * static_cast<double>(hidden * hidden) * row.density;
          row.us.median = (0.5 + weights / 15000.0 * system.share) * std::sqrt(double(batch));
          row.us.p25 = row.us.median * 0.97;
          row.us.p75 = row.us.median * 1.06;
          row.bytes = static_cast<uint64_t>(4.0 * weights);
          row.roofline_us = weights / 20000.0;
          row.error = 3e-7;
          rows.push_back(row);
        }
      }
    }
  }
  return rows;
}

}  // namespace espalier
