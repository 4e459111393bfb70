#include "reflect/score/scorer.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "reflect/base/error.h"
#include "reflect/model/cross_entropy.h"
#include "score/prefix_tree.h"

namespace reflect {

namespace {

constexpr std::int64_t kLogitRows = 256;  // rows of vocabulary that exist at once
constexpr std::size_t kShapeStep = 16;    // what numbers of tokens are rounded up to

at::Tensor to_device(const std::vector<std::int64_t>& values, at::Device device) {
  const auto size = static_cast<std::int64_t>(values.size());
  return at::tensor(values, at::kLong).reshape({size}).to(device);
}

// Repeats the last value up to the next round number: the library builds the code of a matrix
// product anew for every number of rows.
void round_up(std::vector<std::int64_t>& values) {
  values.resize((values.size() + kShapeStep - 1) / kShapeStep * kShapeStep, values.back());
}

// The tokens of a pass that the model reads. The last one of the target predicts nothing.
Ids fed_ids(const Pass& pass) {
  Ids ids = pass.context_ids;
  ids.insert(ids.end(), pass.target_ids.begin(), pass.target_ids.end() - 1);
  return ids;
}

// What to look up in a batch's distributions: each token after each beginning once, however many
// passes ask for it.
struct Lookups {
  std::vector<std::int64_t> wanted;   // [M] in the tree's ids: the tokens that predict, each once
  std::vector<std::int64_t> places;   // [N] in `wanted`
  std::vector<std::int64_t> targets;  // [N]
  std::vector<std::size_t> asked;     // of each pass's targets, one pass after another: into those
};

Lookups lookups_of(const std::vector<const Pass*>& passes, const PrefixTree& tree) {
  Lookups lookups;
  std::vector<std::int64_t> in_wanted(tree.ids.size(), -1);  // of a token in the tree
  std::map<std::pair<std::int64_t, std::int64_t>, std::size_t> known;
  for (std::size_t p = 0; p < passes.size(); ++p) {
    const std::size_t first = passes[p]->context_ids.size() - 1;
    for (std::size_t i = 0; i < passes[p]->target_ids.size(); ++i) {
      const std::pair<std::int64_t, std::int64_t> lookup = {tree.places[p][first + i],
                                                            passes[p]->target_ids[i]};
      const auto [entry, is_new] = known.try_emplace(lookup, known.size());
      if (is_new) {
        std::int64_t& place = in_wanted[static_cast<std::size_t>(lookup.first)];
        if (place < 0) {
          place = static_cast<std::int64_t>(lookups.wanted.size());
          lookups.wanted.push_back(lookup.first);
        }
        lookups.places.push_back(place);
        lookups.targets.push_back(lookup.second);
      }
      lookups.asked.push_back(entry->second);
    }
  }
  return lookups;
}

// log p of targets [N] under the distribution of `head` at hidden states [N, hidden]; float [N],
// CPU.
std::vector<float> target_log_probs(const OutputHead& head, const at::Tensor& hidden,
                                    const at::Tensor& targets) {
  std::vector<float> result;
  result.reserve(targets.numel());
  for (std::int64_t begin = 0; begin < targets.numel(); begin += kLogitRows) {
    const std::int64_t rows = std::min(kLogitRows, targets.numel() - begin);
    const at::Tensor logits = head.logits(hidden.narrow(0, begin, rows));
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
  std::vector<const Pass*> pointers;
  for (const Pass& pass : passes) pointers.push_back(&pass);
  return score_each(pointers);
}

std::vector<PassScore> Scorer::score_each(const std::vector<const Pass*>& passes) const {
  const c10::InferenceMode no_gradients;
  std::vector<PassScore> scores(passes.size());
  std::vector<std::size_t> scored;
  std::vector<Ids> fed;
  for (std::size_t i = 0; i < passes.size(); ++i) {
    scores[i].status = status_before(*passes[i], config_.max_length);
    if (scores[i].status != ScoreStatus::kOk) continue;
    scored.push_back(i);
    fed.push_back(fed_ids(*passes[i]));
    tokens_.given += static_cast<std::int64_t>(fed.back().size());
  }
  for (const std::vector<std::size_t>& batch : plan_batches(fed, config_.max_batch_tokens)) {
    std::vector<const Pass*> members;
    std::vector<const Ids*> texts;
    for (const std::size_t i : batch) {
      members.push_back(passes[scored[i]]);
      texts.push_back(&fed[i]);
    }
    const PrefixTree tree = prefix_tree(texts);
    tokens_.computed += tree.rows.tokens();
    const std::vector<float> all = log_probs(members, tree);
    auto from = all.begin();
    for (const std::size_t i : batch) {
      const auto to = from + static_cast<std::ptrdiff_t>(passes[scored[i]]->target_ids.size());
      PassScore& score = scores[scored[i]];
      if (std::all_of(from, to, [](float p) { return std::isfinite(p); }))
        score.log_probs.assign(from, to);
      else
        score.status = ScoreStatus::kNonFinite;
      from = to;
    }
  }
  return scores;
}

std::vector<float> Scorer::log_probs(const std::vector<const Pass*>& passes,
                                     const PrefixTree& tree) const {
  const at::Device device = model_.runtime().device;
  Lookups lookups = lookups_of(passes, tree);
  for (auto* values : {&lookups.wanted, &lookups.places, &lookups.targets}) round_up(*values);
  std::vector<std::int64_t> ids = tree.ids;
  PackedRows rows = tree.rows;
  round_up(ids);
  if (ids.size() > tree.ids.size()) {  // what fills the batch is a text of its own
    rows.offsets.push_back(static_cast<std::int64_t>(ids.size()));
    rows.parent.push_back(-1);
  }
  const at::Tensor hidden =
      model_.hidden(to_device(ids, device), rows,
                    {.adapter = adapter_, .wanted = to_device(lookups.wanted, device)});
  const std::vector<float> found = target_log_probs(
      model_.head(adapter_), hidden.index_select(0, to_device(lookups.places, device)),
      to_device(lookups.targets, device));
  std::vector<float> all;
  for (const std::size_t i : lookups.asked) all.push_back(found[i]);
  return all;
}

}  // namespace reflect
