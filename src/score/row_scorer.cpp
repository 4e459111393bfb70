#include "score/row_scorer.h"

#include <cmath>

#include "reflect/base/folder_state.h"
#include "reflect/data/tag_tokens.h"
#include "reflect/model/forward.h"
#include "score/explain.h"

namespace reflect {

namespace {

Json json_of(const std::optional<double>& value) {
  return value ? Json(*value) : Json();
}

Json perplexity(const std::optional<double>& nll) {
  const double value = nll ? std::exp(*nll) : NAN;
  return std::isfinite(value) ? Json(value) : Json();
}

Json json_of(const IfdScores& scores) {
  Json json = {{"status", name_of(scores.status)}};
  if (!scores.failed_pass.empty()) json["failed_pass"] = scores.failed_pass;
  json["ifd_ppl"] = json_of(scores.ifd_ppl);
  json["ifd_loss"] = json_of(scores.ifd_loss);
  json["rifd_ppl"] = json_of(scores.rifd_ppl);
  json["rifd_loss"] = json_of(scores.rifd_loss);
  json["nll_conditional"] = json_of(scores.nll_conditional);
  json["nll_direct"] = json_of(scores.nll_direct);
  json["nll_reverse"] = json_of(scores.nll_reverse);
  json["nll_prompt"] = json_of(scores.nll_prompt);
  json["ppl_conditional"] = perplexity(scores.nll_conditional);
  json["ppl_direct"] = perplexity(scores.nll_direct);
  json["ppl_reverse"] = perplexity(scores.nll_reverse);
  json["ppl_prompt"] = perplexity(scores.nll_prompt);
  json["response_tokens"] = scores.response_tokens;
  json["prompt_tokens"] = scores.prompt_tokens;
  return json;
}

Json json_of(const std::vector<SpanNll>& spans) {
  Json json = Json::object();
  for (const SpanNll& span : spans)
    json[std::string(name_of(span.type))] = {{"nll", span.nll}, {"tokens", span.tokens}};
  return json;
}

Json json_of(const SpanGain& gain) {
  return {{"round", gain.round},
          {"status", name_of(ScoreStatus::kOk)},
          {"nll_with", gain.nll_with},
          {"nll_without", gain.nll_without},
          {"gain", gain.gain},
          {"novel_gain", json_of(gain.novel_gain)},
          {"nll_other", json_of(gain.nll_other)},
          {"other_gain", json_of(gain.other_gain)},
          {"tokens", gain.tokens}};
}

// The scores of a row that a prefilter holds back.
Json held_scores(const PrefilterVerdict& verdict) {
  IfdScores scores;
  scores.status = verdict.status;
  if (verdict.status != ScoreStatus::kPrefiltered) scores.failed_pass = "prefilter";
  return json_of(scores);
}

// The scores of one row, from those of RowWork::passes().
Json student_scores(const RowWork& work, const std::vector<PassScore>& scores) {
  const std::size_t gains_begin = work.row.passes.size();
  const std::vector<PassScore> of_row(scores.begin(),
                                      scores.begin() + static_cast<std::ptrdiff_t>(gains_begin));
  Json json = json_of(ifd_scores(work.row.passes, of_row));
  const PassScore& conditional = of_row.front();
  if (conditional.status != ScoreStatus::kOk || work.row.response_tokens.empty()) return json;
  if (!work.record.spans.empty())
    json["spans"] =
        json_of(span_nlls(work.record.spans, work.row.response_tokens, conditional.log_probs));
  for (std::size_t next = gains_begin; const GainPass& gain : work.gains) {
    const PassScore& without = scores[next++];
    const PassScore* other = gain.other ? &scores[next++] : nullptr;
    if (without.status == ScoreStatus::kOk)
      json["gains"].push_back(json_of(span_gain(gain, {conditional, without, other})));
    else
      json["gains"].push_back({{"round", gain.round}, {"status", name_of(without.status)}});
  }
  return json;
}

Json scores_of(const RowWork& work, const std::vector<PassScore>& scores) {
  Json json = work.prefilter.status == ScoreStatus::kOk ? student_scores(work, scores)
                                                        : held_scores(work.prefilter);
  if (!work.prefilter.scores.is_null()) json["prefilter"] = work.prefilter.scores;
  return json;
}

ScorerConfig scorer_config(const ScoreConfig& config) {
  ScorerConfig scorer = config.scorer;
  if (config.parity == "reference" && scorer.max_length == 0)
    scorer.max_length = kReferenceMaxLength;
  return scorer;
}

}  // namespace

RowScorer::RowScorer(const ScoreConfig& config, const Placement& placement)
    : config_(config),
      runtime_(start_runtime(config.runtime)),
      tokenizer_(load_tagged_tokenizer(config.model, config.adapter)) {
  if (!reference()) chat_ = ChatTemplate::choose(config.chat_template, config.model);
  if (placement.device) runtime_.device = *placement.device;
  model_ = load_forward_llama(config.model, runtime_, config.base, placement);
  if (!config.adapter.empty())
    adapter_ = read_adapter(config.adapter, model_->config(), runtime_.device);
  scorer_.emplace(*model_, scorer_config(config), adapter_ ? &*adapter_ : nullptr);
  identity_ = make_identity();
}

Json RowScorer::make_identity() const {
  Json json = {{"version", REFLECT_VERSION},
               {"model", config_.model},
               {"model_files", folder_state(config_.model)},
               {"adapter", config_.adapter}};
  if (!config_.adapter.empty()) json["adapter_files"] = folder_state(config_.adapter);
  json["mode"] = config_.parity;
  json["template"] = reference() ? config_.reference.prompt : chat_->name();
  json["dtype"] = name_of_dtype(runtime_.dtype);
  json["storage"] = config_.base.storage;
  json["device"] = config_.runtime.device;
  json["max_length"] = scorer_->max_length();
  json["max_batch_tokens"] = config_.scorer.max_batch_tokens;
  json["reverse"] = config_.reverse;
  json["span_gain"] = config_.span_gain;
  return json;
}

RowWork RowScorer::work_of(Record record, const std::string& other_reflection) const {
  RowWork work;
  if (reference()) {
    work.row = reference_passes(record, config_.reference, *tokenizer_, scorer_->max_length(),
                                config_.reverse);
  } else {
    work.row = fixed_passes(record, *chat_, *tokenizer_, config_.reverse);
    if (config_.span_gain) {
      GainInput input{.response = record.response,
                      .spans = record.spans,
                      .tokens = work.row.response_tokens,
                      .conditional = work.row.passes.front()};
      for (const Token& token : tokenizer_->encode(other_reflection))
        input.other_ids.push_back(token.id);
      work.gains = gain_passes(input);
      if (!work.gains.empty()) work.other_reflection = other_reflection;
    }
  }
  work.record = std::move(record);
  return work;
}

std::vector<Json> RowScorer::score(const std::vector<RowWork>& batch) const {
  std::vector<const Pass*> passes;
  for (const RowWork& work : batch) {
    const std::vector<const Pass*> of_row = work.passes();
    passes.insert(passes.end(), of_row.begin(), of_row.end());
  }
  const std::vector<PassScore> scores = scorer_->score_each(passes);
  std::vector<Json> rows;
  auto from = scores.begin();
  for (const RowWork& work : batch) {
    const auto to = from + static_cast<std::ptrdiff_t>(work.passes().size());
    Record record = work.record;
    record.scores = scores_of(work, {from, to});
    rows.push_back(reflect::json_of(record));
    from = to;
  }
  return rows;
}

std::string RowScorer::explain(const RowWork& work) const {
  const std::vector<const Pass*> passes = work.passes();
  const std::vector<PassScore> scores = scorer_->score_each(passes);
  std::string text = fmt::format("row {}\n", work.record.id);
  for (std::size_t i = 0; i < passes.size(); ++i)
    text += explain_pass(*passes[i], scores[i], *tokenizer_);
  Record record = work.record;
  record.scores = scores_of(work, scores);
  return text + "\nscores " + record.scores.dump(2) + "\n";
}

}  // namespace reflect
