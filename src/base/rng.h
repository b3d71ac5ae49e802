// Rng: the only source of randomness. Passed in, seeded by the caller, the same on every machine.
#ifndef ESPALIER_BASE_RNG_H_
#define ESPALIER_BASE_RNG_H_

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace espalier {

// xoshiro256++ seeded by splitmix64 (Blackman and Vigna 2019, arXiv:1805.01407).
class Rng {
 public:
  explicit Rng(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15u;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      word = z ^ (z >> 31);
    }
  }

  uint64_t Next() {
    const uint64_t result = Rotate(state_[0] + state_[3], 23) + state_[0];
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  float Uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(Uniform());
  }
  // Uniform in [0, bound); bound > 0. The bias of at most bound / 2^64 is accepted.
  uint64_t Below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }
  // Standard normal (Box and Muller 1958).
  double Normal() {
    const double u = 1.0 - Uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * Uniform());
  }
  // Permutes in place (Fisher and Yates); any type with size() and operator[].
  template <typename Container>
  void Shuffle(Container& values) {
    for (size_t i = values.size(); i > 1; --i) {
      using std::swap;
      swap(values[i - 1], values[static_cast<size_t>(Below(i))]);
    }
  }

  // The whole state, for checkpoints.
  const std::array<uint64_t, 4>& state() const { return state_; }
  void set_state(const std::array<uint64_t, 4>& state) { state_ = state; }

 private:
  static uint64_t Rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
  std::array<uint64_t, 4> state_{};
};

}  // namespace espalier

#endif  // ESPALIER_BASE_RNG_H_
