// FlushDenormals: while it lives, this thread's vector unit takes denormal numbers as 0 and makes 0
// of them. A gate that fades towards 0 would otherwise cost a hundred cycles per operation.
#ifndef ESPALIER_RUNTIME_DENORMALS_H_
#define ESPALIER_RUNTIME_DENORMALS_H_

#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace espalier {

class FlushDenormals {
 public:
  FlushDenormals() noexcept : saved_(Read()) { Write(saved_ | kMask); }
  ~FlushDenormals() { Write(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__SSE2__)
  using Word = uint32_t;
  static constexpr Word kMask = 0x8040;  // MXCSR: flush to zero (15), denormals are zero (6)
  static Word Read() noexcept { return _mm_getcsr(); }
  static void Write(Word word) noexcept { _mm_setcsr(word); }
#elif defined(__aarch64__)
  using Word = uint64_t;
  static constexpr Word kMask = Word{1} << 24;  // FPCR.FZ
  static Word Read() noexcept {
    Word word = 0;
    asm volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void Write(Word word) noexcept { asm volatile("msr fpcr, %0" : : "r"(word)); }
#else
  using Word = uint32_t;
  static constexpr Word kMask = 0;
  static Word Read() noexcept { return 0; }
  static void Write(Word) noexcept {}
#endif

  Word saved_;
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_DENORMALS_H_
