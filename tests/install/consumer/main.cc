#include <cstdio>
#include <espalier/runtime.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    espalier::runtime::Model::Open(argv[1]).Check();
  } catch (const espalier::runtime::Error& error) {
    std::puts(error.what());
    return 1;
  }
  return 0;
}
