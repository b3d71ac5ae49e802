// Simple recurrent network with a rectifier (Le et al. 2015, arXiv:1504.00941).
//   h' = max(0, ax + ah)
template <class M>
struct RnnReluCell {
  using V = typename M::V;
  static constexpr bool kResetBefore = false;
  static constexpr bool kPeepholes = false;

  static void Step(const M& m, const V* ax, const V* ah, const CellState<V>& /*in*/,
                   CellState<V>* out) {
    out->h = m.Relu(m.Add(ax[0], ah[0]));
  }
};
