#include "score/embeddings.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/stack.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <unordered_map>

#include "reflect/base/hash.h"
#include "reflect/base/random.h"
#include "reflect/metrics/progress.h"
#include "reflect/model/safetensors.h"
#include "score/facility_location.h"
#include "score/finished.h"

namespace reflect {

namespace {

// Normal entries by a fixed key, [hidden, kEmbeddingSize].
at::Tensor projection(std::int64_t hidden) {
  at::Tensor matrix = at::empty({hidden, kEmbeddingSize}, at::kFloat);
  float* data = matrix.mutable_data_ptr<float>();
  Random random(0, "embedding_projection");
  const double scale = 1 / std::sqrt(static_cast<double>(kEmbeddingSize));
  for (std::int64_t i = 0; i < matrix.numel(); ++i)
    data[i] = static_cast<float>(scale * random.normal());
  return matrix;
}

// The mean hidden state of each row, [rows, hidden] float on the CPU.
at::Tensor mean_hidden(const std::vector<std::vector<std::int32_t>>& texts,
                       const RowScorer& scorer) {
  std::vector<std::int64_t> ids;
  PackedRows packed;
  packed.offsets.push_back(0);
  for (const auto& text : texts) {
    ids.insert(ids.end(), text.begin(), text.end());
    packed.offsets.push_back(static_cast<std::int64_t>(ids.size()));
  }
  const at::Tensor tensor =
      at::from_blob(ids.data(), {static_cast<std::int64_t>(ids.size())}, at::kLong)
          .clone()
          .to(scorer.model().runtime().device);
  const at::Tensor hidden =
      scorer.model().hidden(tensor, packed, {.adapter = scorer.adapter()}).to(at::kFloat);
  std::vector<at::Tensor> means;
  for (std::size_t i = 0; i < texts.size(); ++i)
    means.push_back(hidden.narrow(0, packed.offsets[i], packed.offsets[i + 1] - packed.offsets[i])
                        .mean(0, true));
  return at::cat(means).cpu();
}

std::vector<std::int32_t> conversation(const Record& record, const RowScorer& scorer) {
  const Pass pass = scorer.work_of(record).row.passes.front();
  std::vector<std::int32_t> ids = pass.context_ids;
  ids.insert(ids.end(), pass.target_ids.begin(), pass.target_ids.end());
  const auto window = static_cast<std::size_t>(scorer.model().config().max_position_embeddings);
  if (ids.size() > window) ids.resize(window);
  return ids;
}

// Embeddings on disk, by a hash of the row's content and of all that its scores depend on.
class EmbeddingFile {
 public:
  explicit EmbeddingFile(const ScoreConfig& config)
      : path_(config.output + ".embeddings"), score_key_(score_key(config)) {
    if (score_key_.empty() || !std::filesystem::exists(path_)) return;
    const SafetensorsFile file(path_);
    const at::Tensor keys = file.view("keys"), rows = file.view("embeddings");
    for (std::int64_t i = 0; i < keys.size(0); ++i)
      found_[static_cast<std::uint64_t>(keys.const_data_ptr<std::int64_t>()[i])] =
          rows.select(0, i).clone();
  }
  std::uint64_t key_of(const Record& record) const {
    return content_hash64(score_key_ + content_id(record));
  }
  const at::Tensor* find(std::uint64_t key) const {
    const auto found = found_.find(key);
    return found == found_.end() ? nullptr : &found->second;
  }
  void write(std::vector<std::uint64_t> keys, const at::Tensor& embeddings) const {
    if (score_key_.empty()) return;
    const at::Tensor names =
        at::from_blob(keys.data(), {static_cast<std::int64_t>(keys.size())}, at::kLong);
    write_safetensors(path_, {{"embeddings", embeddings}, {"keys", names}});
  }

 private:
  std::string path_, score_key_;
  std::unordered_map<std::uint64_t, at::Tensor> found_;
};

}  // namespace

at::Tensor embed(const std::vector<Record>& records, const RowScorer& scorer,
                 std::int64_t max_batch_tokens) {
  const c10::InferenceMode no_gradients;
  std::vector<std::vector<std::int32_t>> batch;
  std::vector<at::Tensor> parts;
  std::int64_t tokens = 0;
  const auto run = [&] {
    if (!batch.empty()) parts.push_back(mean_hidden(batch, scorer));
    batch.clear();
    tokens = 0;
  };
  for (const Record& record : records) {
    std::vector<std::int32_t> ids = conversation(record, scorer);
    if (tokens + static_cast<std::int64_t>(ids.size()) > max_batch_tokens) run();
    tokens += static_cast<std::int64_t>(ids.size());
    batch.push_back(std::move(ids));
  }
  run();
  const at::Tensor means = at::cat(parts);
  return means.size(1) > kEmbeddingSize ? means.mm(projection(means.size(1))) : means;
}

std::vector<std::size_t> diverse_rows(const ScoreConfig& config, const ScoredRows& rows,
                                      const ScorerProvider& scorer,
                                      const std::vector<std::size_t>& pool, std::size_t count) {
  constexpr std::size_t kRowsAtOnce = 64;
  const EmbeddingFile file(config);
  std::vector<at::Tensor> embeddings;
  std::vector<std::uint64_t> keys;
  std::vector<Record> missing;
  std::vector<std::size_t> places;  // of the missing ones in `embeddings`
  Progress progress("embed", "rows", static_cast<std::int64_t>(pool.size()), config.runtime.quiet);
  const auto run = [&] {
    if (missing.empty()) return;
    const at::Tensor found = embed(missing, scorer(), config.scorer.max_batch_tokens);
    for (std::size_t i = 0; i < places.size(); ++i)
      embeddings[places[i]] = found.select(0, static_cast<std::int64_t>(i)).clone();
    missing.clear();
    places.clear();
    progress.update(static_cast<std::int64_t>(embeddings.size()));
  };
  std::size_t index = 0;
  rows([&](Json& row) {
    if (!std::binary_search(pool.begin(), pool.end(), index++)) return;
    Record record = record_of(row, "row");
    keys.push_back(file.key_of(record));
    const at::Tensor* known = file.find(keys.back());
    embeddings.push_back(known ? *known : at::Tensor());
    if (known) return;
    missing.push_back(std::move(record));
    places.push_back(embeddings.size() - 1);
    if (missing.size() == kRowsAtOnce) run();
  });
  run();
  progress.finish();
  const at::Tensor all = at::stack(embeddings);
  file.write(keys, all);
  const std::vector<std::size_t> chosen = facility_location(
      centred_directions(all), count, static_cast<std::uint64_t>(config.runtime.seed));
  std::vector<std::size_t> result;
  for (const std::size_t i : chosen) result.push_back(pool[i]);
  return result;
}

}  // namespace reflect
