// Compiled regular expressions over valid UTF-8 (PCRE2 with JIT).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace reflect {

// Bytes [begin, end) of a text.
struct ByteRange {
  std::size_t begin;
  std::size_t end;
  bool operator==(const ByteRange&) const = default;
};

// Classes such as \s, \w and \p{L} are Unicode's; ^ and $ match at line ends, as in the Oniguruma
// library that tokenizer.json files are written for.
class Regex {
 public:
  // Throws Error (with `op`, the pattern and the reason) when the pattern does not compile.
  Regex(std::string_view op, std::string_view pattern) : Regex(op, pattern, Kind::kPattern) {}
  // Matches exactly `text`.
  static Regex literal(std::string_view op, std::string_view text) {
    return Regex(op, text, Kind::kLiteral);
  }
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // Looks for matches from left to right; one scanner per thread.
  class Scanner {
   public:
    Scanner(const Regex& regex, std::string_view text);
    ~Scanner();
    Scanner(const Scanner&) = delete;
    Scanner& operator=(const Scanner&) = delete;
    // The next match that begins at or after the end of the last one. An
    // empty match right after the last one does not count.
    std::optional<ByteRange> next();

   private:
    struct State;
    int match_at(std::size_t begin) const;
    const Regex& regex_;
    std::string_view text_;
    std::size_t at_ = 0;
    std::optional<std::size_t> last_end_;
    std::unique_ptr<State> state_;
  };

 private:
  enum class Kind { kPattern, kLiteral };
  struct Code;
  Regex(std::string_view op, std::string_view pattern, Kind kind);
  std::unique_ptr<Code> code_;
};

}  // namespace reflect
