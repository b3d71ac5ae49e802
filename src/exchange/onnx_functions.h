// The model-local functions of an exported file: what a Graph has and ONNX has no operator for,
// with bodies of standard operators (opset 17), so that any runtime of IR 8 inlines them.
//
//   LastStep(X [T,B,F], lengths [B], last [B,F] or []) -> Y [B,F], last_out [B,F]
//     Y[b] = last_out[b] = lengths[b] > 0 ? X[lengths[b] - 1, b] : last[b]
//
//   MeanOverTime(X [T,B,F], lengths [B], sum [B,F] or [], count [B,1] or [])
//       -> Y [B,F], sum_out [B,F], count_out [B,1]
//     sum_out = sum + sum of X[0 .. lengths[b])    count_out = count + lengths
//     Y = count_out > 0 ? sum_out / count_out : 0
//
//   WithPast(X [T,B,F], lengths [B], past [B,P*F]) -> joined [P+T,B,F], past_out [B,P*F]
//     joined[:, b] = past[b], then X[:, b]    past_out[b] = joined[lengths[b] .. lengths[b] + P, b]
//
//   FullLengths(X [T,B,F]) -> lengths [B], all T
//
//   SplitDirections(V [B,2*S]) -> states [2,B,S], the start of both directions of a layer
//   JoinDirections(states [2,B,S]) -> V [B,2*S], the other way round
//
//   ProjectedLSTM and its kin: onnx_scan.h
//
// A length of 0 is not well defined for LSTM, GRU and RNN in ONNX (ONNX Runtime 1.30 returns zeros
// as the end state), so those run at least one step and the result is put right:
//   ClampLengths(lengths [B]) -> max(lengths, 1)
//   MaskEmpty(Y [T,D,B,H], lengths [B]) -> Y, 0 where lengths[b] = 0
//   EndState(end [D,B,H], start [D,B,H], lengths [B]) -> end, start where lengths[b] = 0
#ifndef ESPALIER_EXCHANGE_ONNX_FUNCTIONS_H_
#define ESPALIER_EXCHANGE_ONNX_FUNCTIONS_H_

#include <onnx/onnx_pb.h>

#include <string>

namespace espalier {

inline constexpr char kFunctionDomain[] = "ai.espalier";
inline constexpr int64_t kOnnxOpset = 17;

// Adds the definition of one of the functions above. Precondition: `name` is one of them.
void AddOnnxFunction(const std::string& name, onnx::ModelProto* model);

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_FUNCTIONS_H_
