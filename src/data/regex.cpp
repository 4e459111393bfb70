#include "data/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "data/utf8.h"
#include "reflect/base/error.h"

namespace reflect {

namespace {

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

std::string message_of(int code) {
  unsigned char buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

// PCRE2's \s takes U+180E for white space; Unicode (and Oniguruma) does not.
std::string with_unicode_spaces(std::string_view pattern) {
  std::string result;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const std::string_view two = pattern.substr(at, 2);
    if (two == "\\s" || two == "\\S") {
      result += two == "\\s" ? "\\p{White_Space}" : "\\P{White_Space}";
      ++at;
    } else if (two.size() == 2 && two[0] == '\\') {
      result += two;
      ++at;
    } else {
      result += pattern[at];
    }
  }
  return result;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Free> compiled;
  bool jit;
};

struct Regex::Scanner::State {
  std::unique_ptr<pcre2_match_data, Free> match;
};

Regex::Regex(std::string_view op, std::string_view pattern, Kind kind) {
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  const std::string source =
      kind == Kind::kLiteral ? std::string(pattern) : with_unicode_spaces(pattern);
  const std::uint32_t options =
      kind == Kind::kLiteral ? PCRE2_UTF | PCRE2_LITERAL
                             : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  std::unique_ptr<pcre2_code, Free> compiled(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(), options, &error,
                    &error_offset, nullptr));
  if (!compiled) {
    fail(op,
         "the regular expression '{}' does not compile: {} at byte {}; write it in PCRE2's "
         "syntax",
         pattern, message_of(error), error_offset);
  }
  const bool jit = pcre2_jit_compile(compiled.get(), PCRE2_JIT_COMPLETE) == 0;
  code_ = std::make_unique<Code>(Code{std::move(compiled), jit});
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Regex::Scanner::Scanner(const Regex& regex, std::string_view text)
    : regex_(regex), text_(text), state_(std::make_unique<State>()) {
  state_->match.reset(pcre2_match_data_create_from_pattern(regex.code_->compiled.get(), nullptr));
}

Regex::Scanner::~Scanner() = default;

std::optional<ByteRange> Regex::Scanner::next() {
  while (at_ <= text_.size()) {
    const int count = match_at(at_);
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0) {
      fail("tokenizer", "the split pattern failed at byte {} of a text: {}; simplify the pattern",
           at_, message_of(count));
    }
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(state_->match.get());
    const ByteRange found{offsets[0], offsets[1]};
    const bool empty = found.begin == found.end;
    if (empty && last_end_ == found.end) {  // an empty match right after the last one is none
      at_ += at_ < text_.size() ? first_character(text_.substr(at_)).length : 1;
      continue;
    }
    at_ = found.end;
    last_end_ = found.end;
    return found;
  }
  return std::nullopt;
}

int Regex::Scanner::match_at(std::size_t begin) const {
  const Code& code = *regex_.code_;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
  if (code.jit) {
    const int count = pcre2_jit_match(code.compiled.get(), subject, text_.size(), begin,
                                      PCRE2_NO_UTF_CHECK, state_->match.get(), nullptr);
    if (count != PCRE2_ERROR_JIT_STACKLIMIT) return count;
  }
  return pcre2_match(code.compiled.get(), subject, text_.size(), begin,
                     PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state_->match.get(), nullptr);
}

}  // namespace reflect
