// What the functions of decoder_block, dense, attention and elementwise save for their gradients.
#include <algorithm>

#include "block_attention.h"
#include "reflect/model/memory.h"

namespace reflect {

namespace {

constexpr std::int64_t kFloatWidth = 4;

// The terms of one block, in bytes. A row of x is [hidden], of q [query], of gate [inner].
class BlockTerms {
 public:
  BlockTerms(const LlamaConfig& model, const PassLayout& pass)
      : model_(model),
        pass_(pass),
        width_(static_cast<std::int64_t>(c10::elementSize(pass.dtype))),
        hidden_(rows(model.hidden_size)),
        query_(rows(model.num_attention_heads * model.head_dim)),
        key_(rows(model.num_key_value_heads * model.head_dim)),
        inner_(rows(model.intermediate_size)) {}

  std::int64_t hidden() const { return hidden_; }
  std::int64_t inner() const { return inner_; }
  bool trains(Projection p) const { return !pass_.lora || pass_.lora->has_target(name_of(p)); }

  // What a norm saves beside its input, which counts as the residual stream: the scale of each row.
  std::int64_t norm() const { return pass_.tokens * kFloatWidth; }

  // Saved between x and what attention gives back to the residual stream, without x.
  std::int64_t attention() const {
    const std::int64_t log_sums = pass_.tokens * model_.num_attention_heads * kFloatWidth;
    const std::int64_t keys = packed_attention() ? key_ : repeated_key();
    std::int64_t bytes = norm() + query_ + 2 * keys + query_ + log_sums;
    bytes += made_inputs({Projection::kQ, Projection::kK, Projection::kV}, hidden_);
    // Rows that are computed one by one are joined: the joined output is another copy.
    const bool joined = pass_.several_rows && !packed_attention();
    if (joined || has_dropout()) bytes += inputs({Projection::kO}, query_);
    return bytes + branches({Projection::kQ, Projection::kK, Projection::kV, Projection::kO});
  }

  // Saved between the residual stream and the block's output, without the stream.
  std::int64_t feed_forward() const {
    return norm() + 2 * inner_ + made_inputs({Projection::kGate, Projection::kUp}, hidden_) +
           made_inputs({Projection::kDown}, inner_) +
           branches({Projection::kGate, Projection::kUp, Projection::kDown});
  }

  // Beside all that is saved, where the last product's gradient is at its largest: those of its
  // input and of what the input was made of.
  std::int64_t backward() const {
    const auto [out, in] = shape_of(model_, Projection::kDown);
    const std::int64_t again = remakes() ? inner_ : 0;
    if (!pass_.lora) return again + inner_ + std::max(inner_, out * in * width_);
    if (!trains(Projection::kDown)) return 3 * inner_;
    return again + 2 * inner_ + rows(pass_.lora->rank) +
           (out + in) * pass_.lora->rank * kFloatWidth;
  }

 private:
  using Projections = std::initializer_list<Projection>;

  std::int64_t rows(std::int64_t columns) const { return pass_.tokens * columns * width_; }
  // All rows in one call of a kernel that needs no copy of a key head for each query head.
  bool packed_attention() const {
    return pass_.on_cpu ? has_block_attention(pass_.dtype) : pass_.dtype == at::kBFloat16;
  }
  std::int64_t repeated_key() const {
    return model_.num_attention_heads == model_.num_key_value_heads ? key_ : query_;
  }
  bool remakes() const { return pass_.recompute == Recompute::kSelective; }
  bool has_dropout() const { return pass_.lora && pass_.lora->dropout > 0; }

  // The input that trained projections share; with dropout a copy and a mask for each.
  std::int64_t inputs(Projections projections, std::int64_t input) const {
    const auto trained = std::ranges::count_if(projections, [&](auto p) { return trains(p); });
    return input * (has_dropout() ? 2 * trained : std::min<std::int64_t>(trained, 1));
  }

  // The same of inputs that selective recomputation makes again: only dropout's masks are kept.
  std::int64_t made_inputs(Projections projections, std::int64_t input) const {
    const std::int64_t all = inputs(projections, input);
    return !remakes() ? all : has_dropout() ? all / 2 : 0;
  }

  // Of the adapters: the product with A, and copies of both factors in the type of x. DoRA scales
  // an output that it keeps.
  std::int64_t branches(Projections projections) const {
    std::int64_t bytes = 0;
    for (const Projection p : projections) {
      if (!pass_.lora || !trains(p)) continue;
      const auto [out, in] = shape_of(model_, p);
      bytes += rows(pass_.lora->rank);
      if (width_ != kFloatWidth) bytes += (out + in) * pass_.lora->rank * width_;
      if (pass_.lora->dora) bytes += rows(out);
    }
    return bytes;
  }

  const LlamaConfig& model_;
  const PassLayout& pass_;
  std::int64_t width_, hidden_, query_, key_, inner_;
};

}  // namespace

ActivationMemory activation_memory(const LlamaConfig& model, const PassLayout& pass) {
  const BlockTerms block(model, pass);
  const std::int64_t layers = model.num_hidden_layers, x = block.hidden();
  // Ids, positions, targets and weights; cosines and sines.
  const std::int64_t inputs = pass.tokens * (44 + model.head_dim * kFloatWidth);
  const std::int64_t own = block.attention() + x + block.feed_forward();  // x: between both halves
  if (pass.recompute == Recompute::kBlock) {
    const std::int64_t kept = inputs + layers * x + x + block.norm();
    // The output is not needed any more but its gradient is there; then a block with all it saves,
    // its output again, and its backward pass.
    return {kept, own + x + block.backward()};
  }
  // A frozen embedding needs no gradient: nothing of the first norm is saved.
  const bool frozen = pass.lora && pass.lora->token_count() == 0;
  const std::int64_t first = frozen ? x + block.norm() : 0;
  return {inputs + layers * (own + x) - first + x + block.norm(), block.backward()};
}

}  // namespace reflect
