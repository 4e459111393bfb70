// The published Selective Reflection-Tuning definition of IFD and r-IFD (arXiv 2402.10110, its
// scripts), kept as it is for comparison: texts are joined as strings and tokenized whole.
#pragma once

#include <string>
#include <string_view>

#include "reflect/score/ifd.h"

namespace reflect {

struct ReferenceConfig {
  std::string prompt = "vicuna";
  void visit(auto& v) {
    v("prompt", prompt, "Prompt template of the reference mode.", {"vicuna", "alpaca", "wiz"});
  }
};

inline constexpr std::int64_t kReferenceMaxLength = 2048;  // the published scripts' default

// The prompt template `name` filled with an instruction and, where not empty, its input.
std::string reference_prompt(std::string_view name, std::string_view instruction,
                             std::string_view input);

// The four passes of a row; without `reverse`, and for an empty
// response, the first two. In a joined text the target begins at the token count of the text
// before its last occurrence (encoded by itself, uncut), so a token across the border counts as
// context; the bare texts are scored from their second token on, cut to max_length minus the
// prompt's tokens plus 1. Text of special tokens becomes special tokens. Nothing left to score
// gives an empty target.
RowPasses reference_passes(const Record& record, const ReferenceConfig& config,
                           const Tokenizer& tokenizer, std::int64_t max_length, bool reverse);

}  // namespace reflect
