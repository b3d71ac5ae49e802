// Embedding row granularity: all features of one word of the vocabulary. Its embedding is then 0,
// as the embedding of a word that tells nothing.
#include "prune/granularity.h"

namespace espalier::granularities {
namespace {

Partition Cut(const GranularitySpec& spec, const SaliencyView& view) {
  return row.partition(spec, view);
}

}  // namespace

const Granularity embedding_row = {"embedding_row",
                                   "one row (word) of an Embedding; mean saliency",
                                   "Chirkova et al. 2018, arXiv:1810.10927",
                                   Tile::kNone,
                                   Extent::kWeight,
                                   Domain::kEmbeddings,
                                   nullptr,
                                   Cut};

}  // namespace espalier::granularities
