// The problems of an evaluation, read from records.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reflect/data/record.h"

namespace reflect {

struct Problem {
  std::string id;
  std::string hash;  // of the messages: what an answer depends on
  std::vector<Message> messages;
  std::string answer;
  std::string group;  // value of the --group-by field; "-" where the row has none

  const std::string& prompt() const { return messages.back().content; }
};

// A row that is not evaluated: "line 7" or the row's id, and why, in words that rows share.
struct RejectedRow {
  std::string row;
  std::string reason;
};

struct ProblemSet {
  std::vector<Problem> problems;
  std::vector<RejectedRow> rejected;  // malformed rows last
  std::string malformed;              // for people: which rows are malformed and why; or empty
};

// Reads at most `limit` problems (0: all). A row's own response is not looked at. Two different
// problems with one id are an Error, and so are a file without a problem and a field `group_by`
// that no row has.
ProblemSet read_problems(const std::string& path, std::int64_t limit, const std::string& group_by);

}  // namespace reflect
