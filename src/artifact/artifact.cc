#include "artifact/artifact.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "artifact/layout.h"
#include "base/strings.h"

namespace espalier {
namespace {

std::string PartName(const std::string& weight, int64_t first_row, int64_t end_row) {
  return StrCat(weight, "[", first_row, ":", end_row, "]");
}

// The row at which a weight is cut in two, or 0 if it is one matrix.
int64_t SplitRow(const Graph& graph, const std::string& weight) {
  const Node* owner = FindOwner(graph, weight);
  if (owner == nullptr || owner->op != Op::kRecurrent || !InfoOf(owner->cell).reset_before)
    return 0;
  for (const RecurrentDirection& direction : DirectionsOf(*owner)) {
    if (direction.weight_hh == weight) {
      return (InfoOf(owner->cell).gates - 1) * owner->hidden_size;
    }
  }
  return 0;
}

// Is it a product of a node with delta?
bool SendsChanges(const Graph& graph, const std::string& weight) {
  const Node* owner = FindOwner(graph, weight);
  if (owner == nullptr || owner->op != Op::kRecurrent || !owner->delta.has_value()) return false;
  for (const RecurrentDirection& direction : DirectionsOf(*owner)) {
    if (weight == direction.weight_ih || weight == direction.weight_hh) return true;
  }
  return false;
}

// Is it the recurrent matrix of a layer with idle or predicted rows? (Input products are made
// ahead, with all rows.)
bool LeavesOutRowsOf(const Graph& graph, const std::string& weight) {
  const Node* owner = FindOwner(graph, weight);
  if (owner == nullptr || !(owner->idle.has_value() || owner->predicted.has_value())) return false;
  for (const RecurrentDirection& direction : DirectionsOf(*owner)) {
    if (weight == direction.weight_hh) return true;
  }
  return false;
}

}  // namespace

struct Artifact::OwnedBytes : Artifact::Owner {
  explicit OwnedBytes(AlignedBuffer<std::byte> b) : bytes(std::move(b)) {}
  AlignedBuffer<std::byte> bytes;
};

struct Artifact::MappedFile : Artifact::Owner {
  MappedFile(void* a, size_t s) : address(a), size_bytes(s) {}
  ~MappedFile() override { ::munmap(address, size_bytes); }
  void* address;
  size_t size_bytes;
};

Result<std::vector<MatrixPart>> MatrixPartsOf(const Graph& graph) {
  ESPALIER_ASSIGN_OR_RETURN(const auto shapes, InferWeightShapes(graph));
  std::vector<MatrixPart> parts;
  for (const auto& [weight, shape] : shapes) {
    if (shape.size() != 2) continue;
    const int64_t split = SplitRow(graph, weight);
    if (split == 0) {
      parts.push_back({weight, weight, 0, shape[0], shape[1]});
      if (SendsChanges(graph, weight)) {
        parts.push_back({ColumnsPartName(weight), weight, 0, shape[0], shape[1], true});
      }
      if (LeavesOutRowsOf(graph, weight)) {
        parts.push_back({PlainPartName(weight), weight, 0, shape[0], shape[1], false, true});
      }
    } else {
      parts.push_back({PartName(weight, 0, split), weight, 0, split, shape[1]});
      parts.push_back(
          {PartName(weight, split, shape[0]), weight, split, shape[0] - split, shape[1]});
    }
  }
  return parts;
}

bool Artifact::RoundsX() const {
  return std::any_of(matrices_.begin(), matrices_.end(), [](const ArtifactMatrix& matrix) {
    return matrix.view.spec.type == WeightType::kI8;
  });
}

Result<std::unique_ptr<Artifact::MappedFile>> Artifact::MapFile(const std::string& path) {
  const auto fail = [&](const char* what) {
    return IoError(StrCat(path, ": ", what, ": ", std::strerror(errno)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail("cannot open");
  const auto map = [&]() -> Result<std::unique_ptr<MappedFile>> {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return fail("cannot look at");
    if (!S_ISREG(info.st_mode)) return IoError(path + ": is not a regular file");
    const auto size_bytes = static_cast<size_t>(info.st_size);
    if (size_bytes < kHeaderBytes) {  // an empty file cannot be mapped
      return BadFormat(StrCat(path, ": an .esp file of at least ", kHeaderBytes,
                              " bytes expected, ", size_bytes, " found"));
    }
    void* address = ::mmap(nullptr, size_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) return fail("cannot map");
    return std::make_unique<MappedFile>(address, size_bytes);
  };
  auto mapped = map();
  ::close(fd);
  return mapped;
}

Result<Artifact> Artifact::Open(const std::string& path) {
  const int saved_errno = errno;
  auto mapped = MapFile(path);
  errno = saved_errno;
  if (!mapped.ok()) return mapped.status();
  const std::span<const std::byte> bytes(static_cast<const std::byte*>((*mapped)->address),
                                         (*mapped)->size_bytes);
  Result<Artifact> artifact = Parse(*std::move(mapped), bytes);
  if (!artifact.ok()) return artifact.status().WithContext(path);
  return artifact;
}

Result<Artifact> Artifact::FromBytes(AlignedBuffer<std::byte> bytes) {
  auto owner = std::make_unique<OwnedBytes>(std::move(bytes));
  const std::span<const std::byte> view(owner->bytes.data(), owner->bytes.size());
  return Parse(std::move(owner), view);
}

Result<Artifact> Artifact::View(std::span<const std::byte> bytes) {
  const auto misalignment = reinterpret_cast<uintptr_t>(bytes.data()) % kAlignmentBytes;
  if (misalignment != 0) {
    return InvalidArgument(StrCat("artifact memory: a multiple of ", kAlignmentBytes,
                                  " expected as its address, one ", misalignment,
                                  " bytes past it found"));
  }
  return Parse(nullptr, bytes);
}

const ArtifactMatrix& Artifact::matrix(const std::string& name) const {
  for (const ArtifactMatrix& matrix : matrices_) {
    if (matrix.part.name == name) return matrix;
  }
  ESPALIER_ASSERT(false);
  return matrices_.front();
}

Result<Graph> Artifact::Decode() const {
  try {
    Graph graph = graph_;
    for (const ArtifactMatrix& matrix : matrices_) {
      if (matrix.part.by_column || matrix.part.is_plain) continue;
      Tensor& weight = graph.weights.at(matrix.part.weight);
      weight.values.resize(static_cast<size_t>(ElementCount(weight.shape)));
      espalier::Decode(matrix.view,
                       weight.values.data() + matrix.part.first_row * matrix.part.cols);
    }
    const Status status = ValidateGraph(graph);
    if (!status.ok()) return BadFormat(status.message());
    return graph;
  } catch (const std::exception&) {  // bad_alloc, or length_error of an absurd shape
    return OutOfMemory(StrCat("weights of graph '", graph_.name, "': memory is exhausted"));
  }
}

}  // namespace espalier
