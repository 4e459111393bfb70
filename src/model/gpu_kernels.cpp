#include "gpu_kernels.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "gpu_launch.h"
#include "reflect/base/error.h"

namespace reflect::gpu {

namespace {

// The GPU of a tensor as the current one, and its current stream.
class OnGpuOf {
 public:
  explicit OnGpuOf(const at::Tensor& tensor) : guard_(tensor.device()) {}
  operator CudaStream() const { return c10::cuda::getCurrentCUDAStream().stream(); }

 private:
  c10::cuda::CUDAGuard guard_;
};

void check(const char* error, const char* kernel) {
  if (error != nullptr) fail("gpu", "the kernel {} did not start: {}", kernel, error);
}

Element element_of(const at::Tensor& x) {
  if (x.scalar_type() == at::kFloat) return Element::kFloat;
  if (x.scalar_type() == at::kBFloat16) return Element::kBFloat16;
  fail("gpu", "{} is not supported; use fp32 or bf16", c10::toString(x.scalar_type()));
}

Rows as_rows(const at::Tensor& x) {
  return {element_of(x), x.size(0), x.size(1)};
}

// NF4's tables on the device, made once for each.
at::Tensor nf4_tables(const at::Device& device) {
  static std::mutex mutex;
  static std::map<c10::DeviceIndex, at::Tensor> tables;
  const std::lock_guard lock(mutex);
  at::Tensor& table = tables[device.index()];
  if (!table.defined()) {
    std::array<float, 16 + 256> values{};
    std::ranges::copy(nf4::kValues, values.begin());
    std::ranges::copy(nf4::absmax_values(), values.begin() + 16);
    table = at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kFloat)
                .to(device);
  }
  return table;
}

}  // namespace

std::pair<at::Tensor, at::Tensor> rms_norm(const at::Tensor& x, const at::Tensor& weight,
                                           double eps) {
  at::Tensor y = at::empty_like(x), rstd = at::empty({x.size(0)}, x.options().dtype(at::kFloat));
  check(launch_rms_norm(OnGpuOf(x), as_rows(x), x.const_data_ptr(), weight.const_data_ptr(),
                        y.mutable_data_ptr(), static_cast<float>(eps),
                        rstd.mutable_data_ptr<float>()),
        "rms_norm");
  return {std::move(y), std::move(rstd)};
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& residual,
                                               const at::Tensor& sum, const at::Tensor& weight,
                                               double eps) {
  at::Tensor y = at::empty_like(x), rstd = at::empty({x.size(0)}, x.options().dtype(at::kFloat));
  check(launch_add_rms_norm(OnGpuOf(x), as_rows(x), x.const_data_ptr(), residual.const_data_ptr(),
                            sum.mutable_data_ptr(), weight.const_data_ptr(), y.mutable_data_ptr(),
                            static_cast<float>(eps), rstd.mutable_data_ptr<float>()),
        "add_rms_norm");
  return {std::move(y), std::move(rstd)};
}

at::Tensor rms_norm_backward(const at::Tensor& dy, const at::Tensor& dsum, const at::Tensor& x,
                             const at::Tensor& weight, const at::Tensor& rstd) {
  at::Tensor dx = at::empty_like(x);
  check(launch_rms_norm_backward(OnGpuOf(x), as_rows(x), dy.const_data_ptr(),
                                 dsum.defined() ? dsum.const_data_ptr() : nullptr,
                                 x.const_data_ptr(), weight.const_data_ptr(), dx.mutable_data_ptr(),
                                 rstd.const_data_ptr<float>()),
        "rms_norm_backward");
  return dx;
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  at::Tensor y = at::empty_like(gate);
  check(launch_swiglu(OnGpuOf(gate), as_rows(gate), gate.const_data_ptr(), up.const_data_ptr(),
                      y.mutable_data_ptr()),
        "swiglu");
  return y;
}

std::pair<at::Tensor, at::Tensor> swiglu_backward(const at::Tensor& dy, const at::Tensor& gate,
                                                  const at::Tensor& up) {
  at::Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
  check(launch_swiglu_backward(OnGpuOf(gate), as_rows(gate), dy.const_data_ptr(),
                               gate.const_data_ptr(), up.const_data_ptr(), dgate.mutable_data_ptr(),
                               dup.mutable_data_ptr()),
        "swiglu_backward");
  return {std::move(dgate), std::move(dup)};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                  float direction) {
  at::Tensor y = at::empty_like(x);
  check(launch_rotate(OnGpuOf(x), as_rows(x), cos.size(1), x.const_data_ptr(),
                      cos.const_data_ptr<float>(), sin.const_data_ptr<float>(), direction,
                      y.mutable_data_ptr()),
        "rotate");
  return y;
}

at::Tensor nll(const at::Tensor& logits, const at::Tensor& targets,
               const std::optional<at::Tensor>& weights) {
  at::Tensor result = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  check(launch_nll(OnGpuOf(logits), as_rows(logits), logits.data_ptr(),
                   targets.const_data_ptr<std::int64_t>(),
                   weights ? weights->const_data_ptr<float>() : nullptr,
                   result.mutable_data_ptr<float>()),
        "nll");
  return result;
}

void dequantize(const nf4::Quantized& q, const at::Tensor& out) {
  if (q.size % 2 != 0) fail("gpu", "an NF4 matrix of {} weights; an even number is needed", q.size);
  const at::Tensor tables = nf4_tables(out.device());
  const float* values = tables.const_data_ptr<float>();
  const Nf4Scales scales{q.absmax.const_data_ptr<std::uint8_t>(),
                         q.absmax_scale.const_data_ptr<float>(),
                         q.blocks,
                         q.absmax_mean,
                         values,
                         values + nf4::kValues.size()};
  check(launch_nf4(OnGpuOf(out), element_of(out), q.size, q.codes.const_data_ptr<std::uint8_t>(),
                   scales, out.data_ptr()),
        "nf4");
}

void dequantize(const fp8::Quantized& q, const at::Tensor& out) {
  check(launch_fp8(OnGpuOf(out), {element_of(out), q.codes.size(0), q.codes.size(1)},
                   q.codes.const_data_ptr(), q.scale.const_data_ptr<float>(), out.data_ptr()),
        "fp8");
}

}  // namespace reflect::gpu
