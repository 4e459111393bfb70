// The pre-tokenizers of tokenizer.json: a text cut into words that are encoded one by one.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/aligned_text.h"
#include "data/regex.h"

namespace reflect {

// What becomes of the matches of a split.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitText {
  AlignedText text;
  std::vector<ByteRange> ranges;  // of text.text(): sorted, disjoint, none empty
};

class PreTokenizer {
 public:
  PreTokenizer() = default;  // the whole text is one word
  // `json`: a "pre_tokenizer" object or null; `where` names it in errors. Throws Error for a type
  // that is not known here.
  PreTokenizer(const nlohmann::json& json, const std::string& where) { add(json, where, 0); }
  // Over bytes; every match of `pattern` is a word, and so is what stands between two.
  static PreTokenizer byte_level_split(Regex pattern);

  // `at_start`: the text begins where the user's text begins.
  SplitText split(AlignedText text, bool at_start) const;

  // Whether the vocabulary is one of bytes spelled as visible characters (GPT-2's way).
  bool byte_level() const { return byte_level_; }

 private:
  struct Split {
    Regex pattern;
    SplitBehavior behavior;
    bool invert;
  };
  struct ReplaceSpaces {  // Metaspace's mark for " "
    std::string by;
  };
  struct Prefix {  // put before every word that does not begin with it
    std::string text;
    bool only_at_start;
  };
  using Step = std::variant<Split, ReplaceSpaces, Prefix>;

  void add(const nlohmann::json& json, const std::string& where, int depth);
  void add_byte_level(const nlohmann::json& json, const std::string& where);
  void add_metaspace(const nlohmann::json& json, const std::string& where);
  static void apply(const Split& step, SplitText& words, bool at_start);
  static void apply(const ReplaceSpaces& step, SplitText& words, bool at_start);
  static void apply(const Prefix& step, SplitText& words, bool at_start);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace reflect
