// Embeddings of rows by the scoring model: the mean of its last hidden states.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "score/row_scorer.h"
#include "score/select_rows.h"

namespace reflect {

// Rows of more dimensions than this are projected onto as many random directions (Johnson and
// Lindenstrauss 1984).
inline constexpr std::int64_t kEmbeddingSize = 256;

// The mean over all tokens of the rendered conversation, prompt and response; [rows, size] float.
// A conversation that the window does not hold is cut at its end.
at::Tensor embed(const std::vector<Record>& records, const RowScorer& scorer,
                 std::int64_t max_batch_tokens);

// The rows numbered in `pool`, by facility location. Embeddings are kept in OUTPUT.embeddings, so
// that another selection among the same scores needs none anew.
std::vector<std::size_t> diverse_rows(const ScoreConfig& config, const ScoredRows& rows,
                                      const ScorerProvider& scorer,
                                      const std::vector<std::size_t>& pool, std::size_t count);

}  // namespace reflect
