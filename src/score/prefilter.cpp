#include "score/prefilter.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "reflect/base/error.h"
#include "reflect/base/log.h"
#include "score/row_scorer.h"

namespace reflect {

namespace {

Json small_scores(const Json& row) {
  Json scores;
  for (const char* name : {"status", "ifd_ppl", "ifd_loss", "nll_conditional", "nll_direct"})
    scores[name] = row.at("scores").at(name);
  return scores;
}

}  // namespace

PrefilterScore prefilter_score(const Json& json) {
  PrefilterScore score{.status = *score_status_named(json.at("status").get<std::string>())};
  if (score.status != ScoreStatus::kOk) return score;
  score.ifd_ppl = json.at("ifd_ppl").get<double>();
  score.ifd_loss = json.at("ifd_loss").get<double>();
  score.nll_conditional = json.at("nll_conditional").get<double>();
  score.nll_direct = json.at("nll_direct").get<double>();
  return score;
}

Prefilter::Prefilter(const PrefilterConfig& config, std::vector<PrefilterScore> scores,
                     Json identity)
    : config_(config),
      scores_(std::move(scores)),
      passes_(scores_.size()),
      identity_(std::move(identity)) {
  const auto ifd = [&](std::size_t row) {
    return config_.ratio == "ppl" ? scores_[row].ifd_ppl : scores_[row].ifd_loss;
  };
  std::vector<std::size_t> ranked;
  for (std::size_t row = 0; row < scores_.size(); ++row) {
    if (scores_[row].status != ScoreStatus::kOk)
      ++failed_;
    else if (config_.max_ifd > 0 && ifd(row) >= config_.max_ifd)
      ++unhelped_;
    else
      ranked.push_back(row);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [&](std::size_t x, std::size_t y) { return ifd(x) > ifd(y); });
  const auto wanted =
      static_cast<std::size_t>(std::llround(config_.keep * static_cast<double>(scores_.size())));
  passed_ = std::min(wanted, ranked.size());
  for (std::size_t i = 0; i < passed_; ++i) passes_[ranked[i]] = true;
}

PrefilterVerdict Prefilter::verdict(std::size_t row) const {
  if (row >= scores_.size())
    fail("score",
         "the input has more rows than the prefilter saw, {}; leave it as it is until the "
         "run has ended, and run again",
         scores_.size());
  const PrefilterScore& score = scores_[row];
  const auto number = [&](double value) {
    return score.status == ScoreStatus::kOk ? Json(value) : Json();
  };
  const bool held = score.status == ScoreStatus::kOk && !passes_[row];
  return {.scores = {{"status", name_of(score.status)},
                     {"ifd_ppl", number(score.ifd_ppl)},
                     {"ifd_loss", number(score.ifd_loss)},
                     {"nll_conditional", number(score.nll_conditional)},
                     {"nll_direct", number(score.nll_direct)}},
          .status = held ? ScoreStatus::kPrefiltered : score.status};
}

Json Prefilter::meta() const {
  Json json = identity_;
  json["keep"] = config_.keep;
  json["ratio"] = config_.ratio;
  json["max_ifd"] = config_.max_ifd;
  json["rows"] = scores_.size();
  json["passed"] = passed_;
  json["failed"] = failed_;
  json["max_ifd_or_more"] = unhelped_;
  return json;
}

std::string Prefilter::line() const {
  std::string text =
      fmt::format("prefilter: {} of {} rows go on, {} failed", passed_, scores_.size(), failed_);
  if (config_.max_ifd > 0)
    text += fmt::format(", {} have an IFD of {:g} or more", unhelped_, config_.max_ifd);
  return text;
}

void check_prefilter(const ScoreConfig& config) {
  const PrefilterConfig& prefilter = config.prefilter;
  if (!(prefilter.keep > 0 && prefilter.keep <= 1))
    fail_usage("score", "--prefilter.keep {} must be above 0 and at most 1", prefilter.keep);
  if (!(prefilter.max_ifd >= 0))
    fail_usage("score", "--prefilter.max-ifd {} must not be negative; 0 ranks all rows",
               prefilter.max_ifd);
  if (prefilter.model.empty()) return;
  if (config.input == "-")
    fail_usage("score", "--prefilter.model reads the input twice; --input must be a file");
  if (config.selection.policy.starts_with("selective"))
    fail_usage("score",
               "--selection.policy {} compares the candidates of a group, which --prefilter.model "
               "would take apart; leave one of them out",
               config.selection.policy);
}

ScoreConfig prefilter_settings(const ScoreConfig& config) {
  ScoreConfig small = config;
  small.model = config.prefilter.model;
  small.adapter.clear();
  small.base = {};
  small.placement = {};
  small.chat_template = config.prefilter.chat_template;
  small.reverse = false;
  small.span_gain = false;
  if (config.prefilter.dtype != "same") small.runtime.dtype = config.prefilter.dtype;
  return small;
}

std::optional<Prefilter> run_prefilter(const ScoreConfig& config, const Portion& portion,
                                       Journal* journal, const Placement& placement) {
  if (journal && journal->batches() > 0)
    log_info("resuming the prefilter after {} batches", journal->batches());
  Placement whole;
  whole.device = placement.device;
  const RowScorer scorer(prefilter_settings(config), whole);
  ProcessGroup group = placement.group;
  const BatchScoring scoring{
      .label = "prefilter",
      .identity = group.from_rank_0([&] { return scorer.identity().dump(); }),
      .prepare = [&](InputRow row) { return scorer.work_of(std::move(row.record)); },
      .score =
          [&](const std::vector<RowWork>& batch) {
            std::vector<Json> scores;
            for (const Json& row : scorer.score(batch)) scores.push_back(small_scores(row));
            return scores;
          },
      .leave = [] {}};
  const std::optional<ScoredBatches> done = score_batches(config, portion, scoring, journal, group);
  if (!done) return std::nullopt;
  Json all = Json::array();
  for (std::size_t i = 0; journal && i < done->keys.size(); ++i)
    for (Json& row : journal->rows(done->keys[i])) all.push_back(std::move(row));
  if (group.size() > 1) all = Json::parse(group.from_rank_0([&] { return all.dump(); }));
  std::vector<PrefilterScore> scores;
  for (const Json& row : all) scores.push_back(prefilter_score(row));
  const std::size_t rows = scores.size();
  Prefilter prefilter(config.prefilter, std::move(scores), scorer.identity());
  const std::size_t unhelped = prefilter.meta().at("max_ifd_or_more");
  if (placement.first() && 2 * unhelped > rows)
    log_warn(
        "{} of {} rows have an IFD of {:g} or more by the small model and do not go on; does it "
        "know the template {}?",
        unhelped, rows, config.prefilter.max_ifd,
        scorer.identity().at("template").get<std::string>());
  return prefilter;
}

}  // namespace reflect
