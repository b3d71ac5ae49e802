// An exported network whose LSTMs have 8-bit weights, in the form that ONNX Runtime has kernels
// for: each LSTM node becomes com.microsoft's DynamicQuantizeLSTM, which quantises its activations
// in every call. There is no such operator for the GRU.
#ifndef ESPALIER_EXCHANGE_ONNX_QUANTIZED_H_
#define ESPALIER_EXCHANGE_ONNX_QUANTIZED_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"

namespace espalier {

// `model` is what ExportOnnx made. W [D, 4H, I] and R [D, 4H, H] become s8 [D, I, 4H] and
// [D, H, 4H] with a scale for each column (a row of ours) and zero point 0:
//   q = round(w / scale), scale = max |w| of the column / limit
// `limit`: 127, or 63 for CPUs whose 8-bit products saturate at 16 bits (ONNX Runtime's
// "reduce_range"). Errors: kUnsupported for a model without an LSTM; kBadFormat for one that is not
// ExportOnnx's. Source: ONNX Runtime's contrib operators, DynamicQuantizeLSTM.
Result<std::vector<std::byte>> QuantizeOnnxLstms(std::span<const std::byte> model, int limit);

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_QUANTIZED_H_
