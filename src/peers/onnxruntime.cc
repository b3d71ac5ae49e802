#include "peers/onnxruntime.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "model/tensor.h"
#include "peers/onnxruntime_api.h"

namespace espalier {

using ort::OrtStatus;

namespace ort {

Api::Api(const TableEntry* table) {
  const auto take = [&](auto* function, size_t index) {
    *function = reinterpret_cast<std::remove_pointer_t<decltype(function)>>(table[index]);
  };
  take(&GetErrorMessage, 2);
  take(&CreateEnv, 3);
  take(&DisableTelemetryEvents, 6);
  take(&CreateSessionFromArray, 8);
  take(&CreateSessionOptions, 10);
  take(&SetSessionExecutionMode, 13);
  take(&SetSessionGraphOptimizationLevel, 23);
  take(&SetIntraOpNumThreads, 24);
  take(&SetInterOpNumThreads, 25);
  take(&SessionGetInputCount, 30);
  take(&SessionGetOutputCount, 31);
  take(&SessionGetInputName, 36);
  take(&SessionGetOutputName, 37);
  take(&CreateTensorWithDataAsOrtValue, 49);
  take(&CreateCpuMemoryInfo, 69);
  take(&AllocatorFree, 76);
  take(&GetAllocatorWithDefaultOptions, 78);
  take(&ReleaseEnv, 92);
  take(&ReleaseStatus, 93);
  take(&ReleaseMemoryInfo, 94);
  take(&ReleaseSession, 95);
  take(&ReleaseValue, 96);
  take(&ReleaseSessionOptions, 100);
  take(&AddSessionConfigEntry, 130);
  take(&RunWithBinding, 133);
  take(&CreateIoBinding, 134);
  take(&ReleaseIoBinding, 135);
  take(&BindInput, 136);
  take(&BindOutput, 137);
}

}  // namespace ort

namespace {

// An object of ONNX Runtime, released when it goes out of scope.
template <typename T>
class Handle {
 public:
  explicit Handle(void (*release)(T*)) : release_(release) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (value_ != nullptr) release_(value_);
  }
  T* get() const { return value_; }
  T** out() { return &value_; }

 private:
  void (*release_)(T*);
  T* value_ = nullptr;
};

// Consumes `error`.
Status Convert(const ort::Api& api, OrtStatus* error, Code code, const char* what) {
  if (error == nullptr) return Ok();
  const Status status(code, StrCat("ONNX Runtime, ", what, ": ", api.GetErrorMessage(error)));
  api.ReleaseStatus(error);
  return status;
}

struct Memory {
  ort::ElementType type;
  void* data;
  size_t count;
  size_t size_bytes;
};

template <typename T>
Memory MemoryOf(std::span<T> values) {
  using Element = std::remove_const_t<T>;
  const ort::ElementType type = std::is_same_v<Element, float>     ? ort::kFloat
                                : std::is_same_v<Element, int32_t> ? ort::kInt32
                                                                   : ort::kInt64;
  // The C API takes inputs as mutable memory and does not write to them.
  return {type, const_cast<Element*>(values.data()), values.size(), values.size_bytes()};
}

Status CheckShape(const std::string& name, const std::vector<int64_t>& shape, size_t found) {
  int64_t expected = 1;
  for (const int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(expected, dim, &expected)) {
      return InvalidArgument(name + ": shape " + ShapeString(shape) + " is not a tensor's");
    }
  }
  if (static_cast<size_t>(expected) == found) return Ok();
  return InvalidArgument(StrCat(name, ": ", expected, " elements expected for shape ",
                                ShapeString(shape), ", ", found, " found"));
}

Status CheckName(const char* what, const std::string& name, const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), name) != names.end()) return Ok();
  return InvalidArgument(
      StrCat("the model has no ", what, " '", name, "'", DidYouMean(name, names)));
}

}  // namespace

struct OnnxRuntime::Library {
  Library(const ort::TableEntry* table, std::string version_text)
      : api(table),
        version(std::move(version_text)),
        env(api.ReleaseEnv),
        memory(api.ReleaseMemoryInfo) {}

  ort::Api api;
  std::string version;
  Handle<ort::OrtEnv> env;
  Handle<ort::OrtMemoryInfo> memory;
};

struct OnnxSession::Impl {
  explicit Impl(std::shared_ptr<const OnnxRuntime::Library> owner)
      : library(std::move(owner)), session(library->api.ReleaseSession) {}

  std::shared_ptr<const OnnxRuntime::Library> library;
  Handle<ort::OrtSession> session;
  std::vector<std::string> input_names;
  std::vector<std::string> output_names;
};

struct OnnxBinding::Impl {
  explicit Impl(std::shared_ptr<OnnxSession::Impl> owner)
      : session(std::move(owner)), binding(session->library->api.ReleaseIoBinding) {}

  // Binds `memory` as the input or output `name`; ONNX Runtime keeps its own reference to the
  // value.
  template <typename BindFunction>
  Status Bind(BindFunction bind, const std::string& name, const std::vector<int64_t>& shape,
              const Memory& memory) {
    const ort::Api& api = session->library->api;
    ESPALIER_RETURN_IF_ERROR(CheckShape(name, shape, memory.count));
    Handle<ort::OrtValue> value(api.ReleaseValue);
    ESPALIER_RETURN_IF_ERROR(
        Convert(api,
                api.CreateTensorWithDataAsOrtValue(
                    session->library->memory.get(), memory.data != nullptr ? memory.data : &empty,
                    memory.size_bytes, shape.data(), shape.size(), memory.type, value.out()),
                Code::kInvalidArgument, name.c_str()));
    return Convert(api, bind(binding.get(), name.c_str(), value.get()), Code::kInvalidArgument,
                   name.c_str());
  }

  std::shared_ptr<OnnxSession::Impl> session;
  Handle<ort::OrtIoBinding> binding;
  float empty = 0.0f;  // the address of tensors without elements
};

OnnxBinding::OnnxBinding(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OnnxBinding::OnnxBinding(OnnxBinding&&) noexcept = default;
OnnxBinding& OnnxBinding::operator=(OnnxBinding&&) noexcept = default;
OnnxBinding::~OnnxBinding() = default;

Status OnnxBinding::Run() {
  const ort::Api& api = impl_->session->library->api;
  OrtStatus* error =
      api.RunWithBinding(impl_->session->session.get(), nullptr, impl_->binding.get());
  return Convert(api, error, Code::kInternal, "run");
}

OnnxSession::OnnxSession(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
OnnxSession::OnnxSession(OnnxSession&&) noexcept = default;
OnnxSession& OnnxSession::operator=(OnnxSession&&) noexcept = default;
OnnxSession::~OnnxSession() = default;

const std::vector<std::string>& OnnxSession::input_names() const { return impl_->input_names; }
const std::vector<std::string>& OnnxSession::output_names() const { return impl_->output_names; }

Result<OnnxBinding> OnnxSession::Bind(const std::vector<OnnxInput>& inputs,
                                      const std::vector<OnnxOutput>& outputs) const {
  const ort::Api& api = impl_->library->api;
  auto bound = std::make_unique<OnnxBinding::Impl>(impl_);
  ESPALIER_RETURN_IF_ERROR(Convert(api,
                                   api.CreateIoBinding(impl_->session.get(), bound->binding.out()),
                                   Code::kInternal, "CreateIoBinding"));
  for (const OnnxInput& input : inputs) {
    ESPALIER_RETURN_IF_ERROR(CheckName("input", input.name, impl_->input_names));
    const Memory memory =
        std::visit([](const auto& values) { return MemoryOf(values); }, input.values);
    ESPALIER_RETURN_IF_ERROR(bound->Bind(api.BindInput, input.name, input.shape, memory));
  }
  for (const OnnxOutput& output : outputs) {
    ESPALIER_RETURN_IF_ERROR(CheckName("output", output.name, impl_->output_names));
    ESPALIER_RETURN_IF_ERROR(
        bound->Bind(api.BindOutput, output.name, output.shape, MemoryOf(output.values)));
  }
  return OnnxBinding(std::move(bound));
}

Result<std::string> FindOnnxRuntime(const std::string& directory) {
#if defined(__aarch64__)
  constexpr const char* kCpu = "arm64";
#else
  constexpr const char* kCpu = "x64";
#endif
  const std::string path = StrCat(directory, "/node_modules/onnxruntime-node/bin/napi-v6/linux/",
                                  kCpu, "/libonnxruntime.so.1");
  std::error_code error;
  if (std::filesystem::exists(path, error)) return path;
  return Unsupported(StrCat("ONNX Runtime is not at ", path, "; 'npm install --ignore-scripts ",
                            "onnxruntime-node@1.30' in ", directory, " puts it there"));
}

OnnxRuntime::OnnxRuntime(std::shared_ptr<const Library> library) : library_(std::move(library)) {}

Result<OnnxRuntime> OnnxRuntime::Open(const std::string& library_path) {
  // Never closed: ONNX Runtime does not support to be unloaded.
  void* handle = ::dlopen(library_path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return Unsupported(StrCat("cannot load ONNX Runtime: ", ::dlerror()));
  void* symbol = ::dlsym(handle, "OrtGetApiBase");
  if (symbol == nullptr) {
    return Unsupported(library_path + " is not ONNX Runtime: it has no OrtGetApiBase");
  }
  const auto* base = reinterpret_cast<const ort::OrtApiBase* (*)()>(symbol)();
  const ort::TableEntry* table = base->GetApi(ort::kApiVersion);
  if (table == nullptr) {
    return Unsupported(StrCat(library_path, ": ONNX Runtime 1.", ort::kApiVersion,
                              " or later expected, ", base->GetVersionString(), " found"));
  }
  auto library = std::make_shared<Library>(table, base->GetVersionString());
  const ort::Api& api = library->api;
  // Errors come back as a status; nothing is to be printed behind the caller's back.
  ESPALIER_RETURN_IF_ERROR(Convert(
      api, api.CreateEnv(ort::kLogFatal, "espalier", library->env.out()), Code::kInternal, "env"));
  ESPALIER_RETURN_IF_ERROR(
      Convert(api, api.DisableTelemetryEvents(library->env.get()), Code::kInternal, "telemetry"));
  ESPALIER_RETURN_IF_ERROR(Convert(
      api,
      api.CreateCpuMemoryInfo(ort::kDeviceAllocator, ort::kDefaultMemory, library->memory.out()),
      Code::kInternal, "memory info"));
  return OnnxRuntime(std::move(library));
}

const std::string& OnnxRuntime::version() const { return library_->version; }

namespace {

Status SetOptions(const ort::Api& api, const OnnxSessionOptions& options,
                  ort::OrtSessionOptions* out) {
  const auto check = [&](OrtStatus* error) {
    return Convert(api, error, Code::kInternal, "session options");
  };
  ESPALIER_RETURN_IF_ERROR(check(api.SetSessionExecutionMode(out, ort::kSequential)));
  ESPALIER_RETURN_IF_ERROR(check(api.SetSessionGraphOptimizationLevel(out, ort::kOptimizeAll)));
  ESPALIER_RETURN_IF_ERROR(check(api.SetIntraOpNumThreads(out, options.threads)));
  ESPALIER_RETURN_IF_ERROR(check(api.SetInterOpNumThreads(out, 1)));
  if (options.weights == OnnxSessionOptions::Weights::kAsStored) {
    ESPALIER_RETURN_IF_ERROR(
        check(api.AddSessionConfigEntry(out, "session.disable_prepacking", "1")));
  }
  // Idle workers that spin would steal time from whatever is timed next.
  return check(api.AddSessionConfigEntry(out, "session.intra_op.allow_spinning", "0"));
}

using GetCount = OrtStatus* (*)(const ort::OrtSession*, size_t*);
using GetName = OrtStatus* (*)(const ort::OrtSession*, size_t, ort::OrtAllocator*, char**);

Status ReadNames(const ort::Api& api, const ort::OrtSession* session, GetCount get_count,
                 GetName get_name, std::vector<std::string>* names) {
  const auto check = [&](OrtStatus* error) {
    return Convert(api, error, Code::kInternal, "session names");
  };
  ort::OrtAllocator* allocator = nullptr;  // the process's own; not released
  ESPALIER_RETURN_IF_ERROR(check(api.GetAllocatorWithDefaultOptions(&allocator)));
  size_t count = 0;
  ESPALIER_RETURN_IF_ERROR(check(get_count(session, &count)));
  for (size_t i = 0; i < count; ++i) {
    char* name = nullptr;
    ESPALIER_RETURN_IF_ERROR(check(get_name(session, i, allocator, &name)));
    names->push_back(name);
    ESPALIER_RETURN_IF_ERROR(check(api.AllocatorFree(allocator, name)));
  }
  return Ok();
}

}  // namespace

Result<OnnxSession> OnnxRuntime::Load(std::span<const std::byte> model,
                                      const OnnxSessionOptions& options) const {
  if (options.threads < 1) {
    return InvalidArgument(StrCat("threads: at least 1 expected, ", options.threads, " found"));
  }
  const ort::Api& api = library_->api;
  Handle<ort::OrtSessionOptions> session_options(api.ReleaseSessionOptions);
  ESPALIER_RETURN_IF_ERROR(Convert(api, api.CreateSessionOptions(session_options.out()),
                                   Code::kInternal, "session options"));
  ESPALIER_RETURN_IF_ERROR(SetOptions(api, options, session_options.get()));
  auto impl = std::make_shared<OnnxSession::Impl>(library_);
  ESPALIER_RETURN_IF_ERROR(
      Convert(api,
              api.CreateSessionFromArray(library_->env.get(), model.data(), model.size(),
                                         session_options.get(), impl->session.out()),
              Code::kInvalidArgument, "load"));
  ESPALIER_RETURN_IF_ERROR(ReadNames(api, impl->session.get(), api.SessionGetInputCount,
                                     api.SessionGetInputName, &impl->input_names));
  ESPALIER_RETURN_IF_ERROR(ReadNames(api, impl->session.get(), api.SessionGetOutputCount,
                                     api.SessionGetOutputName, &impl->output_names));
  return OnnxSession(std::move(impl));
}

}  // namespace espalier
