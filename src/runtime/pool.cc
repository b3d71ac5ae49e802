#include "runtime/pool.h"

#include <algorithm>
#include <cstring>
#include <exception>

#include "base/strings.h"
#include "runtime/engine.h"

namespace espalier {
namespace {

constexpr int64_t kMostStreams = int64_t{1} << 24;
// Streams that go through the network together. More share a read of the weights, fewer keep what
// lies between two layers in the second-level cache (LSTM-128: 4 KB a stream).
constexpr size_t kGroup = 32;

struct Stream {
  bool is_there;
  uint32_t last_step;  // number of the last Step that named it, right or not
};

// A pool's memory, in order; pointers are nullptr while the arena counts.
struct Pieces {
  std::byte* impl = nullptr;
  Stream* streams = nullptr;
  int32_t* free = nullptr;
  int32_t* lengths = nullptr;
  RowBuffer* outputs = nullptr;
  EngineLayout engine;
};

// What `call`, which returns a Status, comes to; its message may find no memory.
template <typename Call>
Status WithoutThrowing(const Call& call) noexcept {
  try {
    return call();
  } catch (const std::exception&) {
    return Status(Code::kOutOfMemory, std::string());
  }
}

}  // namespace

struct StreamPool::Impl {
  const GraphInput* input_spec = nullptr;  // these two are the artifact's
  std::span<const StateSpec> state_specs;
  Engine engine;
  size_t memory_bytes = 0;
  bool owns_memory = false;
  size_t max_streams = 0;
  Stream* streams = nullptr;  // [max_streams]
  int32_t* free = nullptr;    // [free_count], the next to be taken last
  size_t free_count = 0;
  uint32_t step_number = 0;
  int32_t* lengths = nullptr;    // [kGroup], all 1
  RowBuffer* outputs = nullptr;  // rows of all streams of a step
  size_t output_rows = 0;        // of the last step

  static Result<Pieces> Lay(const Program& program, const PoolOptions& options, Arena* arena);

  Status CheckStream(int32_t stream) const;
  Status CheckStreams(std::span<const int32_t> numbers);
  Status CheckInput(const PoolStep& step) const;
  void RunGroup(const PoolStep& step, size_t first, size_t count);
  void ClearState(int32_t stream);
  Result<RowBuffer> FindState(int32_t stream, std::string_view name, size_t count) const;
};

Result<Pieces> StreamPool::Impl::Lay(const Program& program, const PoolOptions& options,
                                     Arena* arena) {
  ESPALIER_RETURN_IF_ERROR(CheckOption("max_streams", options.max_streams, kMostStreams));
  ESPALIER_RETURN_IF_ERROR(CheckOption("threads", options.threads, ThreadTeam::kMostThreads));
  for (const ProgramNode& node : program.nodes) {
    if (node.layer_count > 0 && node.layers[node.layer_count - 1].reverse) {
      return Unsupported("pool: a network without a reverse direction expected, one found");
    }
    if (node.starts_from_values) {
      return Unsupported(
          "pool: a network that takes steps one by one expected, one with a layer that starts from "
          "values of whole sequences found");
    }
  }
  PlanOptions plan;
  plan.max_streams = static_cast<size_t>(options.max_streams);
  plan.streams_in_order = false;
  plan.max_batch = std::min(kGroup, plan.max_streams);
  plan.threads = static_cast<size_t>(options.threads);
  ESPALIER_ASSIGN_OR_RETURN(plan.kernels, program.KernelsFor(options.target));
  Pieces pieces;
  pieces.impl = arena->Take<std::byte>(sizeof(Impl));
  pieces.streams = arena->Take<Stream>(plan.max_streams);
  pieces.free = arena->Take<int32_t>(plan.max_streams);
  pieces.lengths = arena->Take<int32_t>(kGroup);
  pieces.outputs = arena->Take<RowBuffer>(program.outputs.size());
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    const size_t features = program.values[program.outputs[i]].features;
    float* rows = arena->Take<float>(plan.max_streams * features);
    if (pieces.outputs != nullptr) pieces.outputs[i] = {rows, features, features, false};
  }
  ESPALIER_ASSIGN_OR_RETURN(pieces.engine, LayEngine(program, plan, arena));
  return pieces;
}

Status StreamPool::Impl::CheckStream(int32_t stream) const {
  if (stream >= 0 && static_cast<size_t>(stream) < max_streams && streams[stream].is_there) {
    return Ok();
  }
  return InvalidArgument(StrCat("stream: one of the pool's ", max_streams - free_count,
                                " streams expected, ", stream, " found"));
}

// Marks them, so that one that comes twice is seen.
Status StreamPool::Impl::CheckStreams(std::span<const int32_t> numbers) {
  if (++step_number == 0) {  // began anew: forget the marks of 2^32 steps ago
    for (size_t i = 0; i < max_streams; ++i) streams[i].last_step = 0;
    ++step_number;
  }
  for (const int32_t stream : numbers) {
    ESPALIER_RETURN_IF_ERROR(CheckStream(stream));
    if (streams[stream].last_step == step_number) {
      return InvalidArgument(
          StrCat("streams: each at most once expected, ", stream, " found again"));
    }
    streams[stream].last_step = step_number;
  }
  return Ok();
}

Status StreamPool::Impl::CheckInput(const PoolStep& step) const {
  const ValueType& type = input_spec->type;
  const bool is_ids = type.element == Element::kI32;
  const size_t expected = step.streams.size() * (is_ids ? 1 : static_cast<size_t>(type.features));
  const size_t found = is_ids ? step.ids.size() : step.features.size();
  if (found != expected) {
    return InvalidArgument(StrCat("input '", input_spec->name, "': ", expected,
                                  " elements expected for ", step.streams.size(), " streams of ",
                                  TypeString(type), ", ", found, " found"));
  }
  for (const int32_t id : step.ids) {
    if (is_ids && (id < 0 || id >= type.features)) {
      return InvalidArgument(StrCat("input '", input_spec->name, "': ids in [0, ", type.features,
                                    ") expected, ", id, " found"));
    }
  }
  return Ok();
}

// Streams [first, first + count) of the step.
void StreamPool::Impl::RunGroup(const PoolStep& step, size_t first, size_t count) {
  RunContext run;
  run.steps = 1;
  run.size = count;
  run.max_length = 1;
  run.lengths = lengths;
  if (!step.ids.empty()) run.ids = step.ids.data() + first;
  run.streams = step.streams.data() + first;
  bool in_order = true;
  for (size_t b = 1; b < count; ++b) in_order &= run.streams[b] == run.streams[b - 1] + 1;
  if (in_order) {  // their states are neighbours: nothing to gather
    run.first_stream = static_cast<size_t>(run.streams[0]);
    run.streams = nullptr;
  }
  engine.CopyInput(step.features.data() + first * static_cast<size_t>(engine.plan.input.features),
                   run);
  engine.Run(&run);
  for (size_t i = 0; i < engine.plan.outputs.size(); ++i) {
    const RowBuffer& from = engine.plan.outputs[i];  // without gaps
    std::memcpy(outputs[i].row(first), from.data, count * from.features * sizeof(float));
  }
}

void StreamPool::Impl::ClearState(int32_t stream) {
  for (const RowBuffer& state : engine.plan.states) {
    std::fill_n(state.row(static_cast<size_t>(stream)), state.features, 0.0f);
  }
  ForgetStreams(engine.plan, static_cast<size_t>(stream), 1);
}

Result<RowBuffer> StreamPool::Impl::FindState(int32_t stream, std::string_view name,
                                              size_t count) const {
  ESPALIER_RETURN_IF_ERROR(CheckStream(stream));
  for (size_t i = 0; i < state_specs.size(); ++i) {
    if (state_specs[i].name != name) continue;
    RowBuffer row = engine.plan.states[i];
    if (count != row.features) {
      return InvalidArgument(
          StrCat("state '", name, "': ", row.features, " values expected, ", count, " found"));
    }
    row.data = row.row(static_cast<size_t>(stream));
    return row;
  }
  std::vector<std::string> names;
  for (const StateSpec& spec : state_specs) names.push_back(spec.name);
  return InvalidArgument(
      StrCat("state '", name, "': no such state", DidYouMean(std::string(name), names)));
}

void StreamPool::Destroy::operator()(Impl* impl) const {
  const bool owns_memory = impl->owns_memory;
  impl->~Impl();
  if (owns_memory) FreeMemory(impl);
}

StreamPool::StreamPool(StreamPool&&) noexcept = default;
StreamPool& StreamPool::operator=(StreamPool&&) noexcept = default;
StreamPool::~StreamPool() = default;

Result<size_t> StreamPool::SizeOf(const Program& program, const PoolOptions& options) {
  Arena arena;
  ESPALIER_RETURN_IF_ERROR(Impl::Lay(program, options, &arena).status());
  return arena.bytes();
}

Result<StreamPool> StreamPool::InitAt(const Program& program, const PoolOptions& options,
                                      std::span<std::byte> memory) {
  ESPALIER_ASSIGN_OR_RETURN(const size_t bytes, SizeOf(program, options));
  ESPALIER_RETURN_IF_ERROR(CheckMemory(memory, bytes));
  std::memset(memory.data(), 0, bytes);
  Arena arena(memory.data());
  ESPALIER_ASSIGN_OR_RETURN(const Pieces pieces, Impl::Lay(program, options, &arena));
  StreamPool pool(new (pieces.impl) Impl);
  Impl& impl = *pool.impl_;
  impl.input_spec = program.input;
  impl.state_specs = program.states;
  impl.memory_bytes = bytes;
  impl.max_streams = static_cast<size_t>(options.max_streams);
  impl.streams = pieces.streams;
  impl.free = pieces.free;
  impl.free_count = impl.max_streams;
  for (size_t i = 0; i < impl.max_streams; ++i) {
    impl.free[i] = static_cast<int32_t>(impl.max_streams - 1 - i);
  }
  impl.lengths = pieces.lengths;
  std::fill_n(impl.lengths, kGroup, 1);
  impl.outputs = pieces.outputs;
  ESPALIER_RETURN_IF_ERROR(impl.engine.Start(pieces.engine));
  LogKernels(program, *impl.engine.kernels, options.log);
  return pool;
}

Result<StreamPool> StreamPool::Create(const Artifact& artifact, const PoolOptions& options) {
  ESPALIER_ASSIGN_OR_RETURN(const Program program, Program::Of(artifact));
  ESPALIER_ASSIGN_OR_RETURN(const size_t bytes, SizeOf(program, options));
  std::byte* memory = AllocateMemory(bytes);
  if (memory == nullptr) {
    return OutOfMemory(
        StrCat("pool of ", options.max_streams, " streams: no memory for ", bytes, " bytes"));
  }
  Result<StreamPool> pool = InitAt(program, options, {memory, bytes});
  if (pool.ok()) {
    pool->impl_->owns_memory = true;
  } else {
    FreeMemory(memory);
  }
  return pool;
}

Result<int32_t> StreamPool::Add() noexcept {
  if (impl_->free_count == 0) {
    return WithoutThrowing([&] {
      return InvalidArgument(StrCat("streams: fewer than max_streams = ", impl_->max_streams,
                                    " expected, ", impl_->max_streams, " found"));
    });
  }
  const int32_t stream = impl_->free[--impl_->free_count];
  impl_->streams[stream].is_there = true;
  impl_->ClearState(stream);
  return stream;
}

Status StreamPool::Remove(int32_t stream) noexcept {
  return WithoutThrowing([&] {
    ESPALIER_RETURN_IF_ERROR(impl_->CheckStream(stream));
    impl_->streams[stream].is_there = false;
    impl_->free[impl_->free_count++] = stream;
    return Ok();
  });
}

Status StreamPool::ResetStream(int32_t stream) noexcept {
  return WithoutThrowing([&] {
    ESPALIER_RETURN_IF_ERROR(impl_->CheckStream(stream));
    impl_->ClearState(stream);
    return Ok();
  });
}

size_t StreamPool::stream_count() const { return impl_->max_streams - impl_->free_count; }

Status StreamPool::Step(const PoolStep& step) noexcept {
  return WithoutThrowing([&] {
    ESPALIER_RETURN_IF_ERROR(impl_->CheckStreams(step.streams));
    ESPALIER_RETURN_IF_ERROR(impl_->CheckInput(step));
    const size_t count = step.streams.size();
    for (size_t first = 0; first < count; first += kGroup) {
      impl_->RunGroup(step, first, std::min(kGroup, count - first));
    }
    impl_->output_rows = count;
    return Ok();
  });
}

std::span<const float> StreamPool::Output(size_t index) const noexcept {
  const RowBuffer& output = impl_->outputs[index];
  return {output.data, impl_->output_rows * output.features};
}

Status StreamPool::GetState(int32_t stream, std::string_view name, std::span<float> values) const {
  ESPALIER_ASSIGN_OR_RETURN(const RowBuffer row, impl_->FindState(stream, name, values.size()));
  std::copy_n(row.data, row.features, values.data());
  return Ok();
}

Status StreamPool::SetState(int32_t stream, std::string_view name, std::span<const float> values) {
  ESPALIER_ASSIGN_OR_RETURN(const RowBuffer row, impl_->FindState(stream, name, values.size()));
  std::copy_n(values.data(), row.features, row.data);
  ForgetStreams(impl_->engine.plan, static_cast<size_t>(stream), 1);
  return Ok();
}

size_t StreamPool::dynamic_layers() const noexcept {
  return impl_->engine.plan.dynamic_layers.size();
}

LayerActivity StreamPool::Activity(size_t index) const noexcept {
  return ActivityOf(impl_->engine.plan.dynamic_layers[index]);
}

void StreamPool::ResetCounters() noexcept { espalier::ResetCounters(impl_->engine.plan); }

void StreamPool::SetRests(bool rests) noexcept { espalier::SetRests(impl_->engine.plan, rests); }

bool StreamPool::rests() const noexcept { return *impl_->engine.plan.rests; }

Status StreamPool::SetRules(std::string_view layer, const LayerRules& rules) {
  return SetLayerRules(impl_->engine.plan, layer, rules);
}

std::span<const StateSpec> StreamPool::states() const { return impl_->state_specs; }
const char* StreamPool::target() const { return impl_->engine.kernels->target; }
size_t StreamPool::threads() const { return impl_->engine.plan.threads; }
size_t StreamPool::memory_bytes() const { return impl_->memory_bytes; }

}  // namespace espalier
