#include "recipes/run_report.h"

#include <algorithm>
#include <cmath>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr const char* kErrors = "mistakes_by_kind_and_place";

using Counts = std::map<std::string, std::int64_t>;

std::int64_t sum_of(const Counts& counts) {
  std::int64_t sum = 0;
  for (const auto& [name, count] : counts) sum += count;
  return sum;
}

// Proofs from weak to strong.
int strength(Proof proof) {
  switch (proof) {
    case Proof::kNone:
      return 0;
    case Proof::kJudged:
      return 1;
    case Proof::kAnnotated:
      return 2;
    case Proof::kExecuted:
      return 3;
  }
  return 0;
}

Counts named(const RedrawCounts& redrawn) {
  Counts counts;
  for (std::size_t i = 0; i < kErrorKinds; ++i) {
    if (redrawn[i] != 0) counts[std::string(name_of(static_cast<ErrorKind>(i)))] = redrawn[i];
  }
  return counts;
}

std::string line_of(int indent, std::string_view name, std::int64_t count) {
  return fmt::format("{:{}}{:<{}}{:>10}\n", "", indent, name, 40 - indent, count);
}

std::string section(std::string_view title, const Counts& counts) {
  if (counts.empty()) return {};
  std::string text = fmt::format("  {}\n", title);
  for (const auto& [name, count] : counts) text += line_of(4, name, count);
  return text;
}

}  // namespace

void RunCounts::add(const TraceRow& row) {
  ++rows;
  for (std::size_t i = 0; i < kErrorKinds; ++i) redrawn[i] += row.redrawn[i];
  const std::string reason = row.at_step.empty() ? row.reason : row.at_step + ": " + row.reason;
  if (row.fate == Fate::kRejected) {
    ++rejected[reason];
  } else if (row.fate == Fate::kNotUsed) {
    ++not_used[reason];
  } else {
    ++accepted;
    ++proofs[proof_of(row)];
    for (const TraceError& error : row.errors) {
      ++kinds[fmt::format("{} ({})", error.kind, name_of(error.proof))];
      const bool known = error_kind_named(error.kind).has_value();
      errors.add(known ? error.kind : error.told_kind, error.place, error.noticed_after);
    }
  }
}

std::int64_t RunCounts::all_rejected() const {
  return sum_of(rejected);
}

void RunCounts::check_sum() const {
  const std::int64_t accounted = accepted + sum_of(rejected) + sum_of(not_used);
  if (accounted != rows) {
    fail("reflect-gen", "{} rows came in and {} are accounted for; this is a bug", rows, accounted);
  }
}

std::string proof_of(const TraceRow& row) {
  if (row.errors.empty()) return "clean";
  const auto weakest = std::min_element(
      row.errors.begin(), row.errors.end(),
      [](const auto& a, const auto& b) { return strength(a.proof) < strength(b.proof); });
  return std::string(name_of(weakest->proof));
}

std::string table_of(const RunCounts& counts) {
  std::string text =
      line_of(0, "problems", counts.problems) + line_of(0, "rows", counts.rows) +
      line_of(0, "accepted", counts.accepted) + section("by proof", counts.proofs) +
      section("mistakes", counts.kinds) + section("drawn again", named(counts.redrawn)) +
      line_of(0, "rejected", sum_of(counts.rejected)) + section("by reason", counts.rejected) +
      line_of(0, "not used", sum_of(counts.not_used)) + section("by reason", counts.not_used);
  return text;
}

Json json_of(const RunCounts& counts) {
  return {{"problems", counts.problems},       {"rows", counts.rows},
          {"accepted", counts.accepted},       {"rejected", counts.rejected},
          {"not_used", counts.not_used},       {"proofs", counts.proofs},
          {"mistakes", counts.kinds},          {"drawn_again", named(counts.redrawn)},
          {kErrors, weights_of(counts.errors)}};
}

RunCounts read_counts(const Json& json) {
  RunCounts counts;
  json.at("problems").get_to(counts.problems);
  json.at("rows").get_to(counts.rows);
  json.at("accepted").get_to(counts.accepted);
  json.at("rejected").get_to(counts.rejected);
  json.at("not_used").get_to(counts.not_used);
  json.at("proofs").get_to(counts.proofs);
  json.at("mistakes").get_to(counts.kinds);
  for (const auto& [name, count] : json.at("drawn_again").get<Counts>()) {
    if (const auto kind = error_kind_named(name)) {
      counts.redrawn[static_cast<std::size_t>(*kind)] = count;
    }
  }
  if (json.contains(kErrors)) counts.errors = profile_of(json[kErrors], "checkpoint");
  return counts;
}

std::string table_of(const ErrorProfile& own, const ErrorProfile& wanted) {
  std::string text;
  for (const ProfileLine& line : compare(own, &wanted)) {
    text += fmt::format("    {:<36}{:>8.1f} %", line.name, 100 * line.own);
    text += line.wanted ? fmt::format("{:>8.1f} %\n", 100 * *line.wanted) : "\n";
  }
  return text.empty() ? text
                      : fmt::format("  {:<38}{:>10}{:>10}\n", "mistakes", "here", "wanted") + text;
}

std::string table_of(const UsedReplies& used, const Counts& oddities) {
  std::string text = line_of(0, "replies", used.replies) + section("by end", used.finishes) +
                     section("out of the ordinary", oddities) +
                     line_of(0, "prompt tokens", used.prompt_tokens) +
                     line_of(0, "completion tokens", used.completion_tokens);
  if (used.usd != 0) text += fmt::format("{:<40}{:>10.4f}\n", "US dollars", used.usd);
  return text;
}

// The same for a run that was interrupted and went on as for one that was not: sums of the same
// costs in another order agree to a billionth.
Json json_of(const UsedReplies& used) {
  return {{"replies", used.replies},
          {"finishes", used.finishes},
          {"prompt_tokens", used.prompt_tokens},
          {"completion_tokens", used.completion_tokens},
          {"usd", std::round(used.usd * 1e9) / 1e9}};
}

}  // namespace reflect
