#include "pipeline/run_lock.h"

#include <unistd.h>

#include <optional>

#include "base/file.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

TEST(RunLock, RefusesASecondOneAndNamesTheProcessOfTheFirst) {
  const TempDir dir;
  const RunLock first = ValueOrDie(RunLock::Acquire(dir.path()));
  ExpectError(RunLock::Acquire(dir.path()).status(), Code::kIo,
              {dir.path() + ": another espalier (process " + std::to_string(::getpid()) +
               ") is running a recipe in this folder"});
}

TEST(RunLock, IsFreeAgainWhenItDies) {
  const TempDir dir;
  std::optional<RunLock> first = ValueOrDie(RunLock::Acquire(dir.path()));
  first.reset();
  EXPECT_OK(RunLock::Acquire(dir.path()));
}

TEST(RunLock, StaysHeldWhenItIsMoved) {
  const TempDir dir;
  RunLock first = ValueOrDie(RunLock::Acquire(dir.path()));
  const RunLock second = std::move(first);
  EXPECT_FALSE(RunLock::Acquire(dir.path()).ok());
}

TEST(RunLock, DoesNotTakeAFileThatAnotherRunLeftForALock) {
  const TempDir dir;
  ASSERT_OK(WriteTextFileAtomic(dir.path(".lock"), "1234567\n"));
  const RunLock lock = ValueOrDie(RunLock::Acquire(dir.path()));
  EXPECT_EQ(ValueOrDie(ReadTextFile(dir.path(".lock"))), std::to_string(::getpid()) + "\n");
}

TEST(RunLock, NamesTheFileThatItCannotMake) {
  const TempDir dir;
  ExpectError(RunLock::Acquire(dir.path("none")).status(), Code::kIo,
              {dir.path("none/.lock"), "cannot open"});
}

}  // namespace
}  // namespace espalier
