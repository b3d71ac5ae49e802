// The few functions of ONNX Runtime's C API that we call, declared by hand: neither Debian nor npm
// ships its header. OrtApi is a table of function pointers that only ever grows at its end, so an
// index, once assigned, holds for every later version (onnxruntime_c_api.h, struct OrtApi; anchors
// that its maintainers assert: ReleaseCustomOpDomain is 101, ReleaseAvailableProviders is 126).
#ifndef ESPALIER_PEERS_ONNXRUNTIME_API_H_
#define ESPALIER_PEERS_ONNXRUNTIME_API_H_

#include <cstddef>
#include <cstdint>

namespace espalier::ort {

struct OrtStatus;  // nullptr = success
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtRunOptions;
struct OrtValue;
struct OrtAllocator;
struct OrtMemoryInfo;
struct OrtIoBinding;

using TableEntry = void (*)();

struct OrtApiBase {
  const TableEntry* (*GetApi)(uint32_t version);  // nullptr if the library is older
  const char* (*GetVersionString)();
};

inline constexpr uint32_t kApiVersion = 16;  // what 1.16 and all later libraries can give

enum LoggingLevel : int { kLogFatal = 4 };
enum GraphOptimizationLevel : int { kOptimizeAll = 99 };
enum ExecutionMode : int { kSequential = 0 };
enum ElementType : int { kFloat = 1, kInt32 = 6, kInt64 = 7 };
enum AllocatorType : int { kDeviceAllocator = 0 };
enum MemoryType : int { kDefaultMemory = 0 };

struct Api {
  explicit Api(const TableEntry* table);

  const char* (*GetErrorMessage)(const OrtStatus*);
  OrtStatus* (*CreateEnv)(LoggingLevel, const char* log_id, OrtEnv** out);
  OrtStatus* (*DisableTelemetryEvents)(const OrtEnv*);
  OrtStatus* (*CreateSessionFromArray)(const OrtEnv*, const void* model, size_t size_bytes,
                                       const OrtSessionOptions*, OrtSession** out);
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions** out);
  OrtStatus* (*SetSessionExecutionMode)(OrtSessionOptions*, ExecutionMode);
  OrtStatus* (*SetSessionGraphOptimizationLevel)(OrtSessionOptions*, GraphOptimizationLevel);
  OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions*, int count);
  OrtStatus* (*SetInterOpNumThreads)(OrtSessionOptions*, int count);
  OrtStatus* (*SessionGetInputCount)(const OrtSession*, size_t* out);
  OrtStatus* (*SessionGetOutputCount)(const OrtSession*, size_t* out);
  OrtStatus* (*SessionGetInputName)(const OrtSession*, size_t index, OrtAllocator*, char** out);
  OrtStatus* (*SessionGetOutputName)(const OrtSession*, size_t index, OrtAllocator*, char** out);
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void* data, size_t size_bytes,
                                               const int64_t* shape, size_t rank, ElementType,
                                               OrtValue** out);
  OrtStatus* (*CreateCpuMemoryInfo)(AllocatorType, MemoryType, OrtMemoryInfo** out);
  OrtStatus* (*AllocatorFree)(OrtAllocator*, void*);
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator** out);
  void (*ReleaseEnv)(OrtEnv*);
  void (*ReleaseStatus)(OrtStatus*);
  void (*ReleaseMemoryInfo)(OrtMemoryInfo*);
  void (*ReleaseSession)(OrtSession*);
  void (*ReleaseValue)(OrtValue*);
  void (*ReleaseSessionOptions)(OrtSessionOptions*);
  OrtStatus* (*AddSessionConfigEntry)(OrtSessionOptions*, const char* key, const char* value);
  OrtStatus* (*RunWithBinding)(OrtSession*, const OrtRunOptions*, const OrtIoBinding*);
  OrtStatus* (*CreateIoBinding)(OrtSession*, OrtIoBinding** out);
  void (*ReleaseIoBinding)(OrtIoBinding*);
  OrtStatus* (*BindInput)(OrtIoBinding*, const char* name, const OrtValue*);
  OrtStatus* (*BindOutput)(OrtIoBinding*, const char* name, const OrtValue*);
};

}  // namespace espalier::ort

#endif  // ESPALIER_PEERS_ONNXRUNTIME_API_H_
