#include "reflect/data/tokenizer.h"

#include <algorithm>
#include <filesystem>

#include "data/tokenizer_files.h"
#include "data/utf8.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

namespace fs = std::filesystem;

std::string vocabulary_file(const std::string& folder_or_file) {
  if (!fs::is_directory(folder_or_file)) return folder_or_file;
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    const fs::path path = fs::path(folder_or_file) / name;
    if (fs::exists(path)) return path.string();
  }
  fail("tokenizer",
       "{} has neither tokenizer.json nor tokenizer.model; copy the tokenizer's files there",
       folder_or_file);
}

std::string first_bytes(const std::string& path, std::size_t count) {
  const MappedFile file(path);
  return std::string(reinterpret_cast<const char*>(file.data()), std::min(count, file.size()));
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& folder_or_file) {
  const std::string path = vocabulary_file(folder_or_file);
  const TokenizerConfig config = read_tokenizer_config(fs::path(path).parent_path().string());
  if (path.ends_with(".json")) return read_tokenizer_json(path, config);
  return is_tiktoken(first_bytes(path, 4096)) ? read_tiktoken(path, config)
                                              : read_sentencepiece(path, config);
}

std::string decode(const Tokenizer& tokenizer, std::span<const std::int32_t> ids,
                   bool keep_special) {
  StreamDecoder decoder(tokenizer, keep_special);
  std::string text;
  for (const std::int32_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

std::string StreamDecoder::push(std::int32_t id) {
  if (!keep_special_ && tokenizer_.is_special(id)) return "";
  std::string_view bytes = tokenizer_.bytes_of(id);
  if (at_start_ && tokenizer_.strips_leading_space() && bytes.starts_with(' '))
    bytes.remove_prefix(1);
  at_start_ = false;
  held_ += bytes;
  std::string certain;
  std::size_t at = 0;
  while (at < held_.size()) {
    const Utf8Character character = first_character(std::string_view(held_).substr(at));
    if (character.truncated) break;
    certain += character.valid ? std::string_view(held_).substr(at, character.length)
                               : kReplacementCharacter;
    at += character.length;
  }
  held_.erase(0, at);
  return certain;
}

std::string StreamDecoder::finish() {
  if (held_.empty()) return "";
  held_.clear();
  return std::string(kReplacementCharacter);
}

}  // namespace reflect
