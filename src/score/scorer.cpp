#include "reflect/score/scorer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "reflect/base/error.h"
#include "reflect/data/batch.h"
#include "reflect/model/cross_entropy.h"

namespace reflect {

namespace {

constexpr std::int64_t kLogitRows = 256;  // rows of vocabulary that exist at once

at::Tensor to_device(std::vector<std::int64_t>& values, at::Device device) {
  return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kLong)
      .clone()
      .to(device);
}

// Where each target token is predicted, in a batch of passes laid end to end. The last target token
// of a pass predicts nothing, so it is not fed.
struct PackedPasses {
  std::vector<std::int64_t> ids;        // [T]
  std::vector<std::int64_t> positions;  // [N] in ids: the token before each target token
  std::vector<std::int64_t> targets;    // [N]
  PackedRows rows;
};

PackedPasses lay_out(const std::vector<const Pass*>& passes) {
  PackedPasses packed;
  packed.rows.offsets.push_back(0);
  for (const Pass* pass : passes) {
    const std::int64_t begin = packed.rows.tokens();
    packed.ids.insert(packed.ids.end(), pass->context_ids.begin(), pass->context_ids.end());
    packed.ids.insert(packed.ids.end(), pass->target_ids.begin(), pass->target_ids.end() - 1);
    packed.targets.insert(packed.targets.end(), pass->target_ids.begin(), pass->target_ids.end());
    const std::int64_t first = begin + static_cast<std::int64_t>(pass->context_ids.size()) - 1;
    for (std::size_t i = 0; i < pass->target_ids.size(); ++i)
      packed.positions.push_back(first + static_cast<std::int64_t>(i));
    packed.rows.offsets.push_back(begin + pass->length() - 1);
  }
  return packed;
}

// log p of targets [N] under the model's distribution at hidden states [N, hidden]; float [N], CPU.
std::vector<float> target_log_probs(const Llama& model, const at::Tensor& hidden,
                                    const at::Tensor& targets) {
  std::vector<float> result;
  result.reserve(targets.numel());
  for (std::int64_t begin = 0; begin < targets.numel(); begin += kLogitRows) {
    const std::int64_t rows = std::min(kLogitRows, targets.numel() - begin);
    const at::Tensor logits = model.logits(hidden.narrow(0, begin, rows));
    const at::Tensor part =
        target_nll(logits, targets.narrow(0, begin, rows)).neg().cpu().contiguous();
    result.insert(result.end(), part.const_data_ptr<float>(), part.const_data_ptr<float>() + rows);
  }
  return result;
}

ScoreStatus status_before(const Pass& pass, std::int64_t max_length) {
  if (static_cast<std::int64_t>(pass.context_ids.size()) >= max_length)
    return ScoreStatus::kTooLong;
  if (pass.target_ids.empty() || pass.context_ids.empty()) return ScoreStatus::kEmpty;
  return pass.length() > max_length ? ScoreStatus::kTooLong : ScoreStatus::kOk;
}

}  // namespace

std::string_view name_of(ScoreStatus status) {
  switch (status) {
    case ScoreStatus::kOk:
      return "ok";
    case ScoreStatus::kTooLong:
      return "too_long";
    case ScoreStatus::kEmpty:
      return "empty";
    case ScoreStatus::kNonFinite:
      return "non_finite";
  }
  return "unknown";
}

std::optional<ScoreStatus> score_status_named(std::string_view name) {
  for (const ScoreStatus status :
       {ScoreStatus::kOk, ScoreStatus::kTooLong, ScoreStatus::kEmpty, ScoreStatus::kNonFinite})
    if (name == name_of(status)) return status;
  return std::nullopt;
}

double PassScore::mean_nll() const {
  const double sum = std::accumulate(log_probs.begin(), log_probs.end(), 0.0);
  return -sum / static_cast<double>(log_probs.size());
}

Scorer::Scorer(const Llama& model, ScorerConfig config, const Adapter* adapter)
    : model_(model), config_(config), adapter_(adapter) {
  const std::int64_t window = model.config().max_position_embeddings;
  if (config.max_length < 0 || config.max_batch_tokens < 1)
    fail_usage("scorer",
               "--max-length {} must not be negative and --max-batch-tokens {} must be positive",
               config.max_length, config.max_batch_tokens);
  config_.max_length = config.max_length == 0 ? window : std::min(config.max_length, window);
}

std::vector<PassScore> Scorer::score(const std::vector<Pass>& passes) const {
  const c10::InferenceMode no_gradients;
  std::vector<PassScore> scores(passes.size());
  std::vector<std::int64_t> lengths, order;
  std::int64_t capacity = config_.max_batch_tokens;
  for (std::size_t i = 0; i < passes.size(); ++i) {
    scores[i].status = status_before(passes[i], config_.max_length);
    lengths.push_back(passes[i].length());
    if (scores[i].status != ScoreStatus::kOk) continue;
    order.push_back(static_cast<std::int64_t>(i));
    capacity = std::max(capacity, lengths.back());
  }
  for (const Batch& batch : pack(lengths, order, capacity)) {
    std::vector<const Pass*> members;
    for (const std::int64_t i : batch.row_index) members.push_back(&passes[i]);
    const std::vector<float> all = log_probs(members);
    auto from = all.begin();
    for (const std::int64_t i : batch.row_index) {
      const auto to = from + static_cast<std::ptrdiff_t>(passes[i].target_ids.size());
      if (std::all_of(from, to, [](float p) { return std::isfinite(p); }))
        scores[i].log_probs.assign(from, to);
      else
        scores[i].status = ScoreStatus::kNonFinite;
      from = to;
    }
  }
  return scores;
}

std::vector<float> Scorer::log_probs(const std::vector<const Pass*>& passes) const {
  PackedPasses packed = lay_out(passes);
  const at::Device device = model_.runtime().device;
  const at::Tensor hidden =
      model_.hidden(to_device(packed.ids, device), packed.rows, {.adapter = adapter_});
  return target_log_probs(model_, hidden.index_select(0, to_device(packed.positions, device)),
                          to_device(packed.targets, device));
}

}  // namespace reflect
