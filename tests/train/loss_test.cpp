#include "reflect/train/loss.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>

using namespace reflect;

namespace {

struct Case {
  at::Tensor hidden, lm_head, targets, weights;
};

Case make_case(std::int64_t rows, std::int64_t vocab, at::ScalarType dtype) {
  at::manual_seed(3);
  const std::int64_t width = 24;
  return {at::randn({rows, width}).to(dtype), at::randn({vocab, width}).to(dtype),
          at::randint(0, vocab, {rows}, at::kLong), at::rand({rows})};
}

// The same through autograd over the whole [N, V] tensor.
at::Tensor naive_loss(const Case& c) {
  const at::Tensor logits = at::matmul(c.hidden, c.lm_head.t()).to(at::kFloat);
  const at::Tensor log_p = at::log_softmax(logits, 1).gather(1, c.targets.unsqueeze(1));
  return -(log_p.squeeze(1) * c.weights).sum();
}

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).norm() / b.to(at::kDouble).norm()).item<double>();
}

}  // namespace

TEST_CASE("weighted cross-entropy and its gradients equal those over all logits at once") {
  // The second vocabulary is so large that the rows need several chunks.
  const auto [rows, vocab] = GENERATE(std::pair{37, 50}, std::pair{150, 262144});
  Case chunked = make_case(rows, vocab, at::kFloat), naive = make_case(rows, vocab, at::kFloat);
  for (const at::Tensor& tensor : {chunked.hidden, chunked.lm_head, naive.hidden, naive.lm_head})
    tensor.requires_grad_(true);
  const TokenLoss loss =
      weighted_cross_entropy(chunked.hidden, chunked.lm_head, chunked.targets, chunked.weights);
  const at::Tensor expected = naive_loss(naive);
  CHECK(loss.sum.item<double>() == Approx(expected.item<double>()).epsilon(1e-6));
  CHECK((loss.nll * chunked.weights).sum().item<double>() ==
        Approx(expected.item<double>()).epsilon(1e-6));
  (loss.sum * 0.25).backward();
  (expected * 0.25).backward();
  CHECK(relative_difference(chunked.hidden.grad(), naive.hidden.grad()) < 3e-5);
  CHECK(relative_difference(chunked.lm_head.grad(), naive.lm_head.grad()) < 3e-5);
}

TEST_CASE("a frozen output matrix gets no gradient and the hidden states the same one") {
  Case frozen = make_case(20, 64, at::kFloat), trained = make_case(20, 64, at::kFloat);
  frozen.hidden.requires_grad_(true);
  trained.hidden.requires_grad_(true);
  trained.lm_head.requires_grad_(true);
  for (const Case& c : {frozen, trained})
    weighted_cross_entropy(c.hidden, c.lm_head, c.targets, c.weights).sum.backward();
  CHECK_FALSE(frozen.lm_head.grad().defined());
  CHECK(at::equal(frozen.hidden.grad(), trained.hidden.grad()));
}

TEST_CASE("parts of the rows have the dropout masks of all, whatever chunks they fall into") {
  const Case c = make_case(150, 262144, at::kFloat);  // of three chunks
  Adapter adapter;
  adapter.head = LoraPair{at::randn({4, 24}).requires_grad_(true),
                          at::randn({262144, 4}).requires_grad_(true)};
  adapter.dropout = LoraDropout{0.5, 7};
  const OutputHead head(c.lm_head, &adapter);
  const auto loss_of = [&](std::int64_t begin, std::int64_t end) {
    const auto part = [&](const at::Tensor& x) { return x.slice(0, begin, end); };
    return weighted_cross_entropy(part(c.hidden), head, part(c.targets), part(c.weights), begin);
  };
  const auto gradients = [&](const at::Tensor& loss) {
    for (at::Tensor* factor : {&adapter.head->a, &adapter.head->b})
      factor->mutable_grad() = at::Tensor();
    loss.backward();
    return std::pair{adapter.head->a.grad(), adapter.head->b.grad()};
  };
  const TokenLoss all = loss_of(0, 150), first = loss_of(0, 47), second = loss_of(47, 150);
  CHECK(relative_difference(at::cat({first.nll, second.nll}), all.nll) < 1e-5);
  const auto [a, b] = gradients(first.sum + second.sum);
  const auto [whole_a, whole_b] = gradients(all.sum);
  CHECK(relative_difference(a, whole_a) < 1e-4);
  CHECK(relative_difference(b, whole_b) < 1e-4);
  const at::NoGradGuard no_grad;
  const at::Tensor nll =
      at::cat({token_nll(c.hidden.slice(0, 0, 47), head, c.targets.slice(0, 0, 47)),
               token_nll(c.hidden.slice(0, 47), head, c.targets.slice(0, 47), 47)});
  CHECK(relative_difference(nll, all.nll) < 1e-5);
}

TEST_CASE("bf16 states give the fp32 loss within bf16 rounding") {
  Case narrow = make_case(64, 300, at::kBFloat16);
  Case wide = narrow;
  wide.hidden = narrow.hidden.to(at::kFloat);
  wide.lm_head = narrow.lm_head.to(at::kFloat);
  narrow.hidden.requires_grad_(true);
  wide.hidden.requires_grad_(true);
  const TokenLoss loss =
      weighted_cross_entropy(narrow.hidden, narrow.lm_head, narrow.targets, narrow.weights);
  const at::Tensor expected = naive_loss(wide);
  CHECK(loss.sum.scalar_type() == at::kFloat);
  CHECK(loss.sum.item<double>() == Approx(expected.item<double>()).epsilon(2e-3));
  loss.sum.backward();
  expected.backward();
  CHECK(relative_difference(narrow.hidden.grad(), wide.hidden.grad()) < 1e-2);
}

TEST_CASE("without gradient mode the loss is the same and no graph is built") {
  Case c = make_case(20, 64, at::kFloat);
  c.hidden.requires_grad_(true);
  const double with_graph =
      weighted_cross_entropy(c.hidden, c.lm_head, c.targets, c.weights).sum.item<double>();
  const at::NoGradGuard no_grad;
  const TokenLoss loss = weighted_cross_entropy(c.hidden, c.lm_head, c.targets, c.weights);
  CHECK_FALSE(loss.sum.requires_grad());
  CHECK(loss.sum.item<double>() == with_graph);
}
