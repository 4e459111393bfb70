// Every generated answer, kept on disk as it comes, so that a run that was ended goes on and
// answers of other settings need not be generated again.
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <tuple>

#include "reflect/data/record.h"

namespace reflect {

// Which answer: what decides it (the arm and the problem, as hashes) and its number among the
// samples.
struct AnswerKey {
  std::string arm_hash;
  std::string problem_hash;
  std::int64_t sample = 0;
  auto operator<=>(const AnswerKey&) const = default;
};

struct Answer {
  std::string response;
  std::string finish;  // "end", "stop", "length", "prompt_too_long"
  std::int64_t prompt_tokens = 0;
  std::int64_t new_tokens = 0;
  double log_probability = 0;
};

class AnswerStore {
 public:
  // Reads the answers of earlier runs at `path` and, where it exists, at `others`; a last line that
  // was cut off is dropped.
  explicit AnswerStore(std::string path, std::string others = "");
  ~AnswerStore();
  AnswerStore(const AnswerStore&) = delete;
  AnswerStore& operator=(const AnswerStore&) = delete;

  const Answer* find(const AnswerKey& key) const;
  // Keeps the answer and appends it to the file.
  void add(const AnswerKey& key, Answer answer);
  // Replaces the file by the rows of this run, in their final order. Answers that are none of these
  // go to `others`; returns their number.
  std::size_t replace_file(const std::vector<Json>& rows);

 private:
  void read(const std::string& path);

  std::string path_, others_;
  std::FILE* file_ = nullptr;
  std::map<AnswerKey, Answer> answers_;
};

Json json_of(const AnswerKey& key, const Answer& answer);

}  // namespace reflect
