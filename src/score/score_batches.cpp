#include "score/score_batches.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>

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
                                           const BatchScoring& scoring, Journal& journal) {
  const auto start = std::chrono::steady_clock::now();
  Progress progress(scoring.label, "rows", portion.rows, config.runtime.quiet);
  RowStream rows(
      config.input,
      {.lines = portion.lines, .limit = config.limit, .threads = config.tokenizer_threads},
      scoring.prepare);
  BatchPlan plan(config.scorer.max_batch_tokens, rows);
  ScoredBatches done;
  std::int64_t read = 0;
  for (auto batch = plan.next(); !batch.empty(); batch = plan.next()) {
    if (signal_received() != 0) return std::nullopt;
    done.keys.push_back(key_of(batch, scoring.identity));
    if (!journal.contains(done.keys.back())) {
      journal.append(done.keys.back(), scoring.score(batch));
      for (const RowWork& work : batch) {
        done.computed_rows += !work.row.passes.empty();
        done.computed_tokens += work.tokens();
      }
    }
    progress.update(read += static_cast<std::int64_t>(batch.size()));
  }
  progress.finish();
  done.bad_rows = rows.bad_rows();
  done.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return done;
}

}  // namespace reflect
