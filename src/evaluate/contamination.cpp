#include "evaluate/contamination.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "reflect/base/hash.h"
#include "reflect/data/ngram.h"

namespace reflect {
namespace {

constexpr std::size_t kGramWords = 13;

// Which problems have an n-gram of words. Most have n = 13; shorter problems are one n-gram as a
// whole.
class ProblemIndex {
 public:
  explicit ProblemIndex(const std::vector<Problem>& problems) : found_(problems.size(), false) {
    for (std::uint32_t p = 0; p < problems.size(); ++p) {
      const Words words(problems[p].prompt());
      const std::size_t n = std::min(kGramWords, words.size());
      if (n > 0) indices_.try_emplace(n, n).first->second.add(p, words);
    }
    for (auto& [n, index] : indices_) index.finish();
  }

  void look_into(const Words& words) {
    for (const auto& [n, index] : indices_)
      for (const std::uint64_t hash : words.gram_hashes(n))
        for (const GramIndex::Place& place : index.find(hash)) found_[place.text] = true;
  }

  bool found(std::size_t problem) const { return found_[problem]; }

 private:
  std::map<std::size_t, GramIndex> indices_;  // by n
  std::vector<bool> found_;
};

}  // namespace

Contamination measure_contamination(const std::vector<Problem>& problems,
                                    const std::string& train_rows) {
  Contamination result;
  result.train_rows = train_rows;
  ProblemIndex index(problems);
  std::unordered_set<std::uint64_t> train_prompts;
  RecordReader reader(train_rows);
  while (const std::optional<Record> record = reader.next()) {
    ++result.rows;
    for (const Message& message : record->messages) {
      if (message.role == "system") continue;
      const Words words(message.content);
      index.look_into(words);
      train_prompts.insert(content_hash64(words.text()));
    }
    index.look_into(Words(record->response));
  }
  for (std::size_t p = 0; p < problems.size(); ++p) {
    if (train_prompts.contains(content_hash64(Words(problems[p].prompt()).text()))) {
      result.exact.push_back(problems[p].id);
    } else if (index.found(p)) {
      result.partial.push_back(problems[p].id);
    }
  }
  return result;
}

}  // namespace reflect
