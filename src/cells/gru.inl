// Gated recurrent unit, reset after the product (ONNX linear_before_reset = 1; PyTorch; Keras
// reset_after = True). Cho et al. 2014, arXiv:1406.1078; this form: cuDNN.
//   r = sigmoid(ax_r + ah_r)   z = sigmoid(ax_z + ah_z)
//   n = tanh(ax_n + r * ah_n)  h' = (1 - z) * n + z * h = n + z * (h - n)
template <class M>
struct GruCell {
  using V = typename M::V;
  static constexpr bool kResetBefore = false;
  static constexpr bool kPeepholes = false;

  static void Step(const M& m, const V* ax, const V* ah, const CellState<V>& in,
                   CellState<V>* out) {
    const V r = m.Sigmoid(m.Add(ax[0], ah[0]));
    const V z = m.Sigmoid(m.Add(ax[1], ah[1]));
    const V n = m.Tanh(m.MulAdd(r, ah[2], ax[2]));
    out->h = m.MulAdd(z, m.Sub(in.h, n), n);
  }
};
