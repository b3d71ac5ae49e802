#include "compile/cost_table.h"

#include <limits>
#include <stdexcept>

#include "compile/measure_costs.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using testing::ExpectError;
using testing::ValueOrDie;

FormatSpec Csr() { return ValueOrDie(FindFormat("csr")); }

// csr: matrices of 8x8, 8x32 and 64x32 with 1 row of x, of 8x8 with 16.
CostTable Table() {
  return {"some CPU",
          "AVX2",
          {{FormatSpec(), {{1, 8, 8, 256, 50.0}}},
           {Csr(),
            {{1, 8, 8, 100, 50.0},
             {1, 8, 8, 300, 90.0},
             {1, 8, 32, 400, 130.0},
             {1, 64, 32, 3200, 830.0},
             {16, 8, 8, 100, 650.0}}}}};
}

// By Table(), of a csr matrix.
double Csr(int64_t rows, int64_t cols, size_t bytes, int64_t count) {
  static const std::byte memory[8192] = {};
  return Table().Lookup({Csr(), rows, cols, {memory, bytes}}, count).value_or(-1.0);
}

TEST(CostTable, GivesWhatWasMeasured) {
  EXPECT_EQ(Csr(8, 8, 100, 1), 50.0);
  EXPECT_EQ(Csr(8, 8, 300, 1), 90.0);
  EXPECT_EQ(Csr(64, 32, 3200, 1), 830.0);
  EXPECT_EQ(Csr(8, 8, 100, 16), 650.0 / 16);
}

TEST(CostTable, GoesStraightBetweenBytes) { EXPECT_EQ(Csr(8, 8, 150, 1), 60.0); }

TEST(CostTable, GoesStraightBetweenShapesAtEqualBytesAnElement) {
  // Half way from 50 ns of 8x8 with 100 bytes to 130 of 8x32 with 400.
  EXPECT_EQ(Csr(8, 20, 250, 1), 90.0);
  // Half way from 8x32 to 64x32.
  EXPECT_EQ(Csr(36, 32, 1800, 1), 480.0);
}

TEST(CostTable, GoesStraightBetweenCounts) {
  // 50 ns for 1, 650 for 16: 290 for 7.
  EXPECT_DOUBLE_EQ(Csr(8, 8, 100, 7), 290.0 / 7);
}

TEST(CostTable, StaysAsItIsBelowAndGrowsBeyondWhatWasMeasured) {
  EXPECT_EQ(Csr(8, 8, 10, 1), 50.0);
  EXPECT_EQ(Csr(4, 4, 25, 1), 50.0);
  EXPECT_EQ(Csr(8, 8, 600, 1), 90.0);
  EXPECT_EQ(Csr(128, 32, 6400, 1), 1660.0);
  EXPECT_EQ(Csr(8, 64, 800, 1), 260.0);
  EXPECT_EQ(Csr(8, 8, 100, 64), 650.0 / 16);  // each row as with 16
}

TEST(CostTable, KnowsNoFormatThatItLacks) {
  const EncodedView matrix{ValueOrDie(FindFormat("slot_8x8")), 8, 8, {}};
  EXPECT_EQ(Table().Lookup(matrix, 1), std::nullopt);
}

TEST(CostTable, TakesACompactMatrixForWhatIsLeftOfIt) {
  const FormatSpec compact = ValueOrDie(FindFormat("compact"));
  CostTable table = Table();
  table.formats.push_back({compact, {{1, 8, 8, 256, 20.0}, {1, 64, 8, 2048, 76.0}}});
  std::vector<float> weights(64 * 32);
  for (size_t row = 0; row < 8; ++row) weights[row * 32 + row] = 1.0f;
  EncodedMatrix encoded = ValueOrDie(Encode(compact, {weights.data(), 64, 32}));
  EXPECT_EQ(table.Lookup(encoded.view(), 1), 20.0);
  weights.assign(weights.size(), 0.0f);
  encoded = ValueOrDie(Encode(compact, {weights.data(), 64, 32}));
  EXPECT_EQ(table.Lookup(encoded.view(), 1), 20.0);
}

TEST(CostTable, RefusesCostsThatSayNothing) {
  const auto expect = [](const std::function<void(CostTable*)>& spoil,
                         const std::vector<std::string>& parts) {
    CostTable table = Table();
    spoil(&table);
    ExpectError(CheckCosts(table), Code::kInvalidArgument, parts);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  ASSERT_OK(CheckCosts(Table()));
  expect([](CostTable* t) { t->cpu = ""; }, {"name of a CPU"});
  expect([](CostTable* t) { t->target = ""; }, {"instruction set"});
  // An artifact could not hold it.
  expect([](CostTable* t) { t->cpu.assign(65537, 'x'); }, {"name of a CPU", "65537 bytes found"});
  expect([](CostTable* t) { t->target.assign(65537, 'x'); }, {"instruction set", "65537"});
  expect([](CostTable* t) { t->formats.erase(t->formats.begin()); }, {"dense"});
  expect([](CostTable* t) { t->formats[0] = t->formats[1]; }, {"csr", "twice"});
  expect([](CostTable* t) { t->formats[1].points.clear(); }, {"csr", "points expected"});
  expect([](CostTable* t) { t->formats[1].points[2].rows = 0; }, {"csr, point 2", "0 found"});
  expect([](CostTable* t) { t->formats[1].points[1].bytes = 100; }, {"csr, point 1", "above"});
  expect([](CostTable* t) { t->formats[1].points[4].count = 1; }, {"csr, point 4", "above"});
  expect([](CostTable* t) { t->formats[1].points[1].ns = 0.0; }, {"a time above 0", "0 found"});
  expect([](CostTable* t) { t->formats[1].points[1].ns = 1e300; }, {"a time", "1e+300 found"});
  expect([&](CostTable* t) { t->formats[1].points[1].ns = nan; }, {"a time", "nan found"});
}

// A clock that moves 100 us at each reading, so that one call fills a sample.
MeasureCostsOptions WithClock(const std::string& format) {
  MeasureCostsOptions options;
  options.cpu = "some CPU";
  options.formats = {ValueOrDie(FindFormat(format)), ValueOrDie(FindFormat(format))};
  options.repetitions = 1;
  options.now_ns = [now = 0.0]() mutable { return now += 1e5; };
  return options;
}

TEST(MeasureCosts, HasPointsOverCountsShapesAndDensities) {
  double last = 0.0;
  MeasureCostsOptions options = WithClock("csr");
  options.on_progress = [&](double share) {
    EXPECT_GT(share, last);
    last = share;
  };
  const CostTable table = ValueOrDie(MeasureCosts(options));
  EXPECT_DOUBLE_EQ(last, 1.0);
  EXPECT_EQ(table.cpu, "some CPU");
  ASSERT_EQ(table.formats.size(), 2u);
  EXPECT_EQ(table.formats[0].format, FormatSpec());
  EXPECT_EQ(table.formats[0].points.size(), 2u * 4 * 5);      // its bytes tell nothing of zeros
  EXPECT_GT(table.formats[1].points.size(), 2u * 4 * 5 * 2);  // a few small ones are equal
  for (const CostPoint& point : table.formats[1].points) EXPECT_EQ(point.ns, 1e5);
}

TEST(MeasureCosts, TimesFormatsThatHoldFewMatrices) {
  for (const char* format : {"nm_16x4x2", "diagonal_8x4_i8"}) {
    const CostTable table = ValueOrDie(MeasureCosts(WithClock(format)));
    EXPECT_EQ(table.formats[1].points.back().rows, 2048) << format;
  }
}

TEST(MeasureCosts, StopsWhenItIsCancelled) {
  const std::atomic<bool> cancel{true};
  MeasureCostsOptions options = WithClock("csr");
  options.cancel = &cancel;
  ExpectError(MeasureCosts(options).status(), Code::kCancelled, {"costs"});
}

TEST(MeasureCosts, NamesTheOptionThatIsWrong) {
  MeasureCostsOptions options = WithClock("csr");
  options.repetitions = 0;
  ExpectError(MeasureCosts(options).status(), Code::kInvalidArgument, {"repetitions", "0 found"});
  options = WithClock("csr");
  options.target = "AVX9";
  ExpectError(MeasureCosts(options).status(), Code::kInvalidArgument, {"AVX9"});
  options = WithClock("csr");
  options.cpu = "";
  options.now_ns = []() -> double { throw std::logic_error("timed before it was checked"); };
  ExpectError(MeasureCosts(options).status(), Code::kInvalidArgument, {"name of a CPU"});
}

}  // namespace
}  // namespace espalier
