#include "reflect/data/bad_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "data/utf8.h"

namespace reflect {
namespace {

constexpr std::size_t kMostKinds = 6;
constexpr std::size_t kShownRows = 3;
constexpr std::size_t kShownBytes = 160;

// "[record] rows.jsonl:7: what" -> "what".
std::string_view without_place(const BadRow& row) {
  std::string_view reason = row.reason;
  const std::string place = fmt::format(":{}: ", row.line);
  if (const std::size_t at = reason.find(place); at != reason.npos)
    return reason.substr(at + place.size());
  const std::size_t op = reason.starts_with('[') ? reason.find("] ") : reason.npos;
  return op == reason.npos ? reason : reason.substr(op + 2);
}

std::string_view cut(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  return text.substr(0, valid_prefix(text.substr(0, bytes)));
}

bool is_figure(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

}  // namespace

std::string kind_of(const BadRow& row) {
  std::string_view what = without_place(row);
  what = what.substr(0, std::min(what.find(": "), what.find("; ")));
  std::string kind;
  for (std::size_t i = 0; i < what.size(); ++i) {
    if (!is_figure(what[i]))
      kind += what[i];
    else if (i == 0 || !is_figure(what[i - 1]))
      kind += 'N';
  }
  return std::string(cut(kind, kShownBytes));
}

std::map<std::string, std::int64_t> counts_by_kind(const std::vector<BadRow>& rows) {
  std::map<std::string, std::int64_t> counts;
  for (const BadRow& row : rows) ++counts[kind_of(row)];
  return counts;
}

std::string list_of_counts(const std::map<std::string, std::int64_t>& counts) {
  std::vector<std::pair<std::string, std::int64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  std::int64_t others = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i >= kMostKinds)
      others += sorted[i].second;
    else
      text += fmt::format("{}{} {}", i == 0 ? "" : ", ", sorted[i].second, sorted[i].first);
  }
  return others == 0 ? text : text + fmt::format(", {} for other reasons", others);
}

void BadRowCounts::add(const BadRow& row) {
  ++by_kind_[kind_of(row)];
  if (first_.size() < kShownRows) first_.push_back(row);
  ++total_;
}

std::string BadRowCounts::summary() const {
  if (total_ == 0) return "";
  std::string text = fmt::format("{} malformed row{} left out: {}", total_, total_ == 1 ? "" : "s",
                                 list_of_counts(by_kind_));
  for (const BadRow& row : first_)
    text += fmt::format("; line {}: {}", row.line, cut(without_place(row), kShownBytes));
  if (total_ > std::ssize(first_)) text += "; ...";
  return text;
}

std::string summary_of(const std::vector<BadRow>& rows, const std::string& path) {
  if (rows.empty()) return "";
  BadRowCounts counts;
  for (const BadRow& row : rows) counts.add(row);
  return path + ": " + counts.summary();
}

}  // namespace reflect
