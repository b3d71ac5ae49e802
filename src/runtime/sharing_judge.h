// SharingJudge: whether runs of one size gain by a team. What sharing costs depends on the machine:
// a cache line that goes from one core to another takes 0.03 to 0.15 us, and a step of an LSTM of
// 512 units has a hundred of them. So a session measures, while it runs; the numbers are the same
// to the bit either way.
#ifndef ESPALIER_RUNTIME_SHARING_JUDGE_H_
#define ESPALIER_RUNTIME_SHARING_JUDGE_H_

#include <cstddef>
#include <cstdint>

namespace espalier {

// Runs some times shared and as often alone, then as was faster by the median, until it is time to
// look again: after kFirstRest runs, then after twice as many as the last time, up to kMostRest or
// so many as take kMostRestNs.
class SharingJudge {
 public:
  // A phase begins with runs that fill the caches of the cores, which do not count.
  static constexpr size_t kMostWarmUp = 8;
  static constexpr int64_t kWarmUpNs = 200'000;
  // It ends with as many samples, or after so long with a few.
  static constexpr size_t kMostSamples = 15;
  static constexpr size_t kFewSamples = 3;
  static constexpr int64_t kPhaseNs = 2'000'000;
  static constexpr uint32_t kFirstRest = 128;
  static constexpr uint32_t kMostRest = 16384;
  static constexpr int64_t kMostRestNs = 1'000'000'000;
  // Runs in a row that should have been shared, but for workers that were asleep, before it gives
  // up for as long as it rests.
  static constexpr size_t kMostMissed = 64;

  // Whether the next run is to be shared.
  bool Shares() const { return phase_ == Phase::kRests ? shares_ : phase_ == Phase::kShared; }
  // After a run of `rows` > 0 rows, as Shares() said.
  void Took(int64_t ns, size_t rows);
  // After a run in which not all workers took part, though Shares() said so.
  void Missed();

 private:
  enum class Phase : uint8_t { kShared, kAlone, kRests };

  void Begin(Phase phase);
  void Rest(bool shares);

  Phase phase_ = Phase::kShared;
  bool shares_ = true;      // in kRests
  bool is_second_ = false;  // of the two phases that are compared
  uint32_t runs_ = 0;       // of the phase
  uint32_t missed_ = 0;
  int64_t ns_ = 0;  // of the phase
  uint32_t next_rest_ = kFirstRest;
  size_t counts_[2] = {};                // samples, shared and alone
  float samples_[2][kMostSamples] = {};  // nanoseconds of a row
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_SHARING_JUDGE_H_
