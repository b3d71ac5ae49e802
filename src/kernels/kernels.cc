// The tables: one per target, and the list of those that this CPU can run.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kernels.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "base/strings.h"
#include "kernels/generic.h"
#include "kernels/kernels.h"
#include "kernels/matmul_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {

// Defined in the kernels' own files, once per target.
#define ESPALIER_KERNEL(name) std::span<const MatMulKernel> name();
#include "kernels/kernels.inc"
#undef ESPALIER_KERNEL
#define ESPALIER_CELL(name, Class, ...)            \
  void gate_step_##name(const GateStepArgs& args); \
  void reset_hidden_##name(const GateStepArgs& args, float* reset_h);
#include "cells/cells.inc"
#undef ESPALIER_CELL
void activation_relu(float* values, size_t count);
void activation_sigmoid(float* values, size_t count);
void activation_tanh(float* values, size_t count);
void activation_softmax(float* values, size_t count);
float dot(const float* a, const float* b, size_t count);
uint64_t read_all(const uint64_t* words, size_t count);
AddColumnsFn find_add_columns(const FormatSpec& spec);
size_t send_changes(const SendArgs& args);
size_t stand_in(const StandInArgs& args);

namespace {

MatMulKernel FindKernel(const FormatSpec& spec) {
  using ListFn = std::span<const MatMulKernel> (*)();
  constexpr ListFn kLists[] = {
#define ESPALIER_KERNEL(name) name,
#include "kernels/kernels.inc"
#undef ESPALIER_KERNEL
  };
  for (const ListFn list : kLists) {
    for (const MatMulKernel& kernel : list()) {
      if (kernel.spec == spec) return kernel;
    }
  }
  return {spec, "matvec_generic_f32", MatVecGeneric};
}

MatMulFn FindMatMul(const FormatSpec& spec) { return FindKernel(spec).run; }
const char* MatMulName(const FormatSpec& spec) { return FindKernel(spec).name; }

constexpr KernelTable kTable = {
    &HWY_STR(HWY_NAMESPACE)[2],  // without "N_"
    FindMatMul,
    MatMulName,
    {
#define ESPALIER_CELL(name, Class, ...) gate_step_##name,
#include "cells/cells.inc"
#undef ESPALIER_CELL
    },
    {
#define ESPALIER_CELL(name, Class, ...) \
  InfoOf(CellKind::k##Class).reset_before ? reset_hidden_##name : nullptr,
#include "cells/cells.inc"
#undef ESPALIER_CELL
    },
    activation_relu,
    activation_sigmoid,
    activation_tanh,
    activation_softmax,
    dot,
    read_all,
    find_add_columns,
    send_changes,
    stand_in,
};

}  // namespace

const KernelTable* Table() { return &kTable; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace espalier {

HWY_EXPORT(Table);

#if HWY_ARCH_X86_64
// Extra targets (CMakeLists.txt): the table of Highway's nearest one, and before its kernels those
// that were compiled again.
namespace N_AVX2_VNNI {
std::span<const MatMulKernel> matvec_blocked_i8();
std::span<const MatMulKernel> matvec_dense_i8();
std::span<const MatMulKernel> matvec_nm_i8();
std::span<const MatMulKernel> matvec_slot_i8();
}  // namespace N_AVX2_VNNI

namespace {

using ListFn = std::span<const MatMulKernel> (*)();

struct Avx2Vnni {
  static constexpr const char* kName = "AVX2_VNNI";
  static constexpr const KernelTable& kNearest = N_AVX2::kTable;
  static constexpr ListFn kLists[] = {N_AVX2_VNNI::matvec_blocked_i8, N_AVX2_VNNI::matvec_dense_i8,
                                      N_AVX2_VNNI::matvec_nm_i8, N_AVX2_VNNI::matvec_slot_i8};
  static bool Runs() { return __builtin_cpu_supports("avxvnni") != 0; }
};

template <class Target>
MatMulKernel FindExtra(const FormatSpec& spec) {
  for (const ListFn list : Target::kLists) {
    for (const MatMulKernel& kernel : list()) {
      if (kernel.spec == spec) return kernel;
    }
  }
  return {spec, Target::kNearest.matmul_name(spec), Target::kNearest.find_matmul(spec)};
}

template <class Target>
constexpr KernelTable ExtraTable() {
  KernelTable table = Target::kNearest;
  table.target = Target::kName;
  table.find_matmul = [](const FormatSpec& spec) { return FindExtra<Target>(spec).run; };
  table.matmul_name = [](const FormatSpec& spec) { return FindExtra<Target>(spec).name; };
  return table;
}

template <class Target>
constexpr KernelTable kExtraTable = ExtraTable<Target>();

// Inserts the extra target in front of its nearest one, where that runs.
template <class Target>
void AddExtra(std::vector<const KernelTable*>* tables) {
  const auto nearest = std::find(tables->begin(), tables->end(), &Target::kNearest);
  if (nearest != tables->end() && Target::Runs()) tables->insert(nearest, &kExtraTable<Target>);
}

}  // namespace
#endif  // HWY_ARCH_X86_64

std::vector<const KernelTable*> AvailableKernels() {
  // The dispatch table's own order: entry 0 is Highway's chooser, then one per target, best first,
  // nullptr if not compiled; the last is the portable one. Read directly, so that no global choice
  // of a target takes part.
#if HWY_HAVE_RUNTIME_DISPATCH
  const int64_t supported = hwy::SupportedTargets();
#else
  const int64_t supported = HWY_TARGETS;  // all are what the compiler was told the CPU has
#endif
  constexpr size_t kTargets = HWY_MAX_DYNAMIC_TARGETS;
  constexpr size_t kFirstBit = HWY_HIGHEST_TARGET_BIT + 1 - kTargets;
  const auto* entries = HWY_DISPATCH_TABLE(Table);
  std::vector<const KernelTable*> tables;
  for (size_t i = 0; i < kTargets; ++i) {
    const bool runs = (supported >> (kFirstBit + i) & 1) != 0;
    if (runs && entries[1 + i] != nullptr) tables.push_back(entries[1 + i]());
  }
  tables.push_back(entries[1 + kTargets]());
#if HWY_ARCH_X86_64
  AddExtra<Avx2Vnni>(&tables);
#endif
  return tables;
}

Result<const KernelTable*> FindKernels(const std::string& target) {
  const std::vector<const KernelTable*> tables = AvailableKernels();
  if (target.empty()) return tables.front();
  std::vector<std::string> names;
  for (const KernelTable* table : tables) {
    if (target == table->target) return table;
    names.emplace_back(table->target);
  }
  return InvalidArgument(StrCat("target: one of ", StrJoin(names, ", "), " expected, '", target,
                                "' found", DidYouMean(target, names)));
}

}  // namespace espalier
#endif  // HWY_ONCE
