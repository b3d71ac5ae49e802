// ONNX Runtime as a competitor to time and to check against, loaded at run time (dlopen): nothing
// of it is needed to build. Version 1.16 or later; npm's onnxruntime-node carries the library.
//
// Called the fastest honest way that its C API offers: the session is made once (all graph
// optimisations, memory arena and pattern on, sequential, no spinning threads),
// inputs and outputs are tensors over the caller's memory, bound once, and Run is one call.
//
//   ESPALIER_ASSIGN_OR_RETURN(const std::string path, FindOnnxRuntime(checkout));
//   ESPALIER_ASSIGN_OR_RETURN(const OnnxRuntime runtime, OnnxRuntime::Open(path));
//   ESPALIER_ASSIGN_OR_RETURN(const OnnxSession session, runtime.Load(bytes, {}));
//   ESPALIER_ASSIGN_OR_RETURN(OnnxBinding binding,
//       session.Bind({{"x", {28, 1, 28}, std::span<const float>(x)}}, {{"gemm0.out", {1, 10},
//       y}}));
//   ESPALIER_RETURN_IF_ERROR(binding.Run());
#ifndef ESPALIER_PEERS_ONNXRUNTIME_H_
#define ESPALIER_PEERS_ONNXRUNTIME_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"

namespace espalier {

// Returns <directory>/node_modules/onnxruntime-node/.../libonnxruntime.so.1.
// Errors: kUnsupported, saying how to install it, if it is not there.
Result<std::string> FindOnnxRuntime(const std::string& directory);

struct OnnxInput {
  std::string name;
  std::vector<int64_t> shape;
  std::variant<std::span<const float>, std::span<const int32_t>, std::span<const int64_t>> values;
};

struct OnnxOutput {
  std::string name;
  std::vector<int64_t> shape;
  std::span<float> values;
};

struct OnnxSessionOptions {
  int threads = 1;  // within an operator; 1 = the calling thread alone

  // kPacked is ONNX Runtime's default. A fair comparison times both and takes the better: an LSTM
  // of 128 units, I = 28, T = 28, batch 1 takes 119 us as stored and 146 us packed (AVX2, Zen 3),
  // one of 32 units 23 and 20, and with batch 8 packed is always better.
  enum class Weights { kPacked, kAsStored };
  Weights weights = Weights::kPacked;
};

// Inputs and outputs of a session, fixed in place. The spans' memory is read and written by every
// Run and must outlive the binding. To stream without copies, make two bindings whose states are
// swapped and run them in turn.
class OnnxBinding {
 public:
  OnnxBinding(OnnxBinding&&) noexcept;
  OnnxBinding& operator=(OnnxBinding&&) noexcept;
  ~OnnxBinding();

  // Errors: kInternal with ONNX Runtime's message.
  Status Run();

 private:
  friend class OnnxSession;
  struct Impl;
  explicit OnnxBinding(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class OnnxSession {
 public:
  OnnxSession(OnnxSession&&) noexcept;
  OnnxSession& operator=(OnnxSession&&) noexcept;
  ~OnnxSession();

  const std::vector<std::string>& input_names() const;
  const std::vector<std::string>& output_names() const;

  // Outputs that are not listed are not computed where ONNX Runtime can avoid it.
  // Errors: kInvalidArgument for an unknown name, or a span whose size is not that of the shape.
  Result<OnnxBinding> Bind(const std::vector<OnnxInput>& inputs,
                           const std::vector<OnnxOutput>& outputs) const;

 private:
  friend class OnnxRuntime;
  friend class OnnxBinding;
  struct Impl;
  explicit OnnxSession(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // shared: a binding keeps its session alive
};

class OnnxRuntime {
 public:
  // Errors: kUnsupported if there is no such library or it is too old.
  static Result<OnnxRuntime> Open(const std::string& library_path);

  const std::string& version() const;  // e.g. "1.30.0"

  // Errors: kInvalidArgument with ONNX Runtime's message if it refuses the model.
  Result<OnnxSession> Load(std::span<const std::byte> model,
                           const OnnxSessionOptions& options) const;

 private:
  friend class OnnxSession;
  friend class OnnxBinding;
  struct Library;
  explicit OnnxRuntime(std::shared_ptr<const Library> library);
  std::shared_ptr<const Library> library_;  // shared: a session keeps the library open
};

}  // namespace espalier

#endif  // ESPALIER_PEERS_ONNXRUNTIME_H_
