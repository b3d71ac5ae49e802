// RunRecord: everything that a run did and found, as plain structs; one `run.json` on disk.
//
// docs/run-record.md is the schema; the fields here have its names. The pipeline fills a record
// stage by stage and writes it after each; the summary and the HTML report are made of nothing
// else.
#ifndef ESPALIER_REPORT_RUN_RECORD_H_
#define ESPALIER_REPORT_RUN_RECORD_H_

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "report/thresholds.h"

namespace espalier {

inline constexpr int64_t kRunRecordSchema = 1;

struct MachineRecord {
  std::string cpu;
  std::string target;  // Highway's name of the instruction set
  int64_t threads = 1;
};

struct TaskRecord {
  std::string name;
  std::string metric;                // "accuracy"
  std::vector<std::string> classes;  // names, in order of their label
  int64_t train = 0;                 // sequences
  int64_t valid = 0;
  int64_t test = 0;
};

// One epoch. A value that is not finite (a loss that blew up, a validation that was not made) is
// null in the file and NaN here.
struct EpochRecord {
  int64_t epoch = 0;  // counts from 1 in every stage
  int64_t step = 0;   // optimiser steps of the stage so far
  double train_loss = 0.0;
  double valid_loss = 0.0;
  double valid_metric = 0.0;
  double learning_rate = 0.0;
  double sparsity = 0.0;  // of the weights that the stage prunes, after the epoch
  double seconds = 0.0;
};

// A sparsity that a prune stage with a search tried, and the validation metric that it left.
struct TriedRecord {
  double sparsity = 0.0;
  double metric = 0.0;
  // Of the compiled network, as shares of the other's; only where the search has a budget of them
  // and the metric was kept.
  std::optional<double> bytes = {};
  std::optional<double> time = {};
};

struct SearchRecord {
  double metric_before = 0.0;  // of what it was held against, on the validation split
  double within = 0.0;         // the largest share of it that was to be lost
  std::optional<double> kept;  // the sparsity of the stage's output; none: it is as the input was
  std::vector<TriedRecord> tried;
  // The largest shares that were to be left, if the search had any, and whether they were met.
  std::optional<double> bytes = {};
  std::optional<double> time = {};
  bool is_met = true;
};

struct StageRecord {
  std::string name;
  std::string kind;  // train, prune, compact, thresholds, compile, evaluate, bench
  double seconds = 0.0;
  int64_t seed = 0;
  // Changes with everything that the stage's result depends on; "" if the stage cannot be reused.
  std::string key;
  std::string parameters_json = "{}";  // text of one JSON object
  std::vector<EpochRecord> epochs;     // of a search, those of the sparsity that was kept
  std::optional<SearchRecord> search;
  std::string output;  // file name in the run folder; "" if there is none
  // CRC-32C of the output, 8 hexadecimal digits; of a compile stage, of its file and the dense
  // network's one after the other. "" if there is no output.
  std::string crc32c;
};

struct GateRecord {
  std::string name;
  double sparsity = 0.0;
};

struct CandidateRecord {
  std::string format;
  double ns = 0.0;  // one matrix-vector product, measured or by costs; 0 if neither
  int64_t bytes = 0;
};

struct WeightRecord {
  std::string name;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t nonzeros = 0;
  double sparsity = 0.0;
  std::vector<GateRecord> gates;  // of recurrent layers' weights
  // PackMask of which elements are kept; empty if it was not recorded.
  std::vector<uint8_t> mask;
  // Compiled networks only; else "", "", 0 and none.
  std::string format;
  std::string kernel;
  int64_t encoded_bytes = 0;
  std::vector<CandidateRecord> candidates;  // fastest first
};

// What a layer with dynamic pruning did at each step of one sequence. Packed as by PackMask.
struct ActivityMap {
  int64_t sequence = 0;          // index in the test split
  int64_t steps = 0;             // T, of the sequence or of its beginning
  int64_t inputs = 0;            // I; 0 without delta
  int64_t units = 0;             // H (or P); 0 without delta and banks
  std::vector<uint8_t> updates;  // [T], the steps that were not skipped
  std::vector<uint8_t> x_sent;   // [I, T], where a column was sent that had changed
  std::vector<uint8_t> h_sent;   // [H, T]; of a layer with banks, where a unit changed
  // [T], the share of the rows that were multiplied; empty of a layer that leaves out none.
  std::vector<double> rows_run = {};
};

// Of one direction of a recurrent layer with dynamic pruning, on the test split; see LayerActivity
// and LayerCounters in runtime/dynamic.h.
struct ActivityRecord {
  std::string layer;
  bool reverse = false;
  double delta_x = 0.0, delta_h = 0.0;
  bool skip = false;
  bool banks = false;
  double idle = 0.0, predicted = 0.0;
  int64_t steps = 0;
  int64_t skipped = 0;
  int64_t units = 0;
  int64_t units_run = 0;
  int64_t rows = 0;
  int64_t rows_run = 0;
  int64_t rows_idle = 0;
  int64_t x_columns = 0;
  int64_t x_sent = 0;
  int64_t h_columns = 0;
  int64_t h_sent = 0;
  int64_t multiply_adds = 0;
  int64_t multiply_adds_without = 0;
  int64_t multiply_adds_skipped = 0;
  std::optional<ActivityMap> map;  // nullopt of a network that cannot stream
};

struct ModelRecord {
  std::string file;  // in the run folder
  std::string onnx;  // the same network as an ONNX file; "" if `file` is that
  int64_t bytes = 0;
  int64_t params = 0;  // biases included
  int64_t nonzeros = 0;
  int64_t multiply_adds_per_step = 0;
  std::optional<double> metric;                 // on the test split; nullopt before an evaluation
  std::vector<double> class_metric;             // empty, or one a class
  std::vector<std::vector<int64_t>> confusion;  // empty, or [true][predicted]
  std::map<std::string, int64_t> hidden_sizes;  // by layer
  std::vector<WeightRecord> weights;            // every matrix
  std::vector<ActivityRecord> activity;         // compiled networks with dynamic pruning only
  // Compiled networks only: the CPU by whose costs formats were chosen; "" if not by costs.
  std::string costs;
};

// Early exit of the compiled network, on the test split.
struct ExitRecord {
  double confidence = 0.0;  // the rule (runtime/early_exit.h)
  int64_t hold = 1;
  int64_t every = 1;
  double metric = 0.0;
  double steps = 0.0;         // share of all steps that were run
  int64_t ended_early = 0;    // sequences
  double metric_after = 0.0;  // where all sequences end after that share of their steps
};

// Quartiles of repeated measurements.
struct TimingRecord {
  double median = 0.0;
  double p25 = 0.0;
  double p75 = 0.0;
};

struct SystemRecord {
  std::string system;  // "espalier-pruned", "espalier-dense", "onnxruntime-dense", ...
  TimingRecord us_per_sequence;
  std::optional<TimingRecord> us_per_step;   // streaming, T = 1
  std::optional<StepTimes> step_times = {};  // of single steps; records of before have none
};

struct BenchRecord {
  int64_t sequence_steps = 0;
  int64_t repetitions = 0;
  int64_t threads = 1;
  std::vector<SystemRecord> systems;
};

struct SummaryModel {
  double metric = 0.0;
  int64_t bytes = 0;
  int64_t params = 0;  // nonzero parameters
  double us_per_sequence = 0.0;
};

// What `espalier report RUN --summary --json` prints; the issue of the first release fixes its
// keys.
struct SummaryRecord {
  std::string task;
  SummaryModel dense;
  SummaryModel pruned;
  double weights_removed = 0.0;
  double speedup_vs_own_dense = 0.0;
  std::optional<double> speedup_vs_onnxruntime;  // nullopt if it was not measured
  std::optional<double> agreement;               // nullopt if it was not measured
  std::vector<int64_t> seeds;
  // Of dynamic pruning: multiply-adds done on the test split, of those without rules; and with
  // early exit the metric and the share of the steps that were run.
  std::optional<double> multiply_adds_done = {};
  std::optional<double> exit_metric = {};
  std::optional<double> exit_steps = {};
};

struct RunRecord {
  std::string name;     // the recipe's, or the run folder's if it has none
  std::string version;  // of espalier
  std::string command;  // that repeats the run; "" if unknown
  MachineRecord machine;
  int64_t seed = 0;
  std::string recipe_json = "{}";  // the resolved recipe, text of one JSON object
  TaskRecord task;
  std::vector<StageRecord> stages;            // in the order they ran
  std::map<std::string, ModelRecord> models;  // by role: "dense", "pruned"
  std::optional<ThresholdCurve> thresholds;   // of the thresholds stage
  std::optional<double> agreement;            // as in the summary; nullopt before an evaluation
  std::optional<ExitRecord> exit;             // of an evaluate stage with one
  std::optional<BenchRecord> bench;
  std::optional<SummaryRecord> summary;
};

// Bit i % 8 (lowest first) of byte i / 8 is set where keep[i] != 0; as in the file before base64.
std::vector<uint8_t> PackMask(std::span<const uint8_t> keep);
inline bool MaskBit(std::span<const uint8_t> mask, size_t i) {
  return (mask[i / 8] >> (i % 8) & 1) != 0;
}

// The JSON text of a record, keys in the order of docs/run-record.md, and back.
// Errors of RunRecordJson: kInvalidArgument if parameters_json or recipe_json is not an object.
// Errors of ParseRunRecord: kBadFormat with the line and column of damaged JSON, or with the path
// of the key, what was expected and what was found; kUnsupported for a newer schema.
Result<std::string> RunRecordJson(const RunRecord& record);
Result<RunRecord> ParseRunRecord(std::string_view json);

// The same from and to a file; messages begin with the path. Writing is atomic: an error leaves the
// record that was there.
Result<RunRecord> ReadRunRecord(const std::string& path);
Status WriteRunRecord(const std::string& path, const RunRecord& record);

// nullptr if there is none.
const ModelRecord* FindModel(const RunRecord& record, std::string_view role);
const SystemRecord* FindSystem(const RunRecord& record, std::string_view system);

}  // namespace espalier

#endif  // ESPALIER_REPORT_RUN_RECORD_H_
