// What competitors' 8- and 16-bit kernels need of this machine's CPU.
#ifndef ESPALIER_PEERS_CPU_H_
#define ESPALIER_PEERS_CPU_H_

namespace espalier {

// The largest 8-bit weight that ONNX Runtime and oneDNN advise for this CPU: 127, or 63 where an
// x86 has no VNNI, since there they add two products of 8 bits in 16, which saturate. It costs one
// bit and no time.
int WeightLimitOfThisCpu();

// Does the CPU multiply bf16? Elsewhere libraries emulate it, and their times say nothing.
bool HasBf16Products();

}  // namespace espalier

#endif  // ESPALIER_PEERS_CPU_H_
