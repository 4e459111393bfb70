// All rows of an input through one model, batch by batch into a journal. The ranks of a job score
// a batch each at a time; which rows share a batch does not depend on their number.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reflect/dist/process_group.h"
#include "reflect/score/score_rows.h"
#include "reflect/score/scorer.h"
#include "score/journal.h"
#include "score/row_stream.h"

namespace reflect {

// The lines to score, and how many rows that may be; 0: not known.
struct Portion {
  LineRange lines;
  std::int64_t rows = 0;
};

// The shard's portion of the input, whose lines it counts.
Portion portion_of(const ScoreConfig& config, const Shard& shard);

struct BatchScoring {
  std::string label;     // of the progress line
  std::string identity;  // all that the scores depend on beside the rows
  RowStream::Prepare prepare;
  std::function<std::vector<Json>(const std::vector<RowWork>&)> score;  // a JSON value for each row
  std::function<void()> leave;  // this rank has scored its batch, if it had one: RowScorer::leave
};

// What was scored, and what this job computed of it (the rest was in the journal).
struct ScoredBatches {
  std::vector<std::string> keys;  // in the journal, in the order of the rows
  std::vector<BadRow> bad_rows;
  std::int64_t computed_rows = 0, computed_tokens = 0;  // tokens of all passes
  double seconds = 0;
  std::string speed(const ScoredTokens& tokens) const;  // for people
};

// Consecutive rows whose passes fill 16 forward passes make a batch, which is what a journal holds
// of an interrupted run. `journal` is the first rank's, null on the others. Nothing when a signal
// to any rank ended it, after a batch. A collective.
std::optional<ScoredBatches> score_batches(const ScoreConfig& config, const Portion& portion,
                                           const BatchScoring& scoring, Journal* journal,
                                           ProcessGroup group);

}  // namespace reflect
