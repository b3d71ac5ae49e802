// Long short-term memory with a forget gate and no peepholes (Hochreiter and Schmidhuber 1997,
// doi:10.1162/neco.1997.9.8.1735; Gers et al. 2000, doi:10.1162/089976600300015015).
//   i = sigmoid(ax_i + ah_i)   f = sigmoid(ax_f + ah_f)   g = tanh(ax_g + ah_g)
//   o = sigmoid(ax_o + ah_o)   c' = f * c + i * g          h' = o * tanh(c')
template <class M>
struct LstmCell {
  using V = typename M::V;
  static constexpr bool kResetBefore = false;
  static constexpr bool kPeepholes = false;

  static void Step(const M& m, const V* ax, const V* ah, const CellState<V>& in,
                   CellState<V>* out) {
    const V f = m.Sigmoid(m.Add(ax[1], ah[1]));
    const V ig = m.SigmoidTimesTanh(m.Add(ax[0], ah[0]), m.Add(ax[2], ah[2]));
    out->c = m.MulAdd(f, in.c, ig);
    out->h = m.SigmoidTimesTanh(m.Add(ax[3], ah[3]), out->c);
  }
};
