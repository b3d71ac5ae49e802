// The `.esp` file: a compiled network as one run of bytes that is written whole and mapped back.
// This header documents its bytes, makes them (WriteArtifact) and is the one door through which
// they come back (Artifact): what passes it needs no further check by sessions and kernels.
//
//   offset  bytes
//        0      8  magic 89 'E' 'S' 'P' 0d 0a 1a 0a (as PNG's: shows a file spoilt by a text
//                  transfer)
//        8      4  u32 version (5)
//       12      4  u32 CRC-32C of all bytes from 16 to the end
//       16      8  u64 total bytes of the file
//       24         u32 metadata { key, value }
//                  the Graph as in model/serialize.h; its weights are the vectors (biases) only,
//                  without the bias_hh that are all 0
//                  u32 matrices { name, spec, i64 rows, i64 cols, u64 bytes, kernel, f64 ns,
//                    u32 candidates { spec, f64 ns, u64 bytes, reason } }
//                    with spec = u8 format id, i32 strip_rows, i32 bank_cols, u8 weight type,
//                    i32 depth
//                  u8 golden (0 or 1); if 1: i64 T, i64 B, f32 features[T, B, F] or i32 ids[T, B],
//                    i32 lengths[B], then for each output of the graph its f32 values
//                  for each matrix: zeros up to a multiple of 64, then its encoded bytes
//                  64 zeros, so that a kernel may load a vector past the last matrix
//
// Texts are a u32 length and that many bytes of UTF-8. Little-endian. Matrices follow in the order
// of MatrixPartsOf. Nothing is aligned to pages: mapping starts on one, and small files are the
// point.
#ifndef ESPALIER_ARTIFACT_ARTIFACT_H_
#define ESPALIER_ARTIFACT_ARTIFACT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "formats/format.h"
#include "model/graph.h"
#include "model/reference.h"

namespace espalier {

// A format that was tried for a matrix and not taken.
struct Candidate {
  FormatSpec spec;
  double ns = 0.0;  // as Choice::ns
  uint64_t bytes = 0;
  std::string reason;  // why it lost, e.g. "slower"

  bool operator==(const Candidate&) const = default;
};

// The format of one matrix, and what spoke for it.
struct Choice {
  FormatSpec spec;
  std::string kernel;  // the kernel that was measured, or would be used, on the compiling target
  // Median time of one product W x, measured or (metadata "costs") by the costs of a CPU; 0 if
  // there is neither.
  double ns = 0.0;
  std::vector<Candidate> runners_up;  // fastest first; smallest first if they were not measured
  float x_scale = 0.0f;               // of type kI8: how kernels round x (formats/row_scales.h)

  bool operator==(const Choice&) const = default;
};

// The rows [first_row, first_row + rows) of a weight, encoded as one matrix. All weights are one
// part, named like the weight, except weight_hh of a cell with CellInfo::reset_before: its last
// gate multiplies another vector, so it has two, "gru0.weight_hh[0:256]" and
// "gru0.weight_hh[256:384]"; and weight_ih and weight_hh of a node with delta, which are there once
// more by columns, as "gru0.weight_hh/columns".
struct MatrixPart {
  std::string name;
  std::string weight;
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  bool by_column = false;  // of format `columns`
  // The same matrix again, for steps at rest (runtime/rest.h) of a layer that leaves out rows, in
  // the format that is fastest for all of them. May be missing.
  bool is_plain = false;
};

// "gru0.weight_hh" -> "gru0.weight_hh/columns".
inline std::string ColumnsPartName(const std::string& weight) { return weight + "/columns"; }
// "gru0.weight_hh" -> "gru0.weight_hh/plain".
inline std::string PlainPartName(const std::string& weight) { return weight + "/plain"; }
// What a part by columns has without a choice.
inline constexpr FormatSpec kColumnsSpec = {FormatId::k_columns, 8, 1};

// In the order of the weights' names. Values are not read. Errors: what InferWeightShapes says.
Result<std::vector<MatrixPart>> MatrixPartsOf(const Graph& graph);

// A small input and what the reference executor makes of it from zero states, every step in full:
// lets a machine check that it computes what the compiling one meant (runtime/golden.h).
struct GoldenSample {
  Batch batch;
  std::vector<std::vector<float>> outputs;  // in the order of Graph::outputs
};

// T = 4, B = 2, lengths 4 and 3, values drawn from `seed`. `on_input`: rounds what kernels round
// (compile/rounding.h). Errors: what RunReference says.
Result<GoldenSample> MakeGoldenSample(const Graph& graph, uint64_t seed,
                                      const MatrixInputFn& on_input = {});

// Of a text in an artifact: one of its metadata, or the name of a kernel.
inline constexpr size_t kMaxTextBytes = 1 << 16;

// Texts that go with a network. WriteArtifact sets "espalier" (the version that wrote it); compile
// adds "target" and, if it chose by them, "costs"; the rest is the caller's: "task", "source",
// "seed", ...
using Metadata = std::map<std::string, std::string>;

struct ArtifactContent {
  Metadata metadata;
  // By MatrixPart::name; a part without one is dense, or not there if it is_plain.
  std::map<std::string, Choice> choices;
  std::optional<GoldenSample> golden;
};

// Encodes the matrices of `graph` as chosen, and reads the result back once, so that what was
// written can be opened. The same arguments give the same bytes. Errors: kInvalidArgument for an
// invalid graph, a choice that names no part, or content that the reader refuses (e.g. a text of
// more than 64 KB); what Encode says.
Result<AlignedBuffer<std::byte>> WriteArtifact(const Graph& graph, const ArtifactContent& content);

struct ArtifactMatrix {
  MatrixPart part;
  EncodedView view;  // 64-byte aligned, kPaddingBytes readable after it
  Choice choice;
};

// A validated artifact over bytes that it maps, owns or views. Immutable, so it may be shared by
// threads; moving it keeps all views valid.
//
// Errors of all three: kBadFormat naming the field, the value and what was expected; kUnsupported
// for a version or format that this build does not know; kOutOfMemory. Whether matrix values are
// finite is not looked at (the checksum guards them).
class Artifact {
 public:
  // Maps the file. It may be replaced by rename meanwhile (WriteFileAtomic does), not rewritten in
  // place. Errors: also kIo.
  static Result<Artifact> Open(const std::string& path);
  static Result<Artifact> FromBytes(AlignedBuffer<std::byte> bytes);
  // Over the caller's memory, which must outlive the artifact and all its sessions.
  // Errors: also kInvalidArgument if it does not start on a multiple of kAlignmentBytes.
  static Result<Artifact> View(std::span<const std::byte> bytes);

  // The network. Vectors have their values; matrices have their shape and no values, so that
  // InferTypes, StatesOf and IsStreamable work and ValidateGraph does not.
  const Graph& graph() const { return graph_; }
  const std::map<std::string, ValueType>& types() const { return types_; }
  // StatesOf(graph()).
  const std::vector<StateSpec>& states() const { return states_; }
  // In the order of MatrixPartsOf.
  const std::vector<ArtifactMatrix>& matrices() const { return matrices_; }
  // By MatrixPart::name. Precondition: there is one.
  const ArtifactMatrix& matrix(const std::string& name) const;
  // Does a kernel round what it multiplies: is a matrix of type i8?
  bool RoundsX() const;
  const Metadata& metadata() const { return metadata_; }
  const std::optional<GoldenSample>& golden() const { return golden_; }
  uint64_t total_bytes() const { return bytes_.size(); }

  // The network with all its values, as it was compiled (compile/compile.h: matrices rounded,
  // biases merged; -0 may have become 0). Errors: kOutOfMemory; kBadFormat for a weight that is not
  // finite.
  Result<Graph> Decode() const;

 private:
  struct Owner {
    virtual ~Owner() = default;
  };
  struct OwnedBytes;
  struct MappedFile;

  Artifact() = default;
  static Result<std::unique_ptr<MappedFile>> MapFile(const std::string& path);
  static Result<Artifact> Parse(std::unique_ptr<Owner> owner, std::span<const std::byte> bytes);

  std::unique_ptr<Owner> owner_;
  std::span<const std::byte> bytes_;
  Graph graph_;
  std::map<std::string, ValueType> types_;
  std::vector<StateSpec> states_;
  std::vector<ArtifactMatrix> matrices_;
  Metadata metadata_;
  std::optional<GoldenSample> golden_;
};

}  // namespace espalier

#endif  // ESPALIER_ARTIFACT_ARTIFACT_H_
