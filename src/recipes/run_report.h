// What a run did with every row, as a table and as JSON.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "recipes/asker.h"
#include "recipes/inject.h"
#include "recipes/task.h"

namespace reflect {

struct RunCounts {
  std::int64_t problems = 0;
  std::int64_t rows = 0;
  std::int64_t accepted = 0;
  std::map<std::string, std::int64_t> rejected;  // by "step: reason"
  std::map<std::string, std::int64_t> not_used;
  std::map<std::string, std::int64_t> proofs;  // accepted traces by their weakest proof, or "clean"
  std::map<std::string, std::int64_t> kinds;   // mistakes in accepted traces by "kind (proof)"
  ErrorProfile errors;                         // of accepted traces
  RedrawCounts redrawn{};

  void add(const TraceRow& row);
  std::int64_t all_rejected() const;
  // Error when accepted, rejected and unused rows do not add up to all rows.
  void check_sum() const;
};

// The weakest proof of the row's mistakes; "clean" without any.
std::string proof_of(const TraceRow& row);

std::string table_of(const RunCounts& counts);
Json json_of(const RunCounts& counts);
// The counts that json_of has written; throws Json::exception for anything else.
RunCounts read_counts(const Json& json);
// The output's own profile beside the wanted one.
std::string table_of(const ErrorProfile& own, const ErrorProfile& wanted);
std::string table_of(const UsedReplies& used, const std::map<std::string, std::int64_t>& oddities);
Json json_of(const UsedReplies& used);

}  // namespace reflect
