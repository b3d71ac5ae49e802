// Gated recurrent unit, reset before the product (ONNX linear_before_reset = 0): the original form
// of Cho et al. 2014, arXiv:1406.1078, eq. 5-8.
//   r = sigmoid(ax_r + ah_r)   z = sigmoid(ax_z + ah_z)
//   n = tanh(ax_n + ah_n) with ah_n = W_hn (r * h) + b_hn      h' = n + z * (h - n)
template <class M>
struct GruResetBeforeCell {
  using V = typename M::V;
  static constexpr bool kResetBefore = true;
  static constexpr bool kPeepholes = false;

  static V ResetHidden(const M& m, const V* ax, const V* ah, const V& h) {
    return m.Mul(m.Sigmoid(m.Add(ax[0], ah[0])), h);
  }

  static void Step(const M& m, const V* ax, const V* ah, const CellState<V>& in,
                   CellState<V>* out) {
    const V z = m.Sigmoid(m.Add(ax[1], ah[1]));
    const V n = m.Tanh(m.Add(ax[2], ah[2]));
    out->h = m.MulAdd(z, m.Sub(in.h, n), n);
  }
};
