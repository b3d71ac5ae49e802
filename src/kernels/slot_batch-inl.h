// SlotBatch<W, S, B>: the slot kernel for 16 rows of x at once. x is transposed first, so that
// lanes are rows of x: a stored weight is then one broadcast and, with 16 lanes, one multiply-add
// (two with 8), and needs no permutation. Compiled once per target.
//
// A row's sum takes its weights in the same order and by the same operations as in the kernel for
// one x, so the results are the same to the bit. On Zen 3, [512, 128] at 10 % times 28 rows,
// against lookups for two rows of x at a time: slot_8x16 28.0 -> 15.6 us, slot_16x32 54 -> 15.5 us,
// but slot_8x8 15.6 -> 17.4 us. The limit is the loads: 1.5 a multiply-add. On Zen 4 with AVX-512
// it takes 0.75 (slot_8x8) to 0.82 (slot_16x16) of the time of lookups, LSTM-512 and 16 rows,
// but 1.3 with 8 rows, half of whose lanes do nothing.
#if defined(ESPALIER_KERNELS_SLOT_BATCH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ESPALIER_KERNELS_SLOT_BATCH_INL_H_
#undef ESPALIER_KERNELS_SLOT_BATCH_INL_H_
#else
#define ESPALIER_KERNELS_SLOT_BATCH_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "formats/slot.h"
#include "hwy/highway.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

template <typename W, size_t S, size_t B>
struct SlotBatch {
  static constexpr bool kPays = false;
};

#else

template <typename W, size_t S, size_t B>
class SlotBatch {
 public:
  // Not for banks of 8 on AVX2, where a lookup is one permutation (within 15 % either way).
  static constexpr bool kPays = HWY_TARGET != HWY_AVX2 || B > 8;
  static constexpr size_t kRows = 16;  // of x
  // From here on a batch with unused lanes takes less time than single rows.
  static constexpr size_t kFewestRows = HWY_TARGET < HWY_AVX2 ? 13 : 6;
  // Of x: the transposed copy is on the stack, 64 KB at most.
  static constexpr size_t kMostCols = 1024;

  // Rows [n, n + count) of x and y. Preconditions: count <= kRows, w.cols <= kMostCols.
  static void Run(const SlotView& w, const MatMulArgs& args, size_t n, size_t count) {
    HWY_ALIGN float columns[(kMostCols + kLanes) * kRows];
    Transpose(args.x + n * args.x_stride, args.x_stride, count, w.cols, columns);
    const size_t end_group = std::min(args.end_group, w.groups);
    for (size_t group = args.first_group; group < end_group; ++group) {
      const size_t strips = w.StripsOf(group);
      const size_t slot = w.group_start[group] * SlotGroupOf(S);
      const size_t end = slot + (w.group_start[group + 1] - w.group_start[group]) * strips;
      for (size_t k = 0; k < strips; ++k) {
        const Slots slots{slot + k, end, strips};
        const size_t first_row = w.strip[group * SlotGroupOf(S) + k] * S;
        for (size_t lane = 0; lane < S; lane += kLanes) {
          Block(w, args, columns, slots, {first_row, lane, n, count});
        }
      }
    }
  }

 private:
  using D = hn::CappedTag<float, 8>;
  using V = hn::Vec<D>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  static constexpr size_t kVectors = kRows / kLanes;  // of one column of x, to transpose
  // Sums are in the widest vectors; 8 hide 4 cycles of latency at two multiply-adds a cycle.
  using WideD = hn::CappedTag<float, kRows>;
  using WideV = hn::Vec<WideD>;
  static constexpr size_t kWideLanes = hn::MaxLanes(WideD());
  static constexpr size_t kWides = kRows / kWideLanes;  // of one column of x
  static constexpr size_t kPass = kWides == 1 ? 8 : 4;  // rows of W whose sums are in registers

  struct Slots {
    size_t begin, end, step;
  };
  struct Place {
    size_t first_row, lane;  // of W: kLanes rows from first_row + lane
    size_t n, count;         // of x and y
  };

  // columns[c][i] = x[i][c], 0 for i >= count.
  static void Transpose(const float* x, size_t x_stride, size_t count, size_t cols,
                        float* columns) {
    const D d;
    for (size_t v = 0; v < kVectors; ++v) {
      for (size_t c = 0; c < cols; c += kLanes) {
        V square[kLanes];
        for (size_t i = 0; i < kLanes; ++i) {
          const size_t row = v * kLanes + i;
          square[i] = row < count ? hn::LoadU(d, x + row * x_stride + c) : hn::Zero(d);
        }
        TransposeSquare(d, square);
        for (size_t i = 0; i < kLanes; ++i) {
          hn::Store(square[i], d, columns + (c + i) * kRows + v * kLanes);
        }
      }
    }
  }

  // kLanes rows of W for all rows of x.
  // Not inlined: else the address of `columns` is formed anew for every load.
  static HWY_NOINLINE void Block(const SlotView& w, const MatMulArgs& args, const float* columns,
                                 const Slots& slots, const Place& place) {
    const D d;
    const WideD wide;
    const size_t first_row = place.first_row + place.lane;
    V sum[kVectors][kLanes];
    for (size_t pass = 0; pass < kLanes; pass += kPass) {
      WideV part[kPass][kWides];
      for (size_t r = 0; r < kPass; ++r) {
        const size_t row = first_row + pass + r;
        const bool has_init = args.init != nullptr && row < w.rows;
        for (size_t v = 0; v < kWides; ++v) {
          part[r][v] = hn::Set(wide, has_init ? args.init[row] : 0.0f);
        }
      }
      Accumulate(w, columns, slots, place.lane + pass, part);
      for (size_t r = 0; r < kPass; ++r) {
        for (size_t v = 0; v < kWides; ++v)
          Put(d, part[r][v], pass + r, &sum[v * kVectors / kWides]);
      }
    }
    for (size_t v = 0; v < kVectors; ++v) {
      TransposeSquare(d, sum[v]);
      for (size_t i = 0; i < kLanes && v * kLanes + i < place.count; ++i) {
        float* y = args.y + (place.n + v * kLanes + i) * args.y_stride;
        StoreRows(sum[v][i], d, y, first_row, w.rows);
      }
    }
  }

  // One wide vector, to the same row of one square or of two. (Templates, so that only what is used
  // is compiled.)
  template <class Narrow, class Wide>
  static HWY_INLINE void Put(Narrow d, Wide sum, size_t row, V (*squares)[kLanes]) {
    if constexpr (std::is_same_v<Wide, hn::Vec<Narrow>>) {
      squares[0][row] = sum;
    } else {
      squares[0][row] = hn::LowerHalf(d, sum);
      squares[1][row] = hn::UpperHalf(d, sum);
    }
  }

  static HWY_INLINE void Accumulate(const SlotView& w, const float* columns, const Slots& slots,
                                    size_t lane, WideV (&sum)[kPass][kWides]) {
    const WideD d;
    // Lanes lie side by side, or every other (formats/slot.h).
    constexpr size_t kStep = SlotWeightPlace(S, kTypeOf<W>, 1);
    for (size_t slot = slots.begin; slot < slots.end; slot += slots.step) {
      const W* weights =
          reinterpret_cast<const W*>(w.values) + slot * S + SlotWeightPlace(S, kTypeOf<W>, lane);
      const float* bank = columns + w.bank_col[slot] * kRows;
      const float* x[kPass];
      if constexpr (kTypeOf<W> == WeightType::kF28) {
        for (size_t r = 0; r < kPass; ++r) {
          x[r] = bank + F28Column(weights[r].value) % B * kRows;
        }
      } else {
        Columns(bank, w.index + slot * SlotIndexBytes(kTypeOf<W>, S, B), lane, x);
      }
      for (size_t r = 0; r < kPass; ++r) {
        const WideV weight = hn::Set(d, WeightOf(weights[r * kStep]));
        for (size_t v = 0; v < kWides; ++v) {
          sum[r][v] = hn::MulAdd(weight, hn::Load(d, x[r] + v * kWideLanes), sum[r][v]);
        }
      }
    }
  }

  // The columns that lanes [lane, lane + kPass) of a slot name. Offsets are formed in bytes by one
  // shift and one mask each: left to itself the compiler spends twice the instructions.
  static HWY_INLINE void Columns(const float* bank, const uint8_t* index, size_t lane,
                                 const float* (&out)[kPass]) {
    constexpr unsigned kShift = 6;  // log2 of the bytes of a column
    static_assert(kRows * sizeof(float) == size_t{1} << kShift && kPass <= 8);
    const char* bytes = reinterpret_cast<const char*>(bank);
    size_t offset[kPass];
    if constexpr (S == kWideStripRows) {
      static_assert(kPass % 4 == 0);
      for (size_t r = 0; r < kPass; r += 4) {
        uint64_t words;
        std::memcpy(&words, index + (lane + r) % 16 * 2, sizeof(words));
        words >>= lane / 16 * 4;
        for (size_t i = 0; i < 4; ++i) {
          offset[r + i] = static_cast<size_t>(words >> (16 * i) & 15) << kShift;
        }
      }
    } else if constexpr (B > 16) {
      for (size_t r = 0; r < kPass; ++r) offset[r] = size_t{index[lane + r]} << kShift;
    } else {
      uint32_t nibbles = 0;
      std::memcpy(&nibbles, index + lane / 2, kPass / 2);
      const size_t shifted = size_t{nibbles} << kShift;
      for (size_t r = 0; r < kPass; ++r) offset[r] = (shifted >> (4 * r)) & (size_t{15} << kShift);
    }
    for (size_t r = 0; r < kPass; ++r) out[r] = reinterpret_cast<const float*>(bytes + offset[r]);
  }
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();

#endif  // ESPALIER_KERNELS_SLOT_BATCH_INL_H_
