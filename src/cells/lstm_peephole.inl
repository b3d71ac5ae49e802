// Long short-term memory whose gates see the cell state (Gers and Schmidhuber 2000,
// doi:10.1109/IJCNN.2000.861302; in the form of Sak et al. 2014, arXiv:1402.1128, section 2.1,
// and of ONNX's LSTM with input P). p: [3, H], of the gates i, f and o.
//   i = sigmoid(ax_i + ah_i + p_i * c)    f = sigmoid(ax_f + ah_f + p_f * c)
//   g = tanh(ax_g + ah_g)                 c' = f * c + i * g
//   o = sigmoid(ax_o + ah_o + p_o * c')   h' = o * tanh(c')
template <class M>
struct LstmPeepholeCell {
  using V = typename M::V;
  static constexpr bool kResetBefore = false;
  static constexpr bool kPeepholes = true;

  static void Step(const M& m, const V* ax, const V* ah, const V* p, const CellState<V>& in,
                   CellState<V>* out) {
    const V f = m.Sigmoid(m.MulAdd(p[1], in.c, m.Add(ax[1], ah[1])));
    const V ig = m.SigmoidTimesTanh(m.MulAdd(p[0], in.c, m.Add(ax[0], ah[0])), m.Add(ax[2], ah[2]));
    out->c = m.MulAdd(f, in.c, ig);
    out->h = m.SigmoidTimesTanh(m.MulAdd(p[2], out->c, m.Add(ax[3], ah[3])), out->c);
  }
};
