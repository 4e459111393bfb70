#include "reflect/data/decontaminate.h"

#include <algorithm>
#include <map>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::size_t kLeastWords = 4;
constexpr double kAnyRatio = 2;

// Non-system messages, then the response; the last message comes first.
std::vector<Words> texts_of(const Record& record) {
  std::vector<Words> texts;
  for (auto message = record.messages.rbegin(); message != record.messages.rend(); ++message)
    if (message->role != "system") texts.emplace_back(without_annotations(message->content));
  texts.emplace_back(without_annotations(instruction_fields(record).output));
  return texts;
}

}  // namespace

Benchmarks::Benchmarks(const std::vector<std::string>& files, double ratio) : ratio_(ratio) {
  if (!(ratio > 0 && ratio <= 1))
    fail_usage("decontaminate", "a ratio of {} means nothing; it must be above 0 and at most 1",
               ratio);
  for (const std::string& path : files) read(path);
  for (std::uint32_t i = 0; i < texts_.size(); ++i) {
    const Words& words = texts_[i].words;
    long_grams_.add(i, words);
    texts_[i].grams = static_cast<std::uint32_t>(short_grams_.add(i, words));
    if (words.size() < short_grams_.n()) whole_.emplace(words.text(), i);
  }
  long_grams_.finish();
  short_grams_.finish();
}

void Benchmarks::read(const std::string& path) {
  files_.push_back({path, 0, 0});
  const std::size_t before = texts_.size();
  LineReader lines(path);
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t\r") == line->npos) continue;
    const std::string where = fmt::format("{}:{}", path, lines.line_number());
    add(parse_json_line(*line, where), lines.line_number());
    ++files_.back().rows;
  }
  files_.back().texts = texts_.size() - before;
  if (files_.back().texts == 0)
    fail("decontaminate", "{}: no text of {} words or more in {} rows; is it JSON Lines?", path,
         kLeastWords, files_.back().rows);
}

void Benchmarks::add(const Json& value, std::size_t line) {
  if (value.is_structured()) {
    for (const Json& part : value) add(part, line);
  } else if (value.is_string()) {
    Words words(without_annotations(value.get<std::string>()));
    if (words.size() >= kLeastWords)
      texts_.push_back({static_cast<std::uint32_t>(files_.size() - 1),
                        static_cast<std::uint32_t>(line), 0, std::move(words)});
  }
}

Benchmarks::Finding Benchmarks::look_in(const Record& record) const {
  const std::vector<Words> texts = texts_of(record);
  if (auto found = find_13_gram(texts)) return {std::move(found), kAnyRatio};
  Finding found = find_ratio(texts);
  if (const auto whole = whole_.find(texts.front().text()); whole != whole_.end()) {
    found.up_to_ratio = kAnyRatio;
    if (!found.match) found.match = match(whole->second, "whole-prompt", whole->first, 1);
  }
  return found;
}

std::optional<BenchmarkMatch> Benchmarks::find_13_gram(const std::vector<Words>& texts) const {
  const std::size_t n = long_grams_.n();
  for (const Words& words : texts) {
    const std::vector<std::uint64_t> hashes = words.gram_hashes(n);
    for (std::size_t i = 0; i < hashes.size(); ++i)
      for (const GramIndex::Place& place : long_grams_.find(hashes[i]))
        if (texts_[place.text].words.gram(place.word, n) == words.gram(i, n))
          return match(place.text, "13-gram", std::string(words.gram(i, n)), 0);
  }
  return std::nullopt;
}

Benchmarks::Finding Benchmarks::find_ratio(const std::vector<Words>& texts) const {
  const std::size_t n = short_grams_.n();
  struct Found {
    std::uint32_t count = 0;
    std::string_view first;
  };
  std::map<std::uint32_t, Found> found;  // by benchmark text
  std::vector<std::uint64_t> counted;
  for (const Words& words : texts) {
    const std::vector<std::uint64_t> hashes = words.gram_hashes(n);
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const auto places = short_grams_.find(hashes[i]);
      if (places.empty() || std::find(counted.begin(), counted.end(), hashes[i]) != counted.end())
        continue;
      counted.push_back(hashes[i]);
      for (const GramIndex::Place& place : places) {
        Found& text = found[place.text];
        if (text.count++ == 0) text.first = words.gram(i, n);
      }
    }
  }
  Finding result;
  for (const auto& [text, of_text] : found) {
    const double ratio = static_cast<double>(of_text.count) / texts_[text].grams;
    result.up_to_ratio = std::max(result.up_to_ratio, ratio);
    if (ratio >= ratio_ && !result.match)
      result.match = match(text, "8-gram-ratio", std::string(of_text.first), ratio);
  }
  return result;
}

BenchmarkMatch Benchmarks::match(std::uint32_t text, std::string rule, std::string ngram,
                                 double ratio) const {
  return {std::move(rule), files_[texts_[text].file].path, texts_[text].line, std::move(ngram),
          ratio};
}

}  // namespace reflect
