#include "attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "block_attention.h"
#include "decode_attention.h"

namespace reflect {

namespace {

// [n, heads * d] as [1, heads, n, d], each key head repeated for the query heads that share it.
at::Tensor as_heads(const at::Tensor& x, std::int64_t heads, std::int64_t repeat) {
  at::Tensor split = x.reshape({x.size(0), heads, -1}).transpose(0, 1);  // [heads, n, d]
  if (repeat > 1) {
    split = split.unsqueeze(1)
                .expand({heads, repeat, split.size(1), split.size(2)})
                .reshape({heads * repeat, split.size(1), split.size(2)});
  }
  return split.unsqueeze(0);
}

// True where query i (of n, the last of m keys' positions) may see key j.
at::Tensor visible(std::int64_t n, std::int64_t m, std::optional<std::int64_t> window,
                   const at::Device& device) {
  const at::Tensor query = at::arange(m - n, m, device).unsqueeze(1);
  const at::Tensor key = at::arange(m, device).unsqueeze(0);
  at::Tensor mask = key <= query;
  if (window) mask = mask.logical_and(key > query - *window);
  return mask;
}

// One row: q [n, heads * d] at the end of k, v [m, kv_heads * d] -> [n, heads * d].
at::Tensor attend_row(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                      const AttentionShape& shape) {
  const std::int64_t n = q.size(0), m = k.size(0), repeat = shape.heads / shape.kv_heads;
  const bool plain = n == m && (!shape.window || *shape.window >= m);
  std::optional<at::Tensor> mask;
  if (!plain) mask = visible(n, m, shape.window, q.device());
  const at::Tensor out = at::scaled_dot_product_attention(
      as_heads(q, shape.heads, 1), as_heads(k, shape.kv_heads, repeat),
      as_heads(v, shape.kv_heads, repeat), mask, /*dropout_p=*/0.0, /*is_causal=*/plain);
  return out.squeeze(0).transpose(0, 1).reshape({n, -1});
}

// Each row's own and inherited x [n, c], the parents' before its own.
std::vector<at::Tensor> with_inherited(const std::vector<at::Tensor>& parts,
                                       const std::vector<std::int64_t>& parent) {
  std::vector<at::Tensor> whole;
  for (std::size_t r = 0; r < parts.size(); ++r)
    whole.push_back(parent[r] < 0 ? parts[r] : at::cat({whole[parent[r]], parts[r]}));
  return whole;
}

// libtorch's packed kernel for GPUs (FlashAttention-2, Dao 2023, arXiv 2307.08691).
bool can_use_flash_attention(const at::Tensor& q, const PackedRows& rows,
                             const AttentionShape& shape) {
  return q.is_cuda() && q.scalar_type() == at::kBFloat16 && rows.parent.empty() &&
         shape.head_dim % 8 == 0 && shape.head_dim <= 256;
}

at::Tensor flash_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const PackedRows& rows, const AttentionShape& shape,
                           const at::Tensor& offsets) {
  std::int64_t longest = 0;
  for (std::int64_t r = 0; r < rows.rows(); ++r) longest = std::max(longest, rows.length(r));
  std::optional<std::int64_t> keys_before;
  if (shape.window) keys_before = *shape.window - 1;
  const auto heads = [&](const at::Tensor& x, std::int64_t count) {
    return x.view({x.size(0), count, shape.head_dim});
  };
  const at::Tensor out = std::get<0>(at::_flash_attention_forward(
      heads(q, shape.heads), heads(k, shape.kv_heads), heads(v, shape.kv_heads), offsets, offsets,
      longest, longest, /*dropout_p=*/0.0, /*is_causal=*/true,
      /*return_debug_mask=*/false, /*scale=*/std::nullopt, keys_before, /*window_size_right=*/0));
  return out.reshape({q.size(0), -1});
}

}  // namespace

at::Tensor offsets_on(const at::Device& device, const PackedRows& rows) {
  if (device.is_cpu()) return {};
  std::vector<std::int32_t> offsets(rows.offsets.begin(), rows.offsets.end());
  return at::from_blob(offsets.data(), {static_cast<std::int64_t>(offsets.size())}, at::kInt)
      .to(device);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const PackedRows& rows, const AttentionShape& shape,
                     const at::Tensor& offsets) {
  if (can_use_block_attention(q, shape)) return block_attention(q, k, v, rows, shape);
  if (can_use_flash_attention(q, rows, shape))
    return flash_attention(q, k, v, rows, shape,
                           offsets.defined() ? offsets : offsets_on(q.device(), rows));
  if (rows.rows() == 1) return attend_row(q, k, v, shape);
  std::vector<std::int64_t> lengths;
  for (std::int64_t r = 0; r < rows.rows(); ++r) lengths.push_back(rows.length(r));
  // Split, not narrow: its gradient is one concatenation, not a zero-padded sum for each row.
  const auto qs = q.split_with_sizes(lengths);
  auto ks = k.split_with_sizes(lengths), vs = v.split_with_sizes(lengths);
  if (!rows.parent.empty()) {
    ks = with_inherited(ks, rows.parent);
    vs = with_inherited(vs, rows.parent);
  }
  std::vector<at::Tensor> parts;
  for (std::size_t r = 0; r < lengths.size(); ++r)
    parts.push_back(attend_row(qs[r], ks[r], vs[r], shape));
  return at::cat(parts);
}

at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const PackedRows& rows, const AttentionShape& shape, KvCache& cache,
                            std::int64_t layer) {
  at::Tensor out = at::empty_like(q);
  DecodeRows decode;
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    const std::int64_t begin = rows.offsets[r], n = rows.length(r);
    const std::int64_t past = rows.past.empty() ? 0 : rows.past[r], slot = rows.slots[r];
    if (n == 1 && q.is_cpu()) {
      decode.push_back({begin, slot, past + 1});
      continue;
    }
    const at::Tensor keys = cache.keys(layer)[slot], values = cache.values(layer)[slot];
    keys.narrow(0, past, n).copy_(k.narrow(0, begin, n).view({n, shape.kv_heads, -1}));
    values.narrow(0, past, n).copy_(v.narrow(0, begin, n).view({n, shape.kv_heads, -1}));
    const std::int64_t m = past + n;
    out.narrow(0, begin, n)
        .copy_(attend_row(q.narrow(0, begin, n), keys.narrow(0, 0, m).reshape({m, -1}),
                          values.narrow(0, 0, m).reshape({m, -1}), shape));
  }
  if (!decode.empty())
    decode_attention({q, k, v}, {cache.keys(layer), cache.values(layer)}, decode, shape, out);
  return out;
}

}  // namespace reflect
