// send_changes: what delta updates send of a vector (model/graph.h, Delta).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/send_changes.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/hwy_compat-inl.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

bool IsDue(const SendArgs& args, size_t first, size_t end) {
  for (size_t i = first; i < end; ++i) {
    if (!(std::abs(args.values[i] - args.sent[i]) < args.threshold)) return true;
  }
  return false;
}

// By the bits of a mask its lanes in order, the set ones first. In the place of Compress, for which
// Highway 1.0.3 copies a table of 1 KB at each call on AVX2.
template <size_t N>
struct SetLanesFirst {
  alignas(64) int32_t lanes[size_t{1} << N][N] = {};

  constexpr SetLanesFirst() {
    for (size_t mask = 0; mask < size_t{1} << N; ++mask) {
      size_t count = 0;
      for (const bool is_set : {true, false}) {
        for (size_t lane = 0; lane < N; ++lane) {
          if ((mask >> lane & 1) == size_t{is_set}) {
            lanes[mask][count++] = static_cast<int32_t>(lane);
          }
        }
      }
    }
  }
};
template <size_t N>
constexpr SetLanesFirst<N> kSetLanesFirst;

using D = hn::CappedTag<float, 16>;
constexpr size_t kLanes = hn::MaxLanes(D());

hn::Mask<D> DueLanes(hn::Vec<D> change, float threshold) {
  return hn::Not(hn::Lt(hn::Abs(change), hn::Set(D(), threshold)));  // NaN is
}

struct Lanes {
  hn::Vec<D> values, sent, change;
  hn::Mask<D> is_due;
};

// Calls visit(first, lanes) for all features, vector by vector; of the last one lanes past the size
// are not due. Whole vectors are read, and may be written: a masked store takes some 20 ns on Zen
// 3, and what reads it waits for it.
template <typename Visit>
void EachVector(const SendArgs& args, const Visit& visit) {
  const D d;
  for (size_t first = 0; first < args.size; first += kLanes) {
    const auto values = hn::LoadU(d, args.values + first);
    const auto sent = hn::LoadU(d, args.sent + first);
    const auto change = hn::Sub(values, sent);
    auto is_due = DueLanes(change, args.threshold);
    if (args.size - first < kLanes) is_due = hn::And(is_due, hn::FirstN(d, args.size - first));
    visit(first, Lanes{values, sent, change, is_due});
  }
}

size_t CountDue(const SendArgs& args) {
  const hn::RebindToSigned<D> di;
  auto counts = hn::Zero(di);
  EachVector(args, [&](size_t /*first*/, const Lanes& lanes) {
    const auto is_due = hn::RebindMask(di, lanes.is_due);
    counts = hn::Sub(counts, hn::VecFromMask(di, is_due));  // -1 where it is
  });
  return static_cast<size_t>(hn::GetLane(hn::SumOfLanes(di, counts)));
}

// As send_changes, but does not say which.
size_t Replace(const SendArgs& args) {
  const hn::RebindToSigned<D> di;
  auto counts = hn::Zero(di);
  EachVector(args, [&](size_t first, const Lanes& lanes) {
    const auto is_due = hn::RebindMask(di, lanes.is_due);
    counts = hn::Sub(counts, hn::VecFromMask(di, is_due));
    hn::StoreU(hn::IfThenElse(lanes.is_due, lanes.values, lanes.sent), D(), args.sent + first);
  });
  return static_cast<size_t>(hn::GetLane(hn::SumOfLanes(di, counts)));
}

size_t SendEach(const SendArgs& args) {
  const D d;
  const hn::RebindToSigned<D> di;
  // Outside of the loop: Highway 1.0.3 makes it in memory, lane by lane, and then waits for that.
  const auto lane = hn::Iota(di, 0);
  size_t count = 0;
  EachVector(args, [&](size_t first, const Lanes& lanes) {
    if (hn::AllFalse(d, lanes.is_due)) return;
    hn::StoreU(hn::IfThenElse(lanes.is_due, lanes.values, lanes.sent), D(), args.sent + first);
    uint8_t bytes[8] = {};
    hn::StoreMaskBits(d, lanes.is_due, bytes);
    const unsigned due = bytes[0] | unsigned{bytes[1]} << 8;
    const auto cols = hn::Add(lane, hn::Set(di, static_cast<int32_t>(first)));
    // Whole vectors are written, since there is room.
    if constexpr (kLanes == 4 || kLanes == 8) {
      const int32_t* order = kSetLanesFirst < kLanes == 8 ? 8 : 4 >.lanes[due];
      hn::StoreU(hn::TableLookupLanes(cols, hn::SetTableIndices(di, order)), di, args.cols + count);
      hn::StoreU(hn::TableLookupLanes(lanes.change, hn::SetTableIndices(d, order)), d,
                 args.d + count);
    } else {
      hn::StoreU(hn::Compress(cols, hn::RebindMask(di, lanes.is_due)), di, args.cols + count);
      hn::StoreU(hn::Compress(lanes.change, lanes.is_due), d, args.d + count);
    }
    count += static_cast<size_t>(std::popcount(due));
  });
  return count;
}

// In whole banks: all features of one if any of them is due.
size_t SendBanks(const SendArgs& args) {
  size_t count = 0;
  for (size_t first = 0; first < args.size; first += args.bank) {
    const size_t end = std::min(args.size, first + args.bank);
    if (!IsDue(args, first, end)) continue;
    for (size_t i = first; i < end; ++i) {
      const float change = args.values[i] - args.sent[i];
      args.sent[i] = args.values[i];
      args.cols[count] = static_cast<int32_t>(i);
      args.d[count++] = change;
    }
  }
  return count;
}

}  // namespace

size_t send_changes(const SendArgs& args) {
  if (args.threshold == 0.0f && args.size > args.most) {  // every feature is due
    std::copy(args.values, args.values + args.size, args.sent);
    return args.size;
  }
  if (args.bank != 1) return SendBanks(args);
  if (args.most == 0) return Replace(args);
  // Of a few features all that are due are listed sooner than counted.
  constexpr size_t kFewVectors = 8;
  const bool may_be_too_many = args.most < args.size && args.size > kFewVectors * kLanes;
  return may_be_too_many && CountDue(args) > args.most ? Replace(args) : SendEach(args);
}

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
