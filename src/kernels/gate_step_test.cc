// Every cell on every target of this CPU against its own equations in double precision.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <tuple>

#include "cells/double_math.h"
#include "kernels/kernels.h"
#include "testing/testing.h"

namespace espalier {
namespace {

#include "cells/all_cells.inl"

// p: of a cell with peepholes.
using Step = void (*)(const double* ax, const double* ah, const double* p, CellState<double> in,
                      CellState<double>* out);

template <class Cell>
void StepOf(const double* ax, const double* ah, [[maybe_unused]] const double* p,
            CellState<double> in, CellState<double>* out) {
  if constexpr (Cell::kPeepholes) {
    Cell::Step(DoubleMath(), ax, ah, p, in, out);
  } else {
    Cell::Step(DoubleMath(), ax, ah, in, out);
  }
}

constexpr Step kSteps[] = {
#define ESPALIER_CELL(name, Class, ...) StepOf<Class<DoubleMath>>,
#include "cells/cells.inc"
#undef ESPALIER_CELL
};

constexpr float kUntouched = 777.0f;

// One cell's inputs and state; every array ends where the contract says it does.
struct Arrays {
  size_t gates, hidden, stride;
  size_t peepholes, peephole_stride;
  std::vector<float> ax, ah, h, c, p;

  Arrays(const CellInfo& info, size_t hidden_size, float range, Rng* rng)
      : gates(static_cast<size_t>(info.gates)),
        hidden(hidden_size),
        stride(hidden_size + 3),
        peepholes(static_cast<size_t>(info.peepholes)),
        peephole_stride(hidden_size + 1) {
    const auto fill = [&](size_t size, std::vector<float>* out) {
      for (size_t i = 0; i < size; ++i) out->push_back(rng->Uniform(-range, range));
    };
    fill((gates - 1) * stride + hidden, &ax);
    fill((gates - 1) * stride + hidden, &ah);
    fill(hidden, &h);
    fill(hidden, &c);
    if (peepholes > 0) fill((peepholes - 1) * peephole_stride + hidden, &p);
  }

  std::array<double, 4> PeepholesOf(size_t k) const {
    std::array<double, 4> of{};
    for (size_t i = 0; i < peepholes; ++i) of[i] = p[i * peephole_stride + k];
    return of;
  }

  GateStepArgs args() {
    GateStepArgs a;
    a.ax = ax.data();
    a.ah = ah.data();
    a.gate_stride = stride;
    a.h = h.data();
    a.c = c.data();
    a.hidden = hidden;
    a.peephole = p.data();
    a.peephole_stride = peephole_stride;
    return a;
  }
};

using Case = std::tuple<const KernelTable*, CellInfo>;
class EveryCell : public ::testing::TestWithParam<Case> {
 protected:
  const KernelTable& table() const { return *std::get<0>(GetParam()); }
  CellInfo info() const { return std::get<1>(GetParam()); }
  size_t kind() const { return static_cast<size_t>(info().kind); }
};

TEST_P(EveryCell, StepsAsItsEquationsSay) {
  Rng rng(1);
  for (size_t hidden = 1; hidden <= 40; ++hidden) {
    Arrays arrays(info(), hidden, 4.0f, &rng);
    const Arrays before = arrays;
    table().gate_step[kind()](arrays.args());
    for (size_t k = 0; k < hidden; ++k) {
      double ax[4] = {}, ah[4] = {};
      for (size_t g = 0; g < before.gates; ++g) {
        ax[g] = before.ax[g * before.stride + k];
        ah[g] = before.ah[g * before.stride + k];
      }
      CellState<double> out{before.h[k], before.c[k]};
      kSteps[kind()](ax, ah, before.PeepholesOf(k).data(), {before.h[k], before.c[k]}, &out);
      ASSERT_NEAR(arrays.h[k], out.h, 4e-6) << "unit " << k << " of " << hidden;
      ASSERT_NEAR(arrays.c[k], out.c, 4e-6) << "unit " << k << " of " << hidden;
    }
  }
}

TEST_P(EveryCell, WritesNothingPastItsUnits) {
  Rng rng(2);
  for (size_t hidden = 1; hidden <= 17; ++hidden) {
    Arrays arrays(info(), hidden, 2.0f, &rng);
    arrays.h.resize(hidden + 16, kUntouched);
    arrays.c.resize(hidden + 16, kUntouched);
    table().gate_step[kind()](arrays.args());
    for (size_t k = hidden; k < hidden + 16; ++k) {
      ASSERT_EQ(arrays.h[k], kUntouched);
      ASSERT_EQ(arrays.c[k], kUntouched);
    }
  }
}

TEST_P(EveryCell, GivesAUnitTheSameBitsInTheTailAsInAVector) {
  Rng rng(3);
  Arrays wide(info(), 32, 3.0f, &rng);
  Arrays narrow = wide;
  narrow.hidden = 19;  // same arrays, fewer units: 16 to 18 are a tail on every target but SCALAR
  table().gate_step[kind()](wide.args());
  table().gate_step[kind()](narrow.args());
  for (size_t k = 0; k < 19; ++k) ASSERT_EQ(wide.h[k], narrow.h[k]) << "unit " << k;
}

TEST_P(EveryCell, LetsNanThrough) {
  Rng rng(4);
  Arrays arrays(info(), 21, 1.0f, &rng);
  for (size_t g = 0; g < arrays.gates; ++g) {
    arrays.ah[g * arrays.stride + 20] = std::numeric_limits<float>::quiet_NaN();
  }
  table().gate_step[kind()](arrays.args());
  EXPECT_TRUE(std::isnan(arrays.h[20]));
  for (size_t k = 0; k < 20; ++k) EXPECT_TRUE(std::isfinite(arrays.h[k]));
}

TEST_P(EveryCell, SaturatesOnInfinity) {
  Rng rng(5);
  for (const float sign : {-1.0f, 1.0f}) {
    Arrays arrays(info(), 9, 1.0f, &rng);
    for (float& value : arrays.ax) value = sign * std::numeric_limits<float>::infinity();
    const Arrays before = arrays;
    table().gate_step[kind()](arrays.args());
    for (size_t k = 0; k < 9; ++k) {
      double ax[4], ah[4];
      for (size_t g = 0; g < 4; ++g) {
        ax[g] = sign * 1e30;
        ah[g] = 0.0;
      }
      CellState<double> out{};
      kSteps[kind()](ax, ah, before.PeepholesOf(k).data(), {before.h[k], before.c[k]}, &out);
      if (info().kind == CellKind::kRnnReluCell && sign > 0) {
        EXPECT_EQ(arrays.h[k], std::numeric_limits<float>::infinity());
      } else {
        EXPECT_NEAR(arrays.h[k], out.h, 2e-6);
      }
    }
  }
}

TEST_P(EveryCell, HasResetHiddenWhereTheTableSaysSo) {
  const ResetHiddenFn reset = table().reset_hidden[kind()];
  ASSERT_EQ(reset != nullptr, info().reset_before);
  if (reset == nullptr) return;
  Rng rng(6);
  for (size_t hidden = 1; hidden <= 20; ++hidden) {
    Arrays arrays(info(), hidden, 3.0f, &rng);
    std::vector<float> reset_h(hidden);
    reset(arrays.args(), reset_h.data());
    for (size_t k = 0; k < hidden; ++k) {
      const double r = DoubleMath::Sigmoid(static_cast<double>(arrays.ax[k]) + arrays.ah[k]);
      ASSERT_NEAR(reset_h[k], r * arrays.h[k], 1e-6) << "unit " << k << " of " << hidden;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cells, EveryCell,
                         ::testing::Combine(::testing::ValuesIn(AvailableKernels()),
                                            ::testing::ValuesIn(kCells)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)->target) + "_" +
                                  std::string(std::get<1>(test.param).name);
                         });

}  // namespace
}  // namespace espalier
