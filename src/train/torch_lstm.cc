// The LSTM over packed rows as one autograd function with few large products: the input's for all
// steps at once, and one for each weight's gradient over all rows. libtorch's own adds a [4H, .]
// product a step to each weight's gradient, and its packed form fills a [N, 4H] gradient with zeros
// at every step. Measured against nn::LSTM in docs/measured/speed-zen3.md. Oracle: the textual
// form, cells/lstm.inl.
#include "train/torch_executor.h"

namespace espalier {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Backward through one step's element-wise part; see cells/lstm.inl for forward.
//   do = dh tanh(c')   dc = dc' + dh o (1 - tanh(c')^2)   di = dc g   df = dc c   dg = dc i
// and each times the derivative of its gate's activation. Replaces dc' by dc f.
struct StepGradient {
  const float* gates;   // [size, 4H]: i f g o after activation
  const float* tanh_c;  // [size, H]: tanh(c')
  const float* c;       // [size, H]: c before the step
  const float* dh;      // [size, H]
  float* dc;            // [size, H]
  float* d_gates;       // [size, 4H]: before activation
};

void BackwardStep(const StepGradient& step, int64_t size, int64_t hidden) {
  for (int64_t row = 0; row < size; ++row) {
    const float* i = step.gates + row * 4 * hidden;
    const float* f = i + hidden;
    const float* g = f + hidden;
    const float* o = g + hidden;
    float* __restrict di = step.d_gates + row * 4 * hidden;
    float* __restrict df = di + hidden;
    float* __restrict dg = df + hidden;
    float* __restrict d_o = dg + hidden;
    float* __restrict dc = step.dc + row * hidden;
    const float* tanh_c = step.tanh_c + row * hidden;
    const float* c = step.c + row * hidden;
    const float* dh = step.dh + row * hidden;
    for (int64_t k = 0; k < hidden; ++k) {
      const float dck = dc[k] + dh[k] * o[k] * (1.0f - tanh_c[k] * tanh_c[k]);
      d_o[k] = dh[k] * tanh_c[k] * o[k] * (1.0f - o[k]);
      di[k] = dck * g[k] * i[k] * (1.0f - i[k]);
      df[k] = dck * c[k] * f[k] * (1.0f - f[k]);
      dg[k] = dck * i[k] * (1.0f - g[k] * g[k]);
      dc[k] = dck * f[k];
    }
  }
}

// Not a bare tensor: Function::apply takes no undefined one as an argument.
struct Dropout {
  at::Tensor factors;  // [n, H], or undefined for none
};

class LstmFunction : public torch::autograd::Function<LstmFunction> {
 public:
  // Returns rows [N, H], end h and end c [n, H].
  static variable_list forward(AutogradContext* context, const at::Tensor& rows,
                               const at::Tensor& h, const at::Tensor& c,
                               const at::Tensor& weight_ih, const at::Tensor& weight_hh,
                               const at::Tensor& bias_ih, const at::Tensor& bias_hh,
                               const Dropout& recurrent_dropout,
                               const std::vector<int64_t>& step_sizes) {
    const at::Tensor& dropout = recurrent_dropout.factors;
    const int64_t hidden = weight_hh.size(1);
    const int64_t count = rows.size(0);
    at::Tensor gates = at::addmm(bias_ih + bias_hh, rows, weight_ih.t());
    at::Tensor c_in = at::empty({count, hidden});  // c before each row's step
    at::Tensor h_in = at::empty({count, hidden});  // h before each row's step, dropout applied
    at::Tensor tanh_c = at::empty({count, hidden});
    at::Tensor out = at::empty({count, hidden});
    at::Tensor end_h = h.contiguous().clone();  // rows of running sequences: the present state
    at::Tensor end_c = c.contiguous().clone();
    const at::Tensor weight = weight_hh.t();
    int64_t row = 0;
    for (const int64_t size : step_sizes) {
      const at::Tensor step_gates = gates.narrow(0, row, size);
      at::Tensor step_h = h_in.narrow(0, row, size);
      at::Tensor step_tanh = tanh_c.narrow(0, row, size);
      at::Tensor step_out = out.narrow(0, row, size);
      at::Tensor state_c = end_c.narrow(0, 0, size);
      at::Tensor state_h = end_h.narrow(0, 0, size);
      c_in.narrow(0, row, size).copy_(state_c);
      if (dropout.defined()) {
        at::mul_out(step_h, state_h, dropout.narrow(0, 0, size));
      } else {
        step_h.copy_(state_h);
      }
      at::Tensor sums = step_gates;
      sums.addmm_(step_h, weight);
      step_gates.narrow(1, 0, 2 * hidden).sigmoid_();
      step_gates.narrow(1, 2 * hidden, hidden).tanh_();
      step_gates.narrow(1, 3 * hidden, hidden).sigmoid_();
      const std::vector<at::Tensor> gate = step_gates.chunk(4, 1);
      state_c.mul_(gate[1]).addcmul_(gate[0], gate[2]);
      at::tanh_out(step_tanh, state_c);
      at::mul_out(step_out, gate[3], step_tanh);
      state_h.copy_(step_out);
      row += size;
    }
    context->save_for_backward({rows, weight_ih, weight_hh, dropout, gates, c_in, h_in, tanh_c});
    context->saved_data["step_sizes"] = step_sizes;
    context->saved_data["needs_rows"] = rows.requires_grad();
    return {out, end_h, end_c};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &rows = saved[0], &weight_ih = saved[1], &weight_hh = saved[2];
    const at::Tensor &dropout = saved[3], &gates = saved[4], &c_in = saved[5], &h_in = saved[6];
    const at::Tensor& tanh_c = saved[7];
    const std::vector<int64_t> step_sizes = context->saved_data["step_sizes"].toIntVector();
    const int64_t hidden = weight_hh.size(1);
    const at::Tensor d_out = gradients[0].contiguous();
    at::Tensor dh = gradients[1].contiguous().clone();
    at::Tensor dc = gradients[2].contiguous().clone();
    at::Tensor d_gates = at::empty_like(gates);
    int64_t row = gates.size(0);
    for (auto size = step_sizes.rbegin(); size != step_sizes.rend(); ++size) {
      row -= *size;
      at::Tensor step_dh = dh.narrow(0, 0, *size);
      step_dh.add_(d_out.narrow(0, row, *size));
      const StepGradient step = {gates.data_ptr<float>() + row * 4 * hidden,
                                 tanh_c.data_ptr<float>() + row * hidden,
                                 c_in.data_ptr<float>() + row * hidden,
                                 dh.data_ptr<float>(),
                                 dc.data_ptr<float>(),
                                 d_gates.data_ptr<float>() + row * 4 * hidden};
      BackwardStep(step, *size, hidden);
      at::mm_out(step_dh, d_gates.narrow(0, row, *size), weight_hh);
      if (dropout.defined()) step_dh.mul_(dropout.narrow(0, 0, *size));
    }
    const at::Tensor d_bias = d_gates.sum(0);
    const at::Tensor transposed = d_gates.t();
    at::Tensor d_rows;
    if (context->saved_data["needs_rows"].toBool()) d_rows = at::mm(d_gates, weight_ih);
    return {d_rows,
            dh,
            dc,
            at::mm(transposed, rows),
            at::mm(transposed, h_in),
            d_bias,
            d_bias,
            at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

CellRun RunLstm(const CellWeights& w, const CellRun& start, const std::vector<int64_t>& step_sizes,
                const at::Tensor& dropout) {
  const variable_list end =
      LstmFunction::apply(start.rows, start.h, start.c, w.weight_ih, w.weight_hh, w.bias_ih,
                          w.bias_hh, Dropout{dropout}, step_sizes);
  CellRun run;
  run.rows = end[0];
  run.h = end[1];
  run.c = end[2];
  return run;
}

}  // namespace espalier
