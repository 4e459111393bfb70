#include "score/candidates.h"

#include <algorithm>

#include "reflect/base/hash.h"
#include "score/correctness.h"

namespace reflect {

namespace {

std::optional<double> number(const Json& scores, const std::string& name) {
  const auto value = scores.find(name);
  return value != scores.end() && value->is_number() ? std::optional(value->get<double>())
                                                     : std::nullopt;
}

// The mean over the row's corrections, weighted by their tokens.
std::optional<double> gain_of(const Json& scores, const std::string& name) {
  const auto gains = scores.find("gains");
  if (gains == scores.end()) return std::nullopt;
  double sum = 0, tokens = 0;
  for (const Json& gain : *gains) {
    const std::optional<double> value = number(gain, name);
    if (!value) continue;
    const auto weight = gain.at("tokens").get<double>();
    sum += *value * weight;
    tokens += weight;
  }
  return tokens > 0 ? std::optional(sum / tokens) : std::nullopt;
}

std::uint64_t content_of(const Record& record) {
  const std::string hash = content_id(record);
  return content_hash64(hash) | 1;
}

Words words_of(const Record& record) {
  return Words(record.prompt() + "\n" + instruction_fields(record).output);
}

}  // namespace

Candidates::Candidates(const ScoreConfig& config) : config_(config) {
  const double threshold = config.selection.near_duplicates;
  if (threshold > 0)
    near_.emplace(
        NearDuplicateConfig{.lowest_threshold = std::max(0.05, threshold - kNearDuplicateSweep),
                            .seed = static_cast<std::uint64_t>(config.runtime.seed)});
  if (!config.decontaminate.empty())
    benchmarks_.emplace(config.decontaminate, config.decontaminate_ratio);
}

void Candidates::add(const Json& row) {
  const Json& scores = row.at("scores");
  const SelectionConfig& selection = config_.selection;
  const std::string id = row.at("id").get<std::string>();
  Candidate candidate{.group = row.value("group", "id " + id),
                      .variant = row.value("variant", ""),
                      .status = *score_status_named(scores.at("status").get<std::string>()),
                      .ifd = number(scores, "ifd_" + selection.ratio),
                      .rifd = number(scores, "rifd_" + selection.ratio),
                      .gain = gain_of(scores, selection.gain == "novel" ? "novel_gain" : "gain"),
                      .tokens = scores.value("response_tokens", std::int64_t{0})};
  const Record record = record_of(row, "row " + id);
  candidate.correct = correctness(record, selection.correct);
  candidate.content = content_of(record);
  if (near_) near_->add(words_of(record));
  if (benchmarks_) {
    Benchmarks::Finding found = benchmarks_->look_in(record);
    contaminated_up_to_.push_back(found.up_to_ratio);
    candidate.contaminated = found.match.has_value();
    if (found.match) contaminated_.emplace(list_.size(), std::move(*found.match));
  }
  if (!config_.prefilter.model.empty())
    prefilter_scores_.push_back(prefilter_score(scores.at("prefilter")));
  list_.push_back(std::move(candidate));
  ids_.push_back(id);
}

}  // namespace reflect
