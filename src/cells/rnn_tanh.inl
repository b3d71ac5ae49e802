// Simple recurrent network with tanh (Elman 1990, doi:10.1207/s15516709cog1402_1).
//   h' = tanh(ax + ah)
template <class M>
struct RnnTanhCell {
  using V = typename M::V;
  static constexpr bool kResetBefore = false;
  static constexpr bool kPeepholes = false;

  static void Step(const M& m, const V* ax, const V* ah, const CellState<V>& /*in*/,
                   CellState<V>* out) {
    out->h = m.Tanh(m.Add(ax[0], ah[0]));
  }
};
