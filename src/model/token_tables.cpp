#include "reflect/model/token_tables.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>

#include "dense.h"
#include "dropout.h"
#include "reflect/base/random.h"

namespace reflect {

at::Tensor embedded(const at::Tensor& table, const at::Tensor& ids, const TokenRows* rows) {
  const at::Tensor x = at::embedding(table, ids);
  if (rows == nullptr) return x;
  const at::Tensor hits = ids.unsqueeze(1).eq(rows->ids).nonzero();  // [hits, (position, row)]
  const at::Tensor trained = at::embedding(rows->embedding, hits.select(1, 1));
  return x.index_copy(0, hits.select(1, 0), trained.to(x.scalar_type()));
}

OutputHead::OutputHead(at::Tensor weight, const Adapter* adapter)
    : weight_(std::move(weight)),
      adapter_(adapter),
      dropout_(adapter != nullptr ? adapter->dropout : std::nullopt) {}

const LoraPair* OutputHead::pair() const {
  return adapter_ != nullptr && adapter_->head ? &*adapter_->head : nullptr;
}

const TokenRows* OutputHead::rows() const {
  const bool has = adapter_ != nullptr && adapter_->rows && adapter_->rows->output().defined();
  return has ? &*adapter_->rows : nullptr;
}

at::Tensor OutputHead::logits(const at::Tensor& hidden, std::int64_t first) const {
  at::Tensor all;
  if (const LoraPair* factors = pair()) {
    LoraBranch branch{*factors, adapter_->config.scale(), {}};
    if (dropout_ && dropout_->probability > 0)
      branch.dropped = dropped_out_by_row(hidden, dropout_->probability,
                                          random_key(dropout_->key, "lora-dropout-head"), first);
    all = dense_with_lora(hidden, weight_, branch);
  } else {
    all = dense(hidden, weight_);
  }
  if (const TokenRows* own = rows())
    all.index_copy_(1, own->ids, dense(hidden, own->output().to(hidden.scalar_type())));
  return all;
}

std::vector<at::Tensor> OutputHead::trained() const {
  std::vector<at::Tensor> all;
  const auto add = [&](const at::Tensor& tensor) {
    if (tensor.defined() && tensor.requires_grad()) all.push_back(tensor);
  };
  add(weight_);
  if (const LoraPair* factors = pair())
    for (const at::Tensor* tensor : {&factors->a, &factors->b, &factors->magnitude}) add(*tensor);
  if (const TokenRows* own = rows()) add(own->output());
  return all;
}

}  // namespace reflect
