#include "data/added_tokens.h"

#include <algorithm>

#include "data/unicode.h"
#include "data/utf8.h"

namespace reflect {
namespace {

// The last character of `text`, which must be valid and not empty.
Utf8Character last_character(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return first_character(text.substr(begin));
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool word_before =
      begin > 0 && is_word_character(last_character(text.substr(0, begin)).code_point);
  const bool word_after =
      end < text.size() && is_word_character(first_character(text.substr(end)).code_point);
  return !word_before && !word_after;
}

std::size_t skip_space_left(std::string_view text, std::size_t begin) {
  while (begin > 0) {
    const Utf8Character before = last_character(text.substr(0, begin));
    if (!is_white_space(before.code_point)) break;
    begin -= before.length;
  }
  return begin;
}

std::size_t skip_space_right(std::string_view text, std::size_t end) {
  while (end < text.size()) {
    const Utf8Character after = first_character(text.substr(end));
    if (!is_white_space(after.code_point)) break;
    end += after.length;
  }
  return end;
}

}  // namespace

void AddedTokenFinder::add(const AddedToken& token, std::string_view name) {
  if (name.empty()) return;
  begins_[static_cast<unsigned char>(name[0])] = true;
  std::uint32_t node = 0;
  for (const char c : name) {
    const auto next = static_cast<std::uint32_t>(ends_.size());
    const auto [edge, is_new] = edges_.try_emplace(node << 8 | static_cast<unsigned char>(c), next);
    if (is_new) ends_.push_back(nullptr);
    node = edge->second;
  }
  ends_[node] = &token;
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::longest_at(std::string_view text,
                                                                    std::size_t begin) const {
  std::optional<Match> longest;
  std::uint32_t node = 0;
  for (std::size_t at = begin; at < text.size(); ++at) {
    const auto edge = edges_.find(node << 8 | static_cast<unsigned char>(text[at]));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (ends_[node] != nullptr) longest = Match{at + 1, ends_[node]};
  }
  return longest;
}

std::vector<TextPart> AddedTokenFinder::split(std::string_view text, SpecialText special) const {
  std::vector<TextPart> parts;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const bool may_begin = begins_[static_cast<unsigned char>(text[at])];
    const std::optional<Match> match = may_begin ? longest_at(text, at) : std::nullopt;
    if (!match) {
      ++at;
      continue;
    }
    const auto [match_end, token] = *match;
    ByteRange range{at, match_end};
    at = match_end;
    if (token->special && special == SpecialText::kPlain) continue;
    if (token->single_word && !stands_alone(text, range.begin, range.end)) continue;
    if (token->lstrip) range.begin = skip_space_left(text, range.begin);
    if (token->rstrip) range.end = skip_space_right(text, range.end);
    range.begin = std::max(range.begin, done);
    if (done < range.begin) parts.push_back({{done, range.begin}, nullptr});
    parts.push_back({range, token});
    done = range.end;
  }
  if (done < text.size()) parts.push_back({{done, text.size()}, nullptr});
  return parts;
}

void cover_text(std::vector<Token>& tokens, std::size_t text_size) {
  if (tokens.empty()) return;
  std::uint32_t end = 0;
  for (Token& token : tokens) {
    token.begin = end;
    end = token.end = std::max(token.end, end);
  }
  tokens.back().end = static_cast<std::uint32_t>(text_size);
}

}  // namespace reflect
