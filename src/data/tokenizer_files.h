// The readers of the vocabulary files, one for each format.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "data/tokenizer_config.h"
#include "reflect/data/tokenizer.h"

namespace reflect {

// Each throws Error that names `path` and what is wrong in it.
std::unique_ptr<Tokenizer> read_tokenizer_json(const std::string& path,
                                               const TokenizerConfig& config);
std::unique_ptr<Tokenizer> read_tiktoken(const std::string& path, const TokenizerConfig& config);
std::unique_ptr<Tokenizer> read_sentencepiece(const std::string& path,
                                              const TokenizerConfig& config);

// Whether a file that starts so is a tiktoken file.
bool is_tiktoken(std::string_view file_start);

}  // namespace reflect
