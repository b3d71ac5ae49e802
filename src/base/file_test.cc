#include "base/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "testing/testing.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;
using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

TEST(WriteFileAtomic, ReplacesAFileAndLeavesNothingBeside) {
  const TempDir dir;
  ASSERT_OK(WriteTextFileAtomic(dir.path("a"), "one"));
  ASSERT_OK(WriteTextFileAtomic(dir.path("a"), "two"));
  EXPECT_EQ(ValueOrDie(ReadTextFile(dir.path("a"))), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), {}), 1);
}

TEST(WriteFileAtomic, FollowsALink) {
  const TempDir dir;
  ASSERT_OK(WriteTextFileAtomic(dir.path("target"), "one"));
  fs::create_symlink(dir.path("target"), dir.path("link"));
  ASSERT_OK(WriteTextFileAtomic(dir.path("link"), "two"));
  EXPECT_TRUE(fs::is_symlink(dir.path("link")));
  EXPECT_EQ(ValueOrDie(ReadTextFile(dir.path("target"))), "two");
}

TEST(WriteFileAtomic, DoesNotReplaceADevice) {
  ASSERT_OK(WriteTextFileAtomic("/dev/null", "text"));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  ExpectError(WriteTextFileAtomic("/dev/full", "text"), Code::kIo, {"/dev/full", "No space left"});
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST(WriteFileAtomic, RefusesAFolder) {
  const TempDir dir;
  ExpectError(WriteTextFileAtomic(dir.path(), "text"), Code::kIo, {dir.path(), "folder"});
}

TEST(ReadFile, RefusesWhatIsNoRegularFile) {
  const TempDir dir;
  ExpectError(ReadFile(dir.path()).status(), Code::kIo, {"not a regular file"});
  ExpectError(ReadFile(dir.path("none")).status(), Code::kIo, {"cannot open"});
}

}  // namespace
}  // namespace espalier
