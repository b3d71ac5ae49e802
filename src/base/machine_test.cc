#include "base/machine.h"

#include <gtest/gtest.h>

namespace espalier {
namespace {

TEST(CpuName, IsTheModelName) {
  EXPECT_EQ(
      CpuNameIn("processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC\ncache size\t: 512 KB\n"),
      "AMD EPYC");
}

TEST(CpuName, IsTheBoardOnARaspberryPi) {
  EXPECT_EQ(CpuNameIn("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n"
                      "Revision\t: c03112\nModel\t\t: Raspberry Pi 4 Model B Rev 1.2\n"),
            "Raspberry Pi 4 Model B Rev 1.2");
}

TEST(CpuName, IsTheCodesOfAnArmServer) {
  EXPECT_EQ(CpuNameIn("CPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n"),
            "ARM 0x41 0xd0c");
}

TEST(CpuName, IsUnknownWithoutAnyOfThem) {
  for (const char* text : {"", "\n", ":", "model name\t:", "model name", "hart: 0\n"}) {
    EXPECT_EQ(CpuNameIn(text), "unknown") << text;
  }
}

TEST(Caches, HaveSizesInKilobytesAndMegabytes) {
  EXPECT_EQ(CacheBytesOf("512K"), 512u << 10);
  EXPECT_EQ(CacheBytesOf("2M"), 2u << 20);
  for (const char* text : {"", "K", "512", "512 K", "-1K", "512KB", "2G"}) {
    EXPECT_EQ(CacheBytesOf(text), 0u) << text;
  }
}

TEST(Caches, AreOfSomeSizeOnEveryMachine) {
  EXPECT_GE(NearCacheBytes(), size_t{32} << 10);
  EXPECT_LE(NearCacheBytes(), size_t{1} << 30);
}

}  // namespace
}  // namespace espalier
