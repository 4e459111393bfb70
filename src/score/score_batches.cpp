#include "score/score_batches.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "reflect/base/hash.h"
#include "reflect/base/signals.h"
#include "reflect/metrics/progress.h"

namespace reflect {

namespace {

// Forward passes that a batch of rows fills: the more, the more texts that begin alike meet in one.
constexpr std::int64_t kForwardPasses = 16;
// Rows that a prefilter holds back fill none.
constexpr std::size_t kMostRows = 4096;

// Consecutive rows whose passes fill some forward passes together (or one row). The plan depends on
// the input and the settings only; a batch is the unit of resume.
class BatchPlan {
 public:
  BatchPlan(std::int64_t max_batch_tokens, RowStream& rows)
      : capacity_(max_batch_tokens * kForwardPasses), rows_(rows) {}

  std::vector<RowWork> next() {
    std::vector<RowWork> batch;
    std::int64_t tokens = 0;
    while (batch.size() < kMostRows && (held_ || (held_ = rows_.next()))) {
      tokens += held_->tokens();
      if (!batch.empty() && tokens > capacity_) break;
      batch.push_back(std::move(*held_));
      held_.reset();
    }
    return batch;
  }

 private:
  std::int64_t capacity_;
  RowStream& rows_;
  std::optional<RowWork> held_;
};

// All that the batch's scores depend on: ids and content of its rows, settings and model.
std::string key_of(const std::vector<RowWork>& batch, const std::string& identity) {
  std::string text = identity;
  for (const RowWork& work : batch) {
    text += json_of(work.record).dump() + "\n" + work.other_reflection + "\n";
    if (!work.prefilter.scores.is_null())
      text.append(name_of(work.prefilter.status)).append(work.prefilter.scores.dump()).append("\n");
  }
  return content_hash(text);
}

std::unordered_set<std::string> lines_of_text(std::string_view text) {
  std::unordered_set<std::string> lines;
  for (std::size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1))
    lines.emplace(text.substr(0, end));
  return lines;
}

// Batches that wait until there is one for each rank, and are then scored side by side.
class Rounds {
 public:
  Rounds(const BatchScoring& scoring, Journal* journal, ProcessGroup group)
      : scoring_(scoring), journal_(journal), group_(group) {
    finished_ = lines_of_text(
        group_.from_rank_0([&] { return fmt::format("{}\n", fmt::join(journal_->keys(), "\n")); }));
  }

  // A batch that is neither in the journal nor was given before is to be scored.
  void add(const std::string& key, std::vector<RowWork> batch) {
    if (finished_.insert(key).second) waiting_.emplace_back(key, std::move(batch));
  }
  bool full() const { return std::ssize(waiting_) == group_.size(); }
  bool empty() const { return waiting_.empty(); }

  // Scores the waiting batches, into the journal. False where a signal to any rank ends the run.
  bool score(ScoredBatches& done) {
    const auto mine = static_cast<std::size_t>(group_.rank());
    std::vector<Json> rows;
    if (mine < waiting_.size()) rows = scoring_.score(waiting_[mine].second);
    scoring_.leave();
    if (journal_ && mine < waiting_.size()) journal_->append(waiting_[mine].first, rows);
    if (group_.size() > 1) exchange(rows);
    for (const auto& [key, batch] : waiting_)
      for (const RowWork& work : batch) {
        done.computed_rows += !work.row.passes.empty();
        done.computed_tokens += work.tokens();
      }
    waiting_.clear();
    const auto signal = static_cast<int>(group_.max(signal_received()));
    if (signal != 0) note_signal(signal);
    return signal == 0;
  }

 private:
  // The other ranks' rows come into the journal, too.
  void exchange(const std::vector<Json>& rows) {
    const auto mine = static_cast<std::size_t>(group_.rank());
    std::string text;
    if (mine > 0 && mine < waiting_.size()) text = waiting_[mine].first + Json(rows).dump();
    const std::vector<std::string> texts = group_.all_texts(text);
    for (std::size_t rank = 1; journal_ && rank < waiting_.size(); ++rank) {
      const std::string& key = waiting_[rank].first;
      if (!texts[rank].starts_with(key))
        fail("score",
             "rank {} has other rows than rank 0; all ranks must run the same command on the same "
             "input",
             rank);
      journal_->append(key, Json::parse(texts[rank].substr(key.size())).get<std::vector<Json>>());
    }
  }

  const BatchScoring& scoring_;
  Journal* journal_;
  ProcessGroup group_;
  std::unordered_set<std::string> finished_;
  std::vector<std::pair<std::string, std::vector<RowWork>>> waiting_;
};

std::size_t count_lines(const std::string& path) {
  LineReader lines(path);
  std::size_t count = 0;
  while (lines.next()) ++count;
  return count;
}

}  // namespace

Portion portion_of(const ScoreConfig& config, const Shard& shard) {
  if (config.input == "-") return {{}, config.limit};
  const std::size_t lines = count_lines(config.input);
  const LineRange range = lines_of(shard, lines);
  const auto rows = static_cast<std::int64_t>(std::min(range.end, lines) - range.begin);
  return {range, config.limit > 0 ? std::min(rows, config.limit) : rows};
}

std::string ScoredBatches::speed(const ScoredTokens& tokens) const {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double share = tokens.given > 0 ? 100.0 * static_cast<double>(tokens.computed) /
                                              static_cast<double>(tokens.given)
                                        : 0;
  return fmt::format(
      "{} rows in {:.2f} s: {:.2f} rows/s, {:.0f} tokens/s; peak memory {} MiB\n"
      "{} of {} tokens computed ({:.1f} %), the others are common beginnings",
      computed_rows, seconds, static_cast<double>(computed_rows) / seconds,
      static_cast<double>(computed_tokens) / seconds, usage.ru_maxrss / 1024, tokens.computed,
      tokens.given, share);
}

std::optional<ScoredBatches> score_batches(const ScoreConfig& config, const Portion& portion,
                                           const BatchScoring& scoring, Journal* journal,
                                           ProcessGroup group) {
  const auto start = std::chrono::steady_clock::now();
  const bool alone = group.size() == 1;
  Progress progress(scoring.label, "rows", portion.rows,
                    config.runtime.quiet || journal == nullptr);
  RowStream rows(
      config.input,
      {.lines = portion.lines, .limit = config.limit, .threads = config.tokenizer_threads},
      scoring.prepare);
  BatchPlan plan(config.scorer.max_batch_tokens, rows);
  Rounds rounds(scoring, journal, group);
  ScoredBatches done;
  std::int64_t read = 0;
  for (auto batch = plan.next(); !batch.empty(); batch = plan.next()) {
    if (alone && signal_received() != 0) return std::nullopt;
    read += static_cast<std::int64_t>(batch.size());
    done.keys.push_back(key_of(batch, scoring.identity));
    rounds.add(done.keys.back(), std::move(batch));
    if (rounds.full() && !rounds.score(done)) return std::nullopt;
    progress.update(read);
  }
  if (!rounds.empty() && !rounds.score(done)) return std::nullopt;
  progress.finish();
  done.bad_rows = rows.bad_rows();
  done.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return done;
}

}  // namespace reflect
