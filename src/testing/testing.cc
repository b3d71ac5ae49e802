#include "testing/testing.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

namespace espalier::testing {

void ExpectError(const Status& status, Code code, const std::vector<std::string>& parts) {
  EXPECT_EQ(status.code(), code) << "expected " << CodeName(code) << ", found "
                                 << CodeName(status.code()) << ": " << status.message();
  for (const std::string& part : parts) {
    EXPECT_NE(status.message().find(part), std::string::npos)
        << "'" << part << "' is not in: " << status.message();
  }
}

Batch RandomBatch(const Graph& graph, int64_t steps, int64_t size, int64_t min_length, Rng* rng) {
  const ValueType& type = graph.inputs[0].type;
  Batch batch;
  batch.steps = steps;
  batch.size = size;
  if (type.element == Element::kI32) {
    batch.ids.resize(static_cast<size_t>(steps * size));
    for (int32_t& id : batch.ids) {
      id = static_cast<int32_t>(rng->Below(static_cast<uint64_t>(type.features)));
    }
  } else {
    batch.features.resize(static_cast<size_t>(steps * size * type.features));
    for (float& x : batch.features) x = static_cast<float>(rng->Normal());
  }
  for (int64_t b = 0; b < size; ++b) {
    const auto span = static_cast<uint64_t>(steps - min_length + 1);
    const int64_t length = b == 0 ? steps : min_length + static_cast<int64_t>(rng->Below(span));
    batch.lengths.push_back(static_cast<int32_t>(length));
  }
  return batch;
}

StateSet RandomStates(const Graph& graph, int64_t size, Rng* rng) {
  StateSet states = ZeroStates(graph, size);
  for (auto& [name, values] : states) {
    if (name.ends_with(".count") || name.ends_with(".sum")) continue;
    for (float& value : values) value = rng->Uniform(-1.0f, 1.0f);
  }
  return states;
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
