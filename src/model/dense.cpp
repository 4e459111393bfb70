#include "dense.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "few_rows.h"
#include "reflect/model/product.h"

namespace reflect {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

using LinearPointwise = at::Tensor(const at::Tensor&, const at::Tensor&,
                                   const std::optional<at::Tensor>&, std::string_view,
                                   c10::List<std::optional<at::Scalar>>,
                                   std::optional<std::string_view>);

// oneDNN's fp32 kernel for 16 to 31 rows takes longer than two calls with half of them.
bool is_slow_in_onednn(std::int64_t rows) {
  return rows >= 16 && rows < 32;
}

// oneDNN's a [M, K] times b [N, K] transposed; either may be a transposed view, b packed.
at::Tensor onednn_linear(const at::Tensor& a, const at::Tensor& b) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                             .typed<LinearPointwise>();
  return op.call(a, b, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), std::nullopt);
}

at::Tensor onednn_product(const at::Tensor& a, const at::Tensor& b) {
  if (!is_slow_in_onednn(a.size(0))) return onednn_linear(a, b);
  const std::int64_t half = a.size(0) / 2;
  return at::cat({onednn_linear(a.narrow(0, 0, half), b),
                  onednn_linear(a.narrow(0, half, a.size(0) - half), b)});
}

// x W^T without autograd: decoding and scoring.
at::Tensor plain_dense(const at::Tensor& x, const at::Tensor& weight) {
  if (weight.is_mkldnn()) return onednn_linear(x, weight);
  return is_few_rows(x, weight) ? few_rows_product(x, weight) : product(x, weight.t());
}

// A MadeAgain among what a function saves; what it holds is freed when it was used.
struct SavedAgain : torch::CustomClassHolder {
  explicit SavedAgain(MadeAgain saved) : again(std::move(saved)) {}
  MadeAgain again;
};

void save_again(AutogradContext* ctx, const MadeAgain& again) {
  ctx->saved_data["again"] = c10::IValue::make_capsule(c10::make_intrusive<SavedAgain>(again));
}

// `part` made again, or what was kept in its place.
at::Tensor saved_or_again(AutogradContext* ctx, TensorAgain MadeAgain::*part,
                          const at::Tensor& kept) {
  const auto saved =
      c10::static_intrusive_pointer_cast<SavedAgain>(ctx->saved_data["again"].toCapsule());
  const TensorAgain again = std::exchange(saved->again.*part, nullptr);
  return again ? again() : kept;
}

// sum += a b; on a GPU within the product, which rounds once and makes no temporary.
void add_product_(const at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  sum.is_cpu() ? sum.add_(product(a, b)) : sum.addmm_(a, b);
}

struct Dense : Function<Dense> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const MadeAgain& again) {
    const bool keeps_x = weight.requires_grad() && !again.input;
    ctx->save_for_backward({keeps_x ? x : at::Tensor(), again.weight ? at::Tensor() : weight});
    save_again(ctx, {weight.requires_grad() ? again.input : TensorAgain(), again.weight});
    return product(x, weight.t());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor& dy = grads[0];
    at::Tensor dx, dweight;
    if (ctx->needs_input_grad(0))
      dx = product(dy, saved_or_again(ctx, &MadeAgain::weight, saved[1]));
    if (ctx->needs_input_grad(1))
      dweight = product(dy.t(), saved_or_again(ctx, &MadeAgain::input, saved[0]));
    return {dx, dweight, at::Tensor()};
  }
};

// y = x W^T + s (z A^T) B^T with z = x or its dropped-out copy. A and B are fp32 parameters; the
// branch computes in x's type, as autocast does.
struct LoraLinear : Function<LoraLinear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const std::optional<at::Tensor>& dropped, const at::Tensor& weight,
                            const at::Tensor& a, const at::Tensor& b, double scale,
                            const MadeAgain& again) {
    const at::Tensor z = dropped.value_or(x);
    const at::Tensor a_cast = a.to(x.scalar_type()), b_cast = b.to(x.scalar_type());
    const at::Tensor inner = product(z, a_cast.t()).mul_(scale);  // [T, rank], scaled
    at::Tensor y = product(x, weight.t());
    add_product_(y, inner, b_cast.t());
    ctx->save_for_backward({again.input ? at::Tensor() : z, again.weight ? at::Tensor() : weight,
                            a_cast, b_cast, inner});
    save_again(ctx, again);
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["dropped"] = dropped.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor z = saved_or_again(ctx, &MadeAgain::input, saved[0]);
    const at::Tensor &a = saved[2], &b = saved[3], &inner = saved[4];
    const at::Tensor dy = grads[0].contiguous();
    const bool dropped = ctx->saved_data["dropped"].toBool();
    const at::Tensor dinner = product(dy, b).mul_(ctx->saved_data["scale"].toDouble());
    const at::Tensor da = product(dinner.t(), z).to(at::kFloat);
    const at::Tensor db = product(dy.t(), inner).to(at::kFloat);
    at::Tensor dx, dz;
    if (ctx->needs_input_grad(0)) {
      dx = product(dy, saved_or_again(ctx, &MadeAgain::weight, saved[1]));
      if (dropped)
        dz = product(dinner, a);
      else
        add_product_(dx, dinner, a);
    }
    return {dx, dz, at::Tensor(), da, db, at::Tensor(), at::Tensor()};
  }
};

// The same without autograd. Casts cost nothing where the adapter already has x's type.
at::Tensor plain_dense_with_lora(const at::Tensor& x, const at::Tensor& weight,
                                 const LoraBranch& branch) {
  const at::Tensor a = branch.pair.a.to(x.scalar_type()), b = branch.pair.b.to(x.scalar_type());
  const at::Tensor inner = plain_dense(branch.dropped.value_or(x), a).mul_(branch.scale);
  at::Tensor y = plain_dense(x, weight);
  return y.is_cpu() ? y.add_(plain_dense(inner, b)) : y.addmm_(inner, b.t());
}

}  // namespace

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  // oneDNN loses on a transposed left side, which weight gradients have.
  const bool rows_first = a.stride(1) == 1 && a.size(0) > 1;
  const bool onednn = a.is_cpu() && a.scalar_type() == at::kFloat && rows_first;
  return onednn ? onednn_product(a, b.t()) : at::mm(a, b);
}

at::Tensor packed_weight(const at::Tensor& weight) {
  constexpr std::int64_t kTokens = 512;  // that the layout is chosen for
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                             .typed<at::Tensor(const at::Tensor&, std::optional<std::int64_t>)>();
  return op.call(weight, kTokens);
}

at::Tensor dense(const at::Tensor& x, const at::Tensor& weight, const MadeAgain& again) {
  if (!at::GradMode::is_enabled()) return plain_dense(x, weight);
  return Dense::apply(x, weight, again);
}

namespace {

// Of one input: dropped out, or not.
at::Tensor lora_sum(const at::Tensor& x, const at::Tensor& weight, const LoraBranch& branch) {
  if (!at::GradMode::is_enabled()) return plain_dense_with_lora(x, weight, branch);
  return LoraLinear::apply(x, branch.dropped, weight, branch.pair.a, branch.pair.b, branch.scale,
                           branch.again);
}

}  // namespace

at::Tensor dense_with_lora(const at::Tensor& x, const at::Tensor& weight,
                           const LoraBranch& branch) {
  if (!branch.pair.magnitude.defined()) return lora_sum(x, weight, branch);
  const at::Tensor norm = row_norms(weight, branch.pair, branch.scale, branch.columns);
  const at::Tensor g = (branch.pair.magnitude / norm).to(x.scalar_type());
  if (!branch.dropped) return lora_sum(x, weight, branch) * g;
  const at::Tensor& z = *branch.dropped;
  const at::Tensor tuned = lora_sum(z, weight, {branch.pair, branch.scale, {}, branch.again}) * g;
  const MadeAgain of_weight{.weight = branch.again.weight};
  return dense(x, weight, of_weight) + (tuned - dense(z, weight, of_weight));
}

}  // namespace reflect
