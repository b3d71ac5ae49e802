#include "runtime/session.h"

#include <algorithm>
#include <cstring>
#include <exception>

#include "base/strings.h"
#include "kernels/kernels.h"
#include "runtime/denormals.h"
#include "runtime/plan.h"

namespace espalier {
namespace {

// With it no size in bytes can overflow: features are below 2^25 (artifact/reader.cc).
constexpr int64_t kMaxRows = int64_t{1} << 31;

Status CheckOptions(const SessionOptions& options) {
  const auto check = [](const char* name, int64_t value) {
    if (value >= 1 && value <= kMaxRows) return Ok();
    return InvalidArgument(StrCat(name, ": 1 to ", kMaxRows, " expected, ", value, " found"));
  };
  ESPALIER_RETURN_IF_ERROR(check("max_batch", options.max_batch));
  ESPALIER_RETURN_IF_ERROR(check("max_steps", options.max_steps));
  if (options.max_batch <= kMaxRows / options.max_steps) return Ok();
  return InvalidArgument(StrCat("max_batch * max_steps: at most ", kMaxRows, " expected, ",
                                options.max_batch, " * ", options.max_steps, " found"));
}

}  // namespace

struct Session::Impl {
  SessionPlan plan;
  const KernelTable* kernels = nullptr;
  int64_t max_batch = 0;
  int64_t max_steps = 0;
  std::vector<int32_t> lengths;  // of the running batch
  RunContext run;                // of the last Run; size 0 before the first

  Status Check(const BatchView& batch) const;
  Status CheckInput(const BatchView& batch) const;
  void SetContext(const BatchView& batch);
  void CopyInput(const BatchView& batch);
  Result<size_t> FindState(const std::string& name, size_t value_count) const;
};

Status Session::Impl::CheckInput(const BatchView& batch) const {
  const ValueType& type = plan.input_spec.type;
  const std::string& name = plan.input_spec.name;
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
  const bool has_time = plan.input_spec.type.layout == Layout::kSequence;
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

void Session::Impl::SetContext(const BatchView& batch) {
  run.steps = static_cast<size_t>(batch.steps);
  run.size = static_cast<size_t>(batch.size);
  run.ids = batch.ids.data();
  if (batch.lengths.empty()) {
    std::fill_n(lengths.begin(), run.size, static_cast<int32_t>(batch.steps));
  } else {
    std::copy(batch.lengths.begin(), batch.lengths.end(), lengths.begin());
  }
  run.lengths = lengths.data();
  const auto last = lengths.begin() + static_cast<std::ptrdiff_t>(run.size);
  run.max_length = static_cast<size_t>(*std::max_element(lengths.begin(), last));
}

void Session::Impl::CopyInput(const BatchView& batch) {
  const RowBuffer& input = plan.input;
  if (input.data == nullptr) return;  // ids are read where they are
  for (size_t i = 0; i < run.RowsOf(input); ++i) {
    std::memcpy(input.row(i), batch.features.data() + i * input.features,
                input.features * sizeof(float));
  }
}

Result<size_t> Session::Impl::FindState(const std::string& name, size_t value_count) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < plan.state_specs.size(); ++i) {
    const StateSpec& spec = plan.state_specs[i];
    names.push_back(spec.name);
    if (spec.name != name) continue;
    const auto width = static_cast<size_t>(spec.width);
    const auto streams = static_cast<size_t>(max_batch);
    if (value_count > 0 && value_count % width == 0 && value_count / width <= streams) return i;
    return InvalidArgument(StrCat("state '", name, "': ", width, " values for each of 1 to ",
                                  streams, " streams expected, ", value_count, " found"));
  }
  return InvalidArgument(StrCat("state '", name, "': no such state", DidYouMean(name, names)));
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::Create(const Artifact& artifact, const SessionOptions& options) {
  try {
    ESPALIER_RETURN_IF_ERROR(CheckOptions(options));
    auto impl = std::make_unique<Impl>();
    ESPALIER_ASSIGN_OR_RETURN(impl->kernels, FindKernels(options.target));
    impl->max_batch = options.max_batch;
    impl->max_steps = options.max_steps;
    impl->lengths.resize(static_cast<size_t>(options.max_batch));
    PlanOptions plan_options{static_cast<size_t>(options.max_batch),
                             static_cast<size_t>(options.max_steps), impl->kernels, options.log};
    ESPALIER_ASSIGN_OR_RETURN(impl->plan, MakePlan(artifact, plan_options));
    return Session(std::move(impl));
  } catch (const std::exception&) {  // bad_alloc, or length_error of an absurd size
    return OutOfMemory(StrCat("session of B = ", options.max_batch, " and T = ", options.max_steps,
                              ": memory is exhausted"));
  }
}

Status Session::Run(const BatchView& batch) noexcept {
  try {
    ESPALIER_RETURN_IF_ERROR(impl_->Check(batch));
  } catch (const std::exception&) {
    return Status(Code::kOutOfMemory, std::string());
  }
  impl_->SetContext(batch);
  impl_->CopyInput(batch);
  const FlushDenormals flush;
  for (const Operation& op : impl_->plan.operations) op.run(op, impl_->run);
  return Ok();
}

Status Session::Step(std::span<const float> features) noexcept {
  BatchView batch;
  batch.steps = 1;
  batch.size = static_cast<int64_t>(features.size()) / impl_->plan.input_spec.type.features;
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
  const RowBuffer& output = impl_->plan.outputs[index];
  return {output.data, impl_->run.RowsOf(output) * output.features};
}

void Session::Reset() noexcept {
  for (const RowBuffer& state : impl_->plan.states) {
    std::fill_n(state.data, static_cast<size_t>(impl_->max_batch) * state.stride, 0.0f);
  }
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
  for (const RowBuffer& state : impl_->plan.states) {
    std::fill_n(state.row(static_cast<size_t>(stream)), state.features, 0.0f);
  }
  return Ok();
}

Status Session::GetState(const std::string& name, std::span<float> values) const {
  ESPALIER_ASSIGN_OR_RETURN(const size_t index, impl_->FindState(name, values.size()));
  const RowBuffer& state = impl_->plan.states[index];
  for (size_t b = 0; b < values.size() / state.features; ++b) {
    std::copy_n(state.row(b), state.features, values.data() + b * state.features);
  }
  return Ok();
}

Status Session::SetState(const std::string& name, std::span<const float> values) {
  ESPALIER_ASSIGN_OR_RETURN(const size_t index, impl_->FindState(name, values.size()));
  const RowBuffer& state = impl_->plan.states[index];
  for (size_t b = 0; b < values.size() / state.features; ++b) {
    std::copy_n(values.data() + b * state.features, state.features, state.row(b));
  }
  return Ok();
}

const std::vector<StateSpec>& Session::states() const { return impl_->plan.state_specs; }
const char* Session::target() const { return impl_->kernels->target; }
uint64_t Session::arena_bytes() const {
  uint64_t total_bytes = 0;
  for (const auto& buffer : impl_->plan.arena) total_bytes += buffer.size() * sizeof(float);
  return total_bytes;
}

}  // namespace espalier
