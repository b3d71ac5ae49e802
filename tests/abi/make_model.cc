// Writes a small LSTM as an .esp file, and one with dynamic pruning: abi_make_model FILE DYNAMIC
#include <cstdio>

#include "artifact/artifact.h"
#include "base/file.h"
#include "base/rng.h"
#include "model/build.h"

namespace {

espalier::Status Write(const char* path, bool is_dynamic) {
  using espalier::CellKind;
  espalier::Rng rng(1);
  espalier::GraphBuilder builder(
      "small", {"x", {espalier::Element::kF32, espalier::Layout::kSequence, 6}}, &rng);
  espalier::GraphBuilder::RecurrentOptions options;
  if (is_dynamic) options.delta = espalier::Delta{100.0, 100.0, 1};
  builder.Recurrent(CellKind::kLstmCell, 5, options).LastStep().Gemm(3);
  ESPALIER_ASSIGN_OR_RETURN(const espalier::Graph graph, builder.Finish());
  espalier::ArtifactContent content;
  content.metadata["task"] = "test";
  ESPALIER_ASSIGN_OR_RETURN(content.golden, espalier::MakeGoldenSample(graph, 2));
  ESPALIER_ASSIGN_OR_RETURN(const auto bytes, espalier::WriteArtifact(graph, content));
  return espalier::WriteFileAtomic(path, {bytes.data(), bytes.size()});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  espalier::Status status = Write(argv[1], false);
  if (status.ok()) status = Write(argv[2], true);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
