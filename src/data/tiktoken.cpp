// tiktoken files: one token a line in base64 with its rank; the form that Llama 3 was published in.
#include <algorithm>
#include <charconv>

#include "data/bpe_tokenizer.h"
#include "data/tokenizer_files.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr int kSpecialTokens = 256;

// Names of Llama 3.1's special tokens, in the order of their ids.
std::vector<std::string> llama3_special_tokens() {
  std::vector<std::string> names = {"<|begin_of_text|>",
                                    "<|end_of_text|>",
                                    "<|reserved_special_token_0|>",
                                    "<|reserved_special_token_1|>",
                                    "<|finetune_right_pad_id|>",
                                    "<|reserved_special_token_2|>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|eom_id|>",
                                    "<|eot_id|>",
                                    "<|python_tag|>"};
  for (int reserved = 3; names.size() < kSpecialTokens; ++reserved)
    names.push_back(fmt::format("<|reserved_special_token_{}|>", reserved));
  return names;
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// Nothing when `text` is not base64 with its padding.
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  text.remove_suffix(padding);
  std::string bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const int value = base64_value(c);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>(bits >> held & 0xFF));
    }
  }
  return bytes;
}

struct RankedToken {
  std::string bytes;
  std::int64_t rank;
};

std::optional<RankedToken> parse_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == line.npos) return std::nullopt;
  auto bytes = decode_base64(line.substr(0, space));
  std::int64_t rank = -1;
  const char* end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(line.data() + space + 1, end, rank);
  if (!bytes || error != std::errc() || stop != end) return std::nullopt;
  return RankedToken{std::move(*bytes), rank};
}

// bytes_of_id by rank; ranks are 0, 1, 2, ... in order.
std::vector<std::string> read_ranks(const std::string& path) {
  std::vector<std::string> tokens;
  LineReader lines(path);
  while (const auto line = lines.next()) {
    if (line->empty()) continue;
    std::optional<RankedToken> token = parse_line(*line);
    if (!token || token->rank != static_cast<std::int64_t>(tokens.size())) {
      fail("tokenizer",
           "{}:{} is not a token in base64 with the rank {}: '{}'; fetch the file again", path,
           lines.line_number(), tokens.size(), line->substr(0, 80));
    }
    tokens.push_back(std::move(token->bytes));
  }
  return tokens;
}

// tiktoken merges the neighbours whose joined bytes have the lowest rank, whatever their own
// history: every cut of a token into two tokens is a merge.
void add_merges(const std::vector<std::string>& tokens, Bpe& bpe) {
  for (std::size_t rank = 0; rank < tokens.size(); ++rank) {
    const std::string_view bytes = tokens[rank];
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
      const auto left = bpe.id_of(bytes.substr(0, cut));
      const auto right = bpe.id_of(bytes.substr(cut));
      if (left && right) {
        bpe.merges().set(*left, *right,
                         {static_cast<std::uint32_t>(rank), static_cast<std::int32_t>(rank)});
      }
    }
  }
}

}  // namespace

bool is_tiktoken(std::string_view file_start) {
  return parse_line(file_start.substr(0, file_start.find('\n'))).has_value();
}

std::unique_ptr<Tokenizer> read_tiktoken(const std::string& path, const TokenizerConfig& config) {
  BpeTokenizerParts parts;
  parts.bytes_of_id = read_ranks(path);
  Bpe::Options options;
  options.ignore_merges = true;
  parts.bpe = Bpe(options);
  for (std::size_t id = 0; id < parts.bytes_of_id.size(); ++id)
    parts.bpe.add_token(static_cast<std::int32_t>(id), parts.bytes_of_id[id]);
  for (int byte = 0; byte < 256; ++byte) {
    if (!parts.bpe.id_of(std::string(1, static_cast<char>(byte))))
      fail("tokenizer", "{} has no token for the byte {}; fetch the file again", path, byte);
  }
  add_merges(parts.bytes_of_id, parts.bpe);
  parts.pre_tokenizer = PreTokenizer::byte_level_split(Regex("tokenizer", kLlama3Pattern));
  for (const std::string& name : llama3_special_tokens()) {
    const auto id = static_cast<std::int32_t>(parts.bytes_of_id.size());
    parts.added_tokens.push_back({.id = id, .text = name, .special = true});
    parts.bytes_of_id.push_back(name);
    if (name == config.bos_token.value_or("<|begin_of_text|>")) parts.bos_id = id;
    if (name == config.eos_token.value_or("<|end_of_text|>")) parts.eos_id = id;
  }
  parts.adds_bos = config.adds_bos.value_or(true);
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace reflect
