// delta: a layer multiplies only the changes of x and h that are worth it. See Delta in
// model/graph.h. Running a trained network with thresholds gives a modest gain; training goes on
// with them (and TrainOptions::delta_penalty).
#include "prune/dynamic.h"

namespace espalier::dynamic {
namespace {

Status Apply(const DynamicSpec& spec, Node* node, TensorStore* /*weights*/) {
  node->delta = Delta{spec.x, spec.h, spec.bank};
  return Ok();
}

}  // namespace

const DynamicMethod delta = {
    "delta",
    "v' = |v - v'| < threshold ? v' : v, for v = x, h; W v' is kept and changed",
    "Neil et al. 2017, arXiv:1612.05571, section 3.2",
    {"x", "h", "bank"},
    Apply};

}  // namespace espalier::dynamic
