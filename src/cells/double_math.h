// DoubleMath: the math policy of the oracle, one double at a time. See cells.h for what a policy
// is.
#ifndef ESPALIER_CELLS_DOUBLE_MATH_H_
#define ESPALIER_CELLS_DOUBLE_MATH_H_

#include <cmath>

namespace espalier {

struct DoubleMath {
  using V = double;
  static V Add(V a, V b) { return a + b; }
  static V Sub(V a, V b) { return a - b; }
  static V Mul(V a, V b) { return a * b; }
  static V MulAdd(V a, V b, V c) { return a * b + c; }
  static V Sigmoid(V a) { return 1.0 / (1.0 + std::exp(-a)); }
  static V Tanh(V a) { return std::tanh(a); }
  static V SigmoidTimesTanh(V a, V b) { return Sigmoid(a) * Tanh(b); }
  static V Relu(V a) { return a < 0.0 ? 0.0 : a; }  // keeps NaN
  static V OneMinus(V a) { return 1.0 - a; }
  static V Event(V a, V b) { return a <= b ? 0.0 : a; }
};

}  // namespace espalier

#endif  // ESPALIER_CELLS_DOUBLE_MATH_H_
