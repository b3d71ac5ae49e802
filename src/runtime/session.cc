#include "runtime/session.h"

#include <algorithm>
#include <cstring>
#include <exception>

#include "base/strings.h"
#include "runtime/engine.h"
#include "runtime/rest.h"

namespace espalier {
namespace {

// With it no size of one buffer can overflow: features are below 2^25 (artifact/reader.cc).
constexpr int64_t kMaxRows = int64_t{1} << 31;

Status CheckOptions(const SessionOptions& options) {
  ESPALIER_RETURN_IF_ERROR(CheckOption("max_batch", options.max_batch, kMaxRows));
  ESPALIER_RETURN_IF_ERROR(CheckOption("max_steps", options.max_steps, kMaxRows));
  ESPALIER_RETURN_IF_ERROR(CheckOption("threads", options.threads, ThreadTeam::kMostThreads));
  if (options.max_batch <= kMaxRows / options.max_steps) return Ok();
  return InvalidArgument(StrCat("max_batch * max_steps: at most ", kMaxRows, " expected, ",
                                options.max_batch, " * ", options.max_steps, " found"));
}

// A session's memory, in order; pointers are nullptr while the arena counts.
struct Pieces {
  std::byte* impl = nullptr;
  int32_t* lengths = nullptr;
  EngineLayout engine;
};

}  // namespace

struct Session::Impl {
  const GraphInput* input_spec = nullptr;  // these two are the artifact's
  std::span<const StateSpec> state_specs;
  Engine engine;
  int64_t max_batch = 0;
  int64_t max_steps = 0;
  size_t memory_bytes = 0;
  bool owns_memory = false;
  int32_t* lengths = nullptr;  // [max_batch], of the running batch
  RunContext run;              // of the last Run; size 0 before the first
  BudgetController budget;
  const char* no_exit = nullptr;  // why RunUntil is refused
  Scores scores = Scores::kLogits;

  static Result<Pieces> Lay(const Program& program, const SessionOptions& options, Arena* arena);

  Status Check(const BatchView& batch) const;
  Status CheckInput(const BatchView& batch) const;
  Status CheckExit(const ExitRule& rule) const;
  Status CheckUntil(const BatchView& batch, const ExitRule& rule) const;
  void SetContext(const BatchView& batch);
  void Compute(const BatchView& batch) noexcept;
  void RaiseThresholds() noexcept;
  BatchView StepsOf(const BatchView& batch, int64_t first, int64_t count) const;
  void DescribeExit(const Program& program);
  Result<size_t> FindState(std::string_view name, size_t value_count) const;
};

Result<Pieces> Session::Impl::Lay(const Program& program, const SessionOptions& options,
                                  Arena* arena) {
  ESPALIER_RETURN_IF_ERROR(CheckOptions(options));
  PlanOptions plan;
  plan.max_batch = static_cast<size_t>(options.max_batch);
  plan.max_steps = static_cast<size_t>(options.max_steps);
  plan.max_streams = plan.max_batch;
  plan.threads = static_cast<size_t>(options.threads);
  ESPALIER_ASSIGN_OR_RETURN(plan.kernels, program.KernelsFor(options.target));
  Pieces pieces;
  pieces.impl = arena->Take<std::byte>(sizeof(Impl));
  pieces.lengths = arena->Take<int32_t>(plan.max_batch);
  ESPALIER_ASSIGN_OR_RETURN(pieces.engine, LayEngine(program, plan, arena));
  return pieces;
}

Status Session::Impl::CheckInput(const BatchView& batch) const {
  const ValueType& type = input_spec->type;
  const std::string& name = input_spec->name;
  const bool is_ids = type.element == Element::kI32;
  const int64_t expected = batch.steps * batch.size * (is_ids ? 1 : type.features);
  const size_t found = is_ids ? batch.ids.size() : batch.features.size();
  if (found != static_cast<size_t>(expected)) {
    return InvalidArgument(StrCat("input '", name, "': ", expected, " elements expected for ",
                                  TypeString(type), " with T = ", batch.steps,
                                  " and B = ", batch.size, ", ", found, " found"));
  }
  if (!is_ids) return Ok();
  for (size_t i = 0; i < batch.ids.size(); ++i) {
    if (batch.ids[i] < 0 || batch.ids[i] >= type.features) {
      return InvalidArgument(StrCat("input '", name, "': ids in [0, ", type.features,
                                    ") expected, ", batch.ids[i], " found at element ", i));
    }
  }
  return Ok();
}

Status Session::Impl::Check(const BatchView& batch) const {
  if (batch.size < 1 || batch.size > max_batch) {
    return InvalidArgument(
        StrCat("batch: B of 1 to max_batch = ", max_batch, " expected, ", batch.size, " found"));
  }
  const bool has_time = input_spec->type.layout == Layout::kSequence;
  if (batch.steps < 0 || batch.steps > max_steps || (!has_time && batch.steps != 1)) {
    return InvalidArgument(StrCat("batch: T of ",
                                  has_time ? StrCat("0 to max_steps = ", max_steps) : "1",
                                  " expected, ", batch.steps, " found"));
  }
  if (!batch.lengths.empty() && batch.lengths.size() != static_cast<size_t>(batch.size)) {
    return InvalidArgument(
        StrCat("lengths: ", batch.size, " expected, ", batch.lengths.size(), " found"));
  }
  for (size_t b = 0; b < batch.lengths.size(); ++b) {
    if (batch.lengths[b] < 0 || batch.lengths[b] > batch.steps) {
      return InvalidArgument(StrCat("lengths[", b, "]: 0 to T = ", batch.steps, " expected, ",
                                    batch.lengths[b], " found"));
    }
  }
  return CheckInput(batch);
}

Status Session::Impl::CheckExit(const ExitRule& rule) const {
  ESPALIER_RETURN_IF_ERROR(ValidateExitRule(rule));
  if (no_exit != nullptr) return Unsupported(StrCat("early exit: ", no_exit));
  return Ok();
}

Status Session::Impl::CheckUntil(const BatchView& batch, const ExitRule& rule) const {
  ESPALIER_RETURN_IF_ERROR(CheckExit(rule));
  if (rule.every > max_steps) {
    return InvalidArgument(
        StrCat("exit: every of 1 to max_steps = ", max_steps, " expected, ", rule.every, " found"));
  }
  if (batch.size != 1 || !batch.lengths.empty()) {
    return InvalidArgument(StrCat("batch: B = 1 without lengths expected, B = ", batch.size,
                                  batch.lengths.empty() ? "" : " with lengths", " found"));
  }
  if (batch.steps < 0 || batch.steps > kMaxRows) {
    return InvalidArgument(
        StrCat("batch: T of 0 to ", kMaxRows, " expected, ", batch.steps, " found"));
  }
  return CheckInput(batch);
}

// Whether a run of RunUntil can be, and what its first output holds.
void Session::Impl::DescribeExit(const Program& program) {
  const size_t output = program.outputs[0];
  if (input_spec->type.layout != Layout::kSequence) no_exit = "an input with time expected";
  if (program.values[output].features < 2) no_exit = "a first output of 2 classes or more expected";
  for (const ProgramNode& node : program.nodes) {
    for (const ProgramLayer& layer : std::span(node.layers, node.layer_count)) {
      if (layer.reverse) {
        no_exit =
            "layers without a reverse direction expected, since that needs the whole sequence";
      } else if (node.starts_from_values) {
        no_exit =
            "no layer that starts from values (a decoder) expected, since that needs them all";
      }
    }
    if (node.op == Op::kRecurrent || node.out != output) continue;
    if (node.op == Op::kSoftmax) scores = Scores::kProbabilities;
    if (node.op == Op::kSigmoid || node.op == Op::kTanh || node.op == Op::kRelu) {
      no_exit = "a first output of logits or of a Softmax expected, that of another function found";
    }
  }
}

BatchView Session::Impl::StepsOf(const BatchView& batch, int64_t first, int64_t count) const {
  BatchView part;
  part.steps = count;
  part.size = 1;
  const auto part_of = [&](const auto& values, size_t width) {
    return values.subspan(static_cast<size_t>(first) * width, static_cast<size_t>(count) * width);
  };
  if (input_spec->type.element == Element::kI32) {
    part.ids = part_of(batch.ids, 1);
  } else {
    part.features = part_of(batch.features, static_cast<size_t>(input_spec->type.features));
  }
  return part;
}

void Session::Impl::Compute(const BatchView& batch) noexcept {
  SetContext(batch);
  const bool has_budget = budget.is_on();
  if (has_budget) budget.Begin(static_cast<int64_t>(run.max_length), engine.plan.forecast);
  const int64_t start = has_budget ? budget.NowNs() : 0;
  engine.CopyInput(batch.features.data(), run);
  engine.Run(&run);
  if (!has_budget || run.max_length == 0) return;
  const auto count = static_cast<int64_t>(run.max_length);
  const int64_t ns = budget.NowNs() - start;
  budget.End(*engine.plan.forecast, ns);
  const bool changed = budget.Update(count, ns);
  if (changed) RaiseThresholds();
  // Steps at rest save nothing, whatever the input has become since they began.
  if (!changed && ns <= count * budget.report().step_ns) return;
  for (const DynamicLayer& layer : engine.plan.dynamic_layers) LookAgain(layer);
}

void Session::Impl::RaiseThresholds() noexcept {
  for (const DynamicLayer& layer : engine.plan.dynamic_layers) {
    *layer.rules = *layer.own;
    if (!budget.is_on() || !layer.has_delta) continue;
    layer.rules->delta_x = budget.ThresholdOfX(layer.own->delta_x);
    layer.rules->delta_h = budget.ThresholdOfH(layer.own->delta_h);
  }
}

void Session::Impl::SetContext(const BatchView& batch) {
  run.steps = static_cast<size_t>(batch.steps);
  run.size = static_cast<size_t>(batch.size);
  run.ids = batch.ids.data();
  if (batch.lengths.empty()) {
    std::fill_n(lengths, run.size, static_cast<int32_t>(batch.steps));
  } else {
    std::copy(batch.lengths.begin(), batch.lengths.end(), lengths);
  }
  run.lengths = lengths;
  run.max_length = static_cast<size_t>(*std::max_element(lengths, lengths + run.size));
}

Result<size_t> Session::Impl::FindState(std::string_view name, size_t value_count) const {
  for (size_t i = 0; i < state_specs.size(); ++i) {
    const StateSpec& spec = state_specs[i];
    if (spec.name != name) continue;
    const auto width = static_cast<size_t>(spec.width);
    const auto streams = static_cast<size_t>(max_batch);
    if (value_count > 0 && value_count % width == 0 && value_count / width <= streams) return i;
    return InvalidArgument(StrCat("state '", name, "': ", width, " values for each of 1 to ",
                                  streams, " streams expected, ", value_count, " found"));
  }
  std::vector<std::string> names;
  for (const StateSpec& spec : state_specs) names.push_back(spec.name);
  return InvalidArgument(
      StrCat("state '", name, "': no such state", DidYouMean(std::string(name), names)));
}

void Session::Destroy::operator()(Impl* impl) const {
  const bool owns_memory = impl->owns_memory;
  impl->~Impl();
  if (owns_memory) FreeMemory(impl);
}

Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<size_t> Session::SizeOf(const Program& program, const SessionOptions& options) {
  Arena arena;
  ESPALIER_RETURN_IF_ERROR(Impl::Lay(program, options, &arena).status());
  return arena.bytes();
}

Result<Session> Session::InitAt(const Program& program, const SessionOptions& options,
                                std::span<std::byte> memory) {
  ESPALIER_ASSIGN_OR_RETURN(const size_t bytes, SizeOf(program, options));
  ESPALIER_RETURN_IF_ERROR(CheckMemory(memory, bytes));
  std::memset(memory.data(), 0, bytes);
  Arena arena(memory.data());
  ESPALIER_ASSIGN_OR_RETURN(const Pieces pieces, Impl::Lay(program, options, &arena));
  Session session(new (pieces.impl) Impl);
  Impl& impl = *session.impl_;
  impl.input_spec = program.input;
  impl.state_specs = program.states;
  impl.max_batch = options.max_batch;
  impl.max_steps = options.max_steps;
  impl.memory_bytes = bytes;
  impl.lengths = pieces.lengths;
  ESPALIER_RETURN_IF_ERROR(impl.engine.Start(pieces.engine));
  impl.DescribeExit(program);
  LogKernels(program, *impl.engine.kernels, options.log);
  return session;
}

Result<Session> Session::Create(const Artifact& artifact, const SessionOptions& options) {
  ESPALIER_ASSIGN_OR_RETURN(const Program program, Program::Of(artifact));
  ESPALIER_ASSIGN_OR_RETURN(const size_t bytes, SizeOf(program, options));
  std::byte* memory = AllocateMemory(bytes);
  if (memory == nullptr) {
    return OutOfMemory(StrCat("session of B = ", options.max_batch, " and T = ", options.max_steps,
                              ": no memory for ", bytes, " bytes"));
  }
  Result<Session> session = InitAt(program, options, {memory, bytes});
  if (session.ok()) {
    session->impl_->owns_memory = true;
  } else {
    FreeMemory(memory);
  }
  return session;
}

Status Session::Run(const BatchView& batch) noexcept {
  try {
    ESPALIER_RETURN_IF_ERROR(impl_->Check(batch));
  } catch (const std::exception&) {
    return Status(Code::kOutOfMemory, std::string());
  }
  impl_->Compute(batch);
  return Ok();
}

Result<ExitWatch> Session::WatchFor(const ExitRule& rule) const {
  ESPALIER_RETURN_IF_ERROR(impl_->CheckExit(rule));
  return ExitWatch{rule, impl_->scores};
}

Status Session::RunUntil(const BatchView& batch, const ExitRule& rule,
                         ExitResult* result) noexcept {
  try {
    ESPALIER_RETURN_IF_ERROR(impl_->CheckUntil(batch, rule));
  } catch (const std::exception&) {
    return Status(Code::kOutOfMemory, std::string());
  }
  ExitWatch watch{rule, impl_->scores};
  int64_t steps = 0;
  do {
    const int64_t count = std::min(rule.every, batch.steps - steps);
    impl_->Compute(impl_->StepsOf(batch, steps, count));
    steps += count;
    const std::span<const float> output = Output(0);
    if (!output.empty()) watch.Update(output.last(impl_->engine.plan.outputs[0].features));
  } while (!watch.is_settled() && steps < batch.steps);
  *result = {steps, watch.looks, watch.best, watch.probability, watch.is_settled()};
  return Ok();
}

Status Session::Step(std::span<const float> features) noexcept {
  BatchView batch;
  batch.steps = 1;
  batch.size = static_cast<int64_t>(features.size()) / impl_->input_spec->type.features;
  batch.features = features;
  return Run(batch);
}

Status Session::Step(std::span<const int32_t> ids) noexcept {
  BatchView batch;
  batch.steps = 1;
  batch.size = static_cast<int64_t>(ids.size());
  batch.ids = ids;
  return Run(batch);
}

std::span<const float> Session::Output(size_t index) const noexcept {
  const RowBuffer& output = impl_->engine.plan.outputs[index];
  return {output.data, impl_->run.RowsOf(output) * output.features};
}

void Session::Reset() noexcept {
  for (const RowBuffer& state : impl_->engine.plan.states) {
    std::fill_n(state.data, static_cast<size_t>(impl_->max_batch) * state.stride, 0.0f);
  }
  ForgetStreams(impl_->engine.plan, 0, static_cast<size_t>(impl_->max_batch));
}

Status Session::ResetStream(int64_t stream) noexcept {
  if (stream < 0 || stream >= impl_->max_batch) {
    try {
      return InvalidArgument(
          StrCat("stream: 0 to ", impl_->max_batch - 1, " expected, ", stream, " found"));
    } catch (const std::exception&) {
      return Status(Code::kOutOfMemory, std::string());
    }
  }
  for (const RowBuffer& state : impl_->engine.plan.states) {
    std::fill_n(state.row(static_cast<size_t>(stream)), state.features, 0.0f);
  }
  ForgetStreams(impl_->engine.plan, static_cast<size_t>(stream), 1);
  return Ok();
}

Status Session::GetState(std::string_view name, std::span<float> values) const {
  ESPALIER_ASSIGN_OR_RETURN(const size_t index, impl_->FindState(name, values.size()));
  const RowBuffer& state = impl_->engine.plan.states[index];
  for (size_t b = 0; b < values.size() / state.features; ++b) {
    std::copy_n(state.row(b), state.features, values.data() + b * state.features);
  }
  return Ok();
}

Status Session::SetState(std::string_view name, std::span<const float> values) {
  ESPALIER_ASSIGN_OR_RETURN(const size_t index, impl_->FindState(name, values.size()));
  const RowBuffer& state = impl_->engine.plan.states[index];
  for (size_t b = 0; b < values.size() / state.features; ++b) {
    std::copy_n(values.data() + b * state.features, state.features, state.row(b));
  }
  ForgetStreams(impl_->engine.plan, 0, values.size() / state.features);
  return Ok();
}

size_t Session::streams() const noexcept { return static_cast<size_t>(impl_->max_batch); }

size_t Session::dynamic_layers() const noexcept { return impl_->engine.plan.dynamic_layers.size(); }

LayerActivity Session::Activity(size_t index) const noexcept {
  return ActivityOf(impl_->engine.plan.dynamic_layers[index]);
}

int64_t Session::SkipsAhead(size_t index, size_t stream) const noexcept {
  return espalier::SkipsAhead(impl_->engine.plan.dynamic_layers[index], stream);
}

void Session::ResetCounters() noexcept {
  espalier::ResetCounters(impl_->engine.plan);
  impl_->budget.ResetCounters();
}

void Session::SetRests(bool rests) noexcept { espalier::SetRests(impl_->engine.plan, rests); }

bool Session::rests() const noexcept { return *impl_->engine.plan.rests; }

Status Session::SetRules(std::string_view layer, const LayerRules& rules) {
  ESPALIER_RETURN_IF_ERROR(SetLayerRules(impl_->engine.plan, layer, rules));
  impl_->RaiseThresholds();
  return Ok();
}

Status Session::SetBudget(const BudgetOptions& options) {
  ESPALIER_RETURN_IF_ERROR(ValidateBudget(options));
  if (impl_->max_batch != 1) {
    return InvalidArgument(StrCat(
        "budget: a session of one stream expected, max_batch = ", impl_->max_batch, " found"));
  }
  const std::span<const DynamicLayer> layers = impl_->engine.plan.dynamic_layers;
  if (std::none_of(layers.begin(), layers.end(), [](const auto& each) { return each.has_delta; })) {
    return Unsupported(
        StrCat("budget: a network with a layer that has delta expected, ",
               layers.empty() ? "none" : "only layers with other rules, without thresholds,",
               " found; give it delta, with thresholds of 0 if need be, before it is compiled"));
  }
  impl_->budget = BudgetController(options);
  for (const DynamicLayer& layer : layers) {
    if (layer.has_delta) *layer.input.mean_ns = *layer.recurrent.mean_ns = 0.0;
  }
  impl_->RaiseThresholds();
  return Ok();
}

void Session::ClearBudget() noexcept {
  impl_->budget = BudgetController();
  *impl_->engine.plan.forecast = StepForecast();
  impl_->RaiseThresholds();
}

const BudgetReport& Session::Budget() const noexcept { return impl_->budget.report(); }

std::span<const StateSpec> Session::states() const { return impl_->state_specs; }
const char* Session::target() const { return impl_->engine.kernels->target; }
size_t Session::threads() const { return impl_->engine.plan.threads; }
size_t Session::memory_bytes() const { return impl_->memory_bytes; }

}  // namespace espalier
