#include "data/pre_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/json_field.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

SplitBehavior behavior_named(const std::string& name, const std::string& where) {
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  fail("tokenizer", "{}: split behavior '{}' is not known; fetch the file again", where, name);
}

struct Stretch {
  ByteRange range;
  bool match;
};

// Matches and what lies between them, in order.
void find_stretches(const Regex& pattern, std::string_view text, bool invert,
                    std::vector<Stretch>& out) {
  out.clear();
  std::size_t at = 0;
  Regex::Scanner scanner(pattern, text);
  while (const auto match = scanner.next()) {
    if (at != match->begin) out.push_back({{at, match->begin}, invert});
    out.push_back({*match, !invert});
    at = match->end;
  }
  if (at != text.size()) out.push_back({{at, text.size()}, invert});
}

void join(std::vector<ByteRange>& words, std::size_t first, ByteRange range, bool with_last) {
  if (with_last && words.size() > first) {
    words.back().end = range.end;
  } else {
    words.push_back(range);
  }
}

// Appends the words that `stretches` make under `behavior`.
void append_words(const std::vector<Stretch>& stretches, SplitBehavior behavior,
                  std::vector<ByteRange>& words) {
  const std::size_t first = words.size();
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    const auto [range, match] = stretches[i];
    const bool after_match = i > 0 && stretches[i - 1].match;
    switch (behavior) {
      case SplitBehavior::kRemoved:
        if (!match) words.push_back(range);
        break;
      case SplitBehavior::kIsolated:
        words.push_back(range);
        break;
      case SplitBehavior::kMergedWithPrevious:
        join(words, first, range, match && !after_match);
        break;
      case SplitBehavior::kMergedWithNext:
        join(words, first, range, !match && after_match);
        break;
      case SplitBehavior::kContiguous:
        join(words, first, range, i > 0 && match == after_match);
        break;
    }
  }
}

// Rebuilds the words' text: `write(edit, word)` writes one word.
template <class Write>
void rewrite(SplitText& words, Write write) {
  TextEdit edit(words.text);
  std::vector<ByteRange> ranges;
  for (const ByteRange& word : words.ranges) {
    const std::size_t begin = edit.size();
    write(edit, word);
    ranges.push_back({begin, edit.size()});
  }
  words.text = edit.finish();
  words.ranges = std::move(ranges);
}

}  // namespace

PreTokenizer PreTokenizer::byte_level_split(Regex pattern) {
  PreTokenizer result;
  result.steps_.push_back(Split{std::move(pattern), SplitBehavior::kIsolated, false});
  result.byte_level_ = true;
  return result;
}

void PreTokenizer::add(const nlohmann::json& json, const std::string& where, int depth) {
  if (json.is_null()) return;
  const std::string type = json_type(json, depth, where);
  if (byte_level_) fail("tokenizer", "{}: '{}' after ByteLevel is not supported", where, type);
  if (type == "Sequence") {
    for (const auto& part : json_member(json, "pretokenizers", where)) add(part, where, depth + 1);
  } else if (type == "Split") {
    const auto behavior = behavior_named(json_field<std::string>(json, "behavior", where), where);
    const bool invert = json_field_or(json, "invert", false, where);
    steps_.push_back(Split{json_pattern(json, where), behavior, invert});
  } else if (type == "Digits") {
    const bool individual = json_field_or(json, "individual_digits", false, where);
    steps_.push_back(Split{Regex(where, R"(\p{N})"),
                           individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous,
                           false});
  } else if (type == "ByteLevel") {
    add_byte_level(json, where);
  } else if (type == "Metaspace") {
    add_metaspace(json, where);
  } else {
    fail("tokenizer",
         "{}: pre-tokenizer type '{}' is not supported; known are Split, Digits, ByteLevel, "
         "Metaspace and Sequence",
         where, type);
  }
}

void PreTokenizer::add_byte_level(const nlohmann::json& json, const std::string& where) {
  byte_level_ = true;
  if (json_field_or(json, "add_prefix_space", true, where)) steps_.push_back(Prefix{" ", false});
  if (json_field_or(json, "use_regex", true, where))
    steps_.push_back(Split{Regex(where, kGpt2Pattern), SplitBehavior::kIsolated, false});
}

void PreTokenizer::add_metaspace(const nlohmann::json& json, const std::string& where) {
  const auto mark = json_field<std::string>(json, "replacement", where);
  const bool add_prefix = json_field_or(json, "add_prefix_space", true, where);
  const auto scheme =
      json_field_or<std::string>(json, "prepend_scheme", add_prefix ? "always" : "never", where);
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    fail("tokenizer", "{}: prepend_scheme '{}' is not known; it is always, first or never", where,
         scheme);
  }
  steps_.push_back(ReplaceSpaces{mark});
  if (scheme != "never") steps_.push_back(Prefix{mark, scheme == "first"});
  if (json_field_or(json, "split", true, where)) {
    steps_.push_back(Split{Regex::literal(where, mark), SplitBehavior::kMergedWithNext, false});
  }
}

SplitText PreTokenizer::split(AlignedText text, bool at_start) const {
  const std::size_t size = text.size();
  SplitText words{std::move(text), {}};
  if (size > 0) words.ranges.push_back({0, size});
  for (const Step& step : steps_) {
    std::visit([&](const auto& action) { apply(action, words, at_start); }, step);
  }
  return words;
}

void PreTokenizer::apply(const Split& step, SplitText& words, bool) {
  std::vector<ByteRange> result;
  std::vector<Stretch> stretches;
  for (const ByteRange& word : words.ranges) {
    const std::size_t first = result.size();
    find_stretches(step.pattern, words.text.text().substr(word.begin, word.end - word.begin),
                   step.invert, stretches);
    append_words(stretches, step.behavior, result);
    for (std::size_t i = first; i < result.size(); ++i) {
      result[i].begin += word.begin;
      result[i].end += word.begin;
    }
  }
  std::erase_if(result, [](const ByteRange& word) { return word.begin == word.end; });
  words.ranges = std::move(result);
}

void PreTokenizer::apply(const ReplaceSpaces& step, SplitText& words, bool) {
  const std::string_view text = words.text.text();
  if (text.find(' ') == text.npos) return;
  rewrite(words, [&](TextEdit& edit, const ByteRange& word) {
    for (std::size_t at = word.begin; at < word.end;) {
      const std::size_t space = std::min(text.find(' ', at), word.end);
      edit.keep(at, space);
      if (space < word.end) edit.replace(space, space + 1, step.by);
      at = space + 1;
    }
  });
}

void PreTokenizer::apply(const Prefix& step, SplitText& words, bool at_start) {
  const std::string_view text = words.text.text();
  rewrite(words, [&](TextEdit& edit, const ByteRange& word) {
    const bool allowed = !step.only_at_start || (at_start && words.text.origin(word.begin) == 0);
    if (allowed && !text.substr(word.begin).starts_with(step.text))
      edit.insert(word.begin, step.text);
    edit.keep(word.begin, word.end);
  });
}

}  // namespace reflect
