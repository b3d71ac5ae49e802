// Event-based gated recurrent unit (EGRU: Subramoney et al. 2023, arXiv:2206.06178, section 3): a
// GRU whose units say something only while their state is above a threshold, and start anew then.
// Here r scales the product, as in gru.inl, not h. p: [1, H], the thresholds.
//   r = sigmoid(ax_r + ah_r)   z = sigmoid(ax_z + ah_z)   n = tanh(ax_n + r * ah_n)
//   c' = (1 - z) * n + z * c - e(c)    h' = e(c')    e(c) = c where c > p, or else 0
// h is mostly 0, so that delta (model/graph.h) with a threshold next to 0 multiplies little.
template <class M>
struct EgruCell {
  using V = typename M::V;
  static constexpr bool kResetBefore = false;
  static constexpr bool kPeepholes = true;

  static void Step(const M& m, const V* ax, const V* ah, const V* p, const CellState<V>& in,
                   CellState<V>* out) {
    const V r = m.Sigmoid(m.Add(ax[0], ah[0]));
    const V z = m.Sigmoid(m.Add(ax[1], ah[1]));
    const V n = m.Tanh(m.MulAdd(r, ah[2], ax[2]));
    out->c = m.Sub(m.MulAdd(z, m.Sub(in.c, n), n), m.Event(in.c, p[0]));
    out->h = m.Event(out->c, p[0]);
  }
};
