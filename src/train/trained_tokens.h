// Which tokens stand for tags in a run, and which token ids it trains the rows of.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "reflect/data/tag_tokens.h"
#include "reflect/train/train.h"

namespace reflect {

// The tokenizer of config.model with the tag tokens that are asked for, else those of the adapter
// or of the model that the run goes on from. A fresh adapter gets their rows among
// config.lora.trainable_tokens, and token_ids are set.
std::unique_ptr<Tokenizer> tokenizer_of(TrainConfig& config);

// Rows that a fresh adapter trains, without a look at the tokenizer.
void count_tag_rows(const TrainConfig& config, LoraConfig& lora);

// Ids of tokens named by number, by the text of a special or added token, or by a text that is one
// token. Throws Error (usage) for another text.
std::vector<std::int64_t> token_ids_of(const std::vector<std::string>& names,
                                       const Tokenizer& tokenizer);

}  // namespace reflect
