#include "testing/testing.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

namespace espalier::testing {
namespace {

void KeepOneOf16(std::span<float> row) {
  bool is_kept = false;
  for (size_t col = 0; col < row.size(); ++col) {
    if (col % 16 == 0) is_kept = false;
    if (is_kept) row[col] = 0.0f;
    is_kept = is_kept || row[col] != 0.0f;
  }
}

}  // namespace

void ExpectError(const Status& status, Code code, const std::vector<std::string>& parts) {
  EXPECT_EQ(status.code(), code) << "expected " << CodeName(code) << ", found "
                                 << CodeName(status.code()) << ": " << status.message();
  for (const std::string& part : parts) {
    EXPECT_NE(status.message().find(part), std::string::npos)
        << "'" << part << "' is not in: " << status.message();
  }
}

Batch Chunk(const Graph& graph, const Batch& batch, int64_t first, int64_t count) {
  Batch chunk;
  chunk.steps = count;
  chunk.size = batch.size;
  const auto cut = [&](const auto& from, int64_t width, auto* to) {
    const auto begin = from.begin() + first * batch.size * width;
    to->assign(begin, begin + count * batch.size * width);
  };
  if (!batch.ids.empty()) cut(batch.ids, 1, &chunk.ids);
  if (!batch.features.empty()) cut(batch.features, graph.inputs[0].type.features, &chunk.features);
  for (const int32_t length : batch.lengths) {
    const int64_t left = std::clamp<int64_t>(length - first, 0, count);
    chunk.lengths.push_back(static_cast<int32_t>(left));
  }
  return chunk;
}

void ZeroRandomWeights(double sparsity, Rng* rng, Graph* graph) {
  for (const std::string& name : PrunableWeights(*graph)) {
    for (float& value : graph->weights.at(name).values) {
      if (rng->Uniform() < sparsity) value = 0.0f;
    }
  }
}

void RoundForEveryFormat(Graph* graph) {
  for (auto& [name, weight] : graph->weights) {
    if (weight.shape.size() != 2) continue;
    const auto cols = static_cast<size_t>(weight.dim(1));
    for (size_t begin = 0; begin < weight.values.size(); begin += cols) {
      const std::span<float> row(weight.values.data() + begin, cols);
      KeepOneOf16(row);
      float largest = 0.0f;
      for (const float value : row) largest = std::max(largest, std::abs(value));
      if (largest == 0.0f) continue;
      const float unit = std::exp2(std::round(std::log2(largest))) / 128.0f;
      for (float& value : row) value = std::round(value / largest * 127.0f) * unit;
    }
  }
}

double MaxAbsDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0.0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    EXPECT_TRUE(std::isfinite(a[i]) && std::isfinite(b[i])) << "at " << i;
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return largest;
}

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "espalier_XXXXXX").string();
  if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
}

TempDir::~TempDir() {
  if (!path_.empty()) std::filesystem::remove_all(path_);
}

}  // namespace espalier::testing
