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

}  // namespace
}  // namespace espalier
