#include "reflect/model/tensor_parallel.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "nf4.h"
#include "reflect/base/error.h"

namespace reflect {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// A group as autograd keeps it.
struct GroupHolder : torch::CustomClassHolder {
  explicit GroupHolder(ProcessGroup of) : group(std::move(of)) {}
  ProcessGroup group;
};

// "f" of the paper.
struct CopiedToRanks : Function<CopiedToRanks> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const ProcessGroup& group) {
    context->saved_data["group"] =
        c10::IValue::make_capsule(c10::make_intrusive<GroupHolder>(group));
    return x;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto holder =
        c10::static_intrusive_pointer_cast<GroupHolder>(context->saved_data["group"].toCapsule());
    const at::Tensor sum = gradients[0].clone(at::MemoryFormat::Contiguous);
    holder->group.all_reduce(sum);
    return {sum, at::Tensor()};
  }
};

// "g" of the paper.
struct SumOfRanks : Function<SumOfRanks> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, ProcessGroup group) {
    context->mark_dirty({x});
    group.all_reduce(x);
    return x;
  }

  static variable_list backward(AutogradContext* /*context*/, const variable_list& gradients) {
    return {gradients[0], at::Tensor()};
  }
};

struct InTermsOfRanks : Function<InTermsOfRanks> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, std::int64_t ranks) {
    context->saved_data["ranks"] = ranks;
    return x;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto ranks = static_cast<double>(context->saved_data["ranks"].toInt());
    return {gradients[0] / ranks, at::Tensor()};
  }
};

void require_divides(const char* what, std::int64_t number, std::int64_t ranks) {
  if (number % ranks != 0)
    fail_usage("model",
               "the model's {} {} cannot be cut over {} processes; choose a --tensor_parallel "
               "that divides it, or --placement shard",
               number, what, ranks);
}

}  // namespace

Slice slice_of(const ProcessGroup& group) {
  return {group.rank(), group.size()};
}

LlamaConfig sliced(const LlamaConfig& model, std::int64_t ranks) {
  require_divides("query heads (num_attention_heads)", model.num_attention_heads, ranks);
  require_divides("key heads (num_key_value_heads)", model.num_key_value_heads, ranks);
  require_divides("intermediate_size", model.intermediate_size, ranks);
  LlamaConfig slice = model;
  slice.num_attention_heads /= ranks;
  slice.num_key_value_heads /= ranks;
  slice.intermediate_size /= ranks;
  return slice;
}

std::optional<Projection> cuts_nf4_blocks(const LlamaConfig& model, std::int64_t ranks) {
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(model, p);
    if ((is_cut_by_input(p) ? in : out * in) % (ranks * nf4::kBlock) != 0) return p;
  }
  return std::nullopt;
}

void require_cut(const LlamaConfig& model, const std::string& storage, std::int64_t ranks) {
  sliced(model, ranks);
  if (ranks == 1 || storage != "nf4") return;
  const std::optional<Projection> p = cuts_nf4_blocks(model, ranks);
  if (!p) return;
  const auto [out, in] = shape_of(model, *p);
  fail_usage("model",
             "--tensor_parallel {} cuts {} [{}, {}] into slices of {} weights{}, which are not "
             "whole blocks of NF4 ({} weights); choose a smaller --tensor_parallel, --base.storage "
             "fp8, or --placement shard",
             ranks, name_of(*p), out, in, (is_cut_by_input(*p) ? in : out * in) / ranks,
             is_cut_by_input(*p) ? " a row" : "", nf4::kBlock);
}

void require_slices(const LlamaConfig& model, const std::string& storage, std::int64_t ranks,
                    std::int64_t of_machine) {
  require_cut(model, storage, ranks);
  if (of_machine == 0 || of_machine % ranks != 0)
    fail_usage("model",
               "--tensor_parallel {} must divide the processes of each machine ({}): slices are "
               "exchanged inside a machine; start as many with --launch.nproc",
               ranks, of_machine == 0 ? "they differ in number" : std::to_string(of_machine));
}

bool is_cut_by_input(Projection projection) {
  return projection == Projection::kO || projection == Projection::kDown;
}

at::Tensor sliced(const at::Tensor& weight, Projection projection, const Slice& slice) {
  if (slice.count == 1) return weight;
  const std::int64_t dimension = is_cut_by_input(projection) ? 1 : 0;
  const std::int64_t size = weight.size(dimension) / slice.count;
  return weight.narrow(dimension, slice.index * size, size);
}

LoraPair sliced(const LoraPair& pair, Projection projection, const Slice& slice) {
  if (slice.count == 1) return pair;
  if (is_cut_by_input(projection))
    return {sliced(pair.a, projection, slice).contiguous(), pair.b, pair.magnitude};
  return {pair.a, sliced(pair.b, projection, slice),
          pair.magnitude.defined() ? sliced(pair.magnitude, projection, slice) : at::Tensor()};
}

at::Tensor copied_to_ranks(const at::Tensor& x, const ProcessGroup& group) {
  if (group.size() == 1 || !at::GradMode::is_enabled()) return x;
  return CopiedToRanks::apply(x, group);
}

at::Tensor in_terms_of_ranks(const at::Tensor& x, const ProcessGroup& group) {
  if (group.size() == 1 || !at::GradMode::is_enabled() || !x.requires_grad()) return x;
  return InTermsOfRanks::apply(x, group.size());
}

at::Tensor sum_of_ranks(const at::Tensor& x, const ProcessGroup& group) {
  if (group.size() == 1) return x;
  if (at::GradMode::is_enabled()) return SumOfRanks::apply(x, group);
  ProcessGroup(group).all_reduce(x);
  return x;
}

}  // namespace reflect
