// Where the golden tokenizers are.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace reflect {

inline const std::string kTokenizerGolden = REFLECT_SOURCE_DIR "/tests/golden/tokenizer/";

// Folders of kTokenizerGolden.
inline const std::vector<std::string> kGoldenTokenizers = {
    "llama3", "tiktoken", "gpt2",         "gpt2_prefix",   "qwen2",   "smollm",
    "custom", "llama2",   "llama2_first", "llama2_always", "spm_bpe", "spm_unigram"};

inline nlohmann::json read_golden(const std::string& path) {
  return nlohmann::json::parse(std::ifstream(path));
}

}  // namespace reflect
