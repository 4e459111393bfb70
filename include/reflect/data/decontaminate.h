// Whether a row holds text of a benchmark that models are tested on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "reflect/data/ngram.h"
#include "reflect/data/record.h"

namespace reflect {

// What was found, and where it stands.
struct BenchmarkMatch {
  std::string rule;  // "13-gram", "8-gram-ratio" or "whole-prompt"
  std::string file;
  std::size_t line;   // of the benchmark's row, from 1
  std::string ngram;  // the words that agree; of 8-gram-ratio, the first
  double ratio;       // share of the benchmark text's distinct 8-grams that the row holds
};

// The texts of benchmark files: every string of every row, whatever the names of its fields,
// without calculator annotations <<...>>. A row is contaminated by a benchmark text
// - "13-gram": when 13 words of it stand in the row (Brown et al. 2020, arXiv 2005.14165, app. C),
// - "8-gram-ratio": when the row holds at least `ratio` of its distinct 8-grams (Chowdhery et al.
//   2022, arXiv 2204.02311, section 8: 0.7),
// - "whole-prompt": when it has 4 to 7 words and is all of the row's prompt.
// Shorter texts say nothing. Words and equality are those of Words.
class Benchmarks {
 public:
  // Throws Error for a file that cannot be read, a line that is not one JSON object (with its
  // number) and a file without a text of 4 words: what is not read protects nothing.
  Benchmarks(const std::vector<std::string>& files, double ratio = 0.7);

  // Looks at all messages but the system's, and at the response. Of several matches, the first rule
  // in the order above and the first place in the row.
  std::optional<BenchmarkMatch> find(const Record& record) const { return look_in(record).match; }

  // The same, and the highest `ratio` under which there is a match: above 1 where a rule without
  // the ratio finds one, 0 where there is none under any.
  struct Finding {
    std::optional<BenchmarkMatch> match;
    double up_to_ratio = 0;
  };
  Finding look_in(const Record& record) const;

  struct File {
    std::string path;
    std::size_t rows, texts;  // texts: long enough to be looked for
  };
  const std::vector<File>& files() const { return files_; }

 private:
  struct Text {
    std::uint32_t file;
    std::uint32_t line;
    std::uint32_t grams;  // distinct 8-grams
    Words words;
  };
  void read(const std::string& path);
  void add(const Json& value, std::size_t line);
  std::optional<BenchmarkMatch> find_13_gram(const std::vector<Words>& texts) const;
  Finding find_ratio(const std::vector<Words>& texts) const;
  BenchmarkMatch match(std::uint32_t text, std::string rule, std::string ngram, double ratio) const;

  double ratio_;
  std::vector<File> files_;
  std::vector<Text> texts_;
  GramIndex long_grams_{13}, short_grams_{8};
  std::unordered_map<std::string, std::uint32_t> whole_;  // short texts by their words
};

}  // namespace reflect
