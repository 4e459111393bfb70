// From records to rows with scores: builds each row's passes, runs them and writes the numbers.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "reflect/score/score_rows.h"
#include "reflect/score/scorer.h"
#include "score/row_work.h"

namespace reflect {

class RowScorer {
 public:
  // Where ranks hold the model together (`placement`), loading is a collective, and so are passes.
  RowScorer(const ScoreConfig& config, const Placement& placement);
  // This rank scores no more for now: see WeightSource::leave.
  void leave() const { model_->weights().leave(); }

  // Safe to call from several threads. `other_reflection`: text of another row's, with its tags.
  RowWork work_of(Record record, const std::string& other_reflection = "") const;
  // The rows as JSON, each with its `scores`. A row that a prefilter holds back is not run.
  std::vector<Json> score(const std::vector<RowWork>& batch) const;
  // The row's passes token by token, as text.
  std::string explain(const RowWork& work) const;
  // What all scoring so far cost: tokens of passes, and those that were computed.
  ScoredTokens tokens() const { return scorer_->tokens(); }

  // What the scores depend on beside the rows: settings, model, adapter, code version.
  const Json& identity() const { return identity_; }

  const Llama& model() const { return *model_; }
  const Adapter* adapter() const { return adapter_ ? &*adapter_ : nullptr; }

 private:
  bool reference() const { return config_.parity == "reference"; }
  Json make_identity() const;

  ScoreConfig config_;
  Runtime runtime_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<ChatTemplate> chat_;  // of the fixed mode
  std::unique_ptr<Llama> model_;
  std::optional<Adapter> adapter_;
  std::optional<Scorer> scorer_;
  Json identity_;
};

}  // namespace reflect
