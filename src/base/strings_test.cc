#include "base/strings.h"

#include "testing/testing.h"

namespace espalier {
namespace {

TEST(IsUtf8, TakesTheFirstAndLastCharacterOfEachLength) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8(std::string_view("\0a\x7f", 3)));
  EXPECT_TRUE(IsUtf8("\xc2\x80 \xdf\xbf"));
  EXPECT_TRUE(IsUtf8("\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf"));
  EXPECT_TRUE(IsUtf8("\xf0\x90\x80\x80 \xf1\x80\x80\x80 \xf4\x8f\xbf\xbf"));
}

TEST(IsUtf8, RefusesOverlongForms) {
  for (const char* text : {"\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf"}) {
    EXPECT_FALSE(IsUtf8(text));
  }
}

TEST(IsUtf8, RefusesSurrogates) {
  EXPECT_FALSE(IsUtf8("\xed\xa0\x80"));
  EXPECT_FALSE(IsUtf8("\xed\xbf\xbf"));
}

TEST(IsUtf8, RefusesWhatIsPastTheLastCharacter) {
  EXPECT_FALSE(IsUtf8("\xf4\x90\x80\x80"));
  EXPECT_FALSE(IsUtf8("\xf5\x80\x80\x80"));
  EXPECT_FALSE(IsUtf8("\xff"));
}

TEST(IsUtf8, RefusesACharacterThatIsCutOff) {
  for (const std::string text : {"\xc2\x80", "\xe1\x80\x80", "\xf1\x80\x80\x80"}) {
    for (size_t size = 1; size < text.size(); ++size) {
      EXPECT_FALSE(IsUtf8(text.substr(0, size)));
      EXPECT_FALSE(IsUtf8(StrCat(text.substr(0, size), "a")));
    }
  }
}

TEST(IsUtf8, RefusesATailWithoutAHead) { EXPECT_FALSE(IsUtf8("a\x80")); }

}  // namespace
}  // namespace espalier
