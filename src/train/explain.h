// Packed rows as a table for people: every token with its role, span type and weight.
#pragma once

#include <ostream>
#include <vector>

#include "reflect/train/training_data.h"

namespace reflect {

struct ExplainInput {
  const TrainingDataOptions& options;  // what `examples` were made with
  const TokenizedCorpus& examples;
  std::vector<Batch> packs;
  const ChatTemplate& chat;
  const Tokenizer& tokenizer;
};

// Prints the first `rows` rows in the order of the packs; reads the text of these again.
void explain(std::ostream& out, const ExplainInput& input, std::int64_t rows);

}  // namespace reflect
