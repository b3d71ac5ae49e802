// docs/methods.md has a row for every entry of every list, in the entry's own words.
#include "base/file.h"
#include "prune/allocation.h"
#include "prune/criterion.h"
#include "prune/dynamic.h"
#include "prune/granularity.h"
#include "prune/regularizer.h"
#include "prune/schedule.h"
#include "testing/testing.h"

namespace espalier {
namespace {

template <typename Entry>
void ExpectRows(std::span<const Entry* const> entries) {
  const std::string page =
      testing::ValueOrDie(ReadTextFile(ESPALIER_SOURCE_DIR "/docs/methods.md"));
  for (const Entry* entry : entries) {
    std::string formula;  // a table cell escapes |
    for (const char c : std::string(entry->formula))
      formula += c == '|' ? "\\|" : std::string(1, c);
    const std::string row =
        std::string("| `") + entry->name + "` | " + formula + " | " + entry->source + " |\n";
    EXPECT_NE(page.find(row), std::string::npos) << "docs/methods.md lacks the row\n" << row;
  }
}

TEST(MethodsPage, NamesEveryCriterion) { ExpectRows(AllCriteria()); }
TEST(MethodsPage, NamesEveryGranularity) { ExpectRows(AllGranularities()); }
TEST(MethodsPage, NamesEveryAllocation) { ExpectRows(AllAllocations()); }
TEST(MethodsPage, NamesEverySchedule) { ExpectRows(AllSchedules()); }
TEST(MethodsPage, NamesEveryRegularizer) { ExpectRows(AllRegularizers()); }
TEST(MethodsPage, NamesEveryDynamicMethod) { ExpectRows(AllDynamicMethods()); }

}  // namespace
}  // namespace espalier
