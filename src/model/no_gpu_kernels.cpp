#include "gpu_kernels.h"
#include "reflect/base/error.h"

namespace reflect::gpu {

namespace {

[[noreturn]] void fail_without_cuda() {
  fail_usage("gpu", "this program was built without CUDA; build the preset cuda");
}

}  // namespace

std::pair<at::Tensor, at::Tensor> rms_norm(const at::Tensor&, const at::Tensor&, double) {
  fail_without_cuda();
}
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor&, const at::Tensor&,
                                               const at::Tensor&, const at::Tensor&, double) {
  fail_without_cuda();
}
at::Tensor rms_norm_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                             const at::Tensor&, const at::Tensor&) {
  fail_without_cuda();
}
at::Tensor swiglu(const at::Tensor&, const at::Tensor&) {
  fail_without_cuda();
}
std::pair<at::Tensor, at::Tensor> swiglu_backward(const at::Tensor&, const at::Tensor&,
                                                  const at::Tensor&) {
  fail_without_cuda();
}
at::Tensor rotate(const at::Tensor&, const at::Tensor&, const at::Tensor&, float) {
  fail_without_cuda();
}
at::Tensor nll(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&) {
  fail_without_cuda();
}
void dequantize(const nf4::Quantized&, const at::Tensor&) {
  fail_without_cuda();
}
void dequantize(const fp8::Quantized&, const at::Tensor&) {
  fail_without_cuda();
}

}  // namespace reflect::gpu
