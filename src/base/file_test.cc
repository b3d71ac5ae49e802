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

TEST(WriteFileAtomic, MakesWhatALinkPointsTo) {
  const TempDir dir;
  fs::create_directory(dir.path("sub"));
  fs::create_symlink("sub/target", dir.path("link"));
  ASSERT_OK(CheckWritable(dir.path("link")));
  ASSERT_OK(WriteTextFileAtomic(dir.path("link"), "text"));
  EXPECT_TRUE(fs::is_symlink(dir.path("link")));
  EXPECT_EQ(ValueOrDie(ReadTextFile(dir.path("sub/target"))), "text");
}

TEST(WriteFileAtomic, RefusesLinksThatEndNowhere) {
  const TempDir dir;
  fs::create_symlink(dir.path("none/target"), dir.path("link"));
  fs::create_symlink(dir.path("b"), dir.path("a"));
  fs::create_symlink(dir.path("a"), dir.path("b"));
  for (const char* name : {"link", "a"}) {
    ExpectError(CheckWritable(dir.path(name)), Code::kIo, {dir.path()});
    ExpectError(WriteTextFileAtomic(dir.path(name), "text"), Code::kIo, {dir.path()});
  }
}

TEST(WriteFileAtomic, KeepsTheModeOfWhatItReplaces) {
  const TempDir dir;
  ASSERT_OK(WriteTextFileAtomic(dir.path("a"), "one"));
  fs::permissions(dir.path("a"), fs::perms::owner_read | fs::perms::owner_write);
  ASSERT_OK(WriteTextFileAtomic(dir.path("a"), "two"));
  EXPECT_EQ(fs::status(dir.path("a")).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST(CheckWritable, AgreesWithWriting) {
  const TempDir dir;
  ASSERT_OK(CheckWritable(dir.path("new")));
  ASSERT_OK(CheckWritable("/dev/null"));
  ExpectError(CheckWritable(dir.path()), Code::kIo, {dir.path(), "folder"});
  ExpectError(CheckWritable(dir.path("none/new")), Code::kIo, {"none/new", "No such file"});
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), {}), 0);
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
