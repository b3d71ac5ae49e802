#include "peers/eigen_kernel.h"

#ifdef ESPALIER_HAVE_EIGEN

#include <Eigen/Core>
#include <Eigen/SparseCore>

namespace espalier::eigen {
namespace {

// Column-major: a column is a stream.
using Columns = Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic>;
using Csr = Eigen::SparseMatrix<float, Eigen::RowMajor>;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Csr CsrOf(const float* values, long rows, long columns) {
  return Eigen::Map<const RowMajor>(values, rows, columns).sparseView();
}

}  // namespace

class Layer {
 public:
  Layer(Cell cell, long input, long hidden, long batch, const Weights& weights)
      : cell_(cell),
        input_(input),
        hidden_(hidden),
        gates_(cell == Cell::kLstm ? 4 : 3),
        weight_ih_(CsrOf(weights.weight_ih, gates_ * hidden, input)),
        weight_hh_(CsrOf(weights.weight_hh, gates_ * hidden, hidden)),
        bias_ih_(Eigen::Map<const Columns>(weights.bias_ih, gates_ * hidden, 1)),
        bias_hh_(Eigen::Map<const Columns>(weights.bias_hh, gates_ * hidden, 1)),
        bias_(bias_ih_ + bias_hh_),
        ax_(gates_ * hidden, batch),
        ah_(gates_ * hidden, batch),
        h_(hidden, batch),
        c_(hidden, batch) {
    Reset();
  }

  void Reset() {
    h_.setZero();
    c_.setZero();
  }

  void Step(const float* x) {
    const Eigen::Map<const Columns> columns(x, input_, h_.cols());
    if (cell_ == Cell::kLstm) {
      StepLstm(columns);
    } else {
      StepGru(columns);
    }
  }

  const float* h() const { return h_.data(); }

 private:
  auto Gate(Columns* a, long gate) { return a->middleRows(gate * hidden_, hidden_); }

  // cells/lstm.inl: i f g o.
  void StepLstm(const Eigen::Map<const Columns>& x) {
    ax_.colwise() = bias_.col(0);
    ax_.matrix().noalias() += weight_ih_ * x.matrix();
    ax_.matrix().noalias() += weight_hh_ * h_.matrix();
    c_ = Gate(&ax_, 1).logistic() * c_ + Gate(&ax_, 0).logistic() * Gate(&ax_, 2).tanh();
    h_ = Gate(&ax_, 3).logistic() * c_.tanh();
  }

  // cells/gru.inl: r z n.
  void StepGru(const Eigen::Map<const Columns>& x) {
    ax_.colwise() = bias_ih_.col(0);
    ax_.matrix().noalias() += weight_ih_ * x.matrix();
    ah_.colwise() = bias_hh_.col(0);
    ah_.matrix().noalias() += weight_hh_ * h_.matrix();
    c_ = (Gate(&ax_, 2) + (Gate(&ax_, 0) + Gate(&ah_, 0)).logistic() * Gate(&ah_, 2)).tanh();
    h_ = c_ + (Gate(&ax_, 1) + Gate(&ah_, 1)).logistic() * (h_ - c_);
  }

  const Cell cell_;
  const long input_, hidden_, gates_;
  const Csr weight_ih_, weight_hh_;
  const Columns bias_ih_, bias_hh_, bias_;  // [G*H, 1]
  Columns ax_, ah_;                         // [G*H, B]
  Columns h_, c_;                           // [H, B]; the GRU's c_ is its n
};

Layer* NewLayer(Cell cell, long input, long hidden, long batch, const Weights& weights) {
  return new Layer(cell, input, hidden, batch, weights);
}
void Delete(Layer* layer) { delete layer; }
void Reset(Layer* layer) { layer->Reset(); }
void Step(Layer* layer, const float* x) { layer->Step(x); }
const float* Output(const Layer* layer) { return layer->h(); }

}  // namespace espalier::eigen

#endif  // ESPALIER_HAVE_EIGEN
